"""Chromium reaches a server over IPv6 and nothing else: two machines in network namespaces, with no IPv4."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from tests.browser.chromium import ARGS, FAKE_MICROPHONE, page_engine
from tests.scenarios.talking import a_page, assert_audio_arrives, audio_s, figures, talk
from tests.support.namespaces import SERVER6, Namespaces, media_command

pytestmark = [pytest.mark.browser, pytest.mark.net, pytest.mark.timeout(180)]

PORT = 8082
URL = f"https://[{SERVER6}]:{PORT}"


@pytest.fixture
def namespaces(tmp_path: Path) -> Iterator[Namespaces]:
    """The server runs in the container; it announces the addresses that it finds."""
    settings = {
        "media.host": "::",
        "media.port": PORT,
        "engine.port": 9,
        "data.dir": tmp_path / "data",
        "tls.mode": "self-signed",
        "auth": "none",
    }
    command = media_command(settings)
    with (
        Namespaces().up_ipv6() as made,
        made.running(made.container, command, tmp_path / "media.log", "Open "),
    ):
        yield made


async def test_audio_of_a_browser_without_ipv4_arrives_over_udp(
    namespaces: Namespaces, tmp_path: Path
) -> None:
    program = namespaces.inside(namespaces.client, page_engine(), tmp_path)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=[*ARGS, *FAKE_MICROPHONE])
        async with a_page(browser, URL) as page:
            before_s = await audio_s(page)
            told = await talk(page, 2.0)
            assert (told["state"], told["protocol"], told["remote"]) == ("connected", "udp", SERVER6), told
            assert (await figures(page))["host_stt_port_peers_udp"] == 1
            await assert_audio_arrives(page, before_s, 1.5)
        await browser.close()
