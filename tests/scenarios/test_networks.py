"""Chromium reaches a server in a container: by published UDP, by TCP alone, by a TURN server, or not at all.

The container, the host with its userland port publisher and the client are network namespaces
(tests/support/namespaces.py), so nothing is reached that is not published. The page comes over https, so ICE
over TCP shares its port with TLS.
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from playwright.async_api import Browser, async_playwright, expect

from tests.browser.chromium import ARGS, FAKE_MICROPHONE, page_engine
from tests.browser.test_first_words import session_events
from tests.scenarios.talking import (
    BUSY_BOX_MS,
    a_page,
    assert_audio_arrives,
    audio_s,
    figures,
    start_microphone,
    talk,
)
from tests.support.namespaces import CONTAINER, HOST, HOST_INSIDE, Namespaces, media_command, require
from tests.support.server import ROOT

pytestmark = [
    pytest.mark.browser,
    pytest.mark.net,
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
]

PORT = 8082
URL = f"https://{HOST}:{PORT}"
SECRET = "north-gate"


@pytest.fixture(scope="module")
def namespaces() -> Iterator[Namespaces]:
    with Namespaces().up() as made:
        yield made


@pytest.fixture(scope="module")
def server(namespaces: Namespaces, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The media server in the container. It has no engine: the tests check only that audio arrives."""
    folder = tmp_path_factory.mktemp("container")
    settings = {
        "media.host": "0.0.0.0",
        "media.port": PORT,
        "media.announce": f"[{HOST}, {CONTAINER}]",
        "media.ice_servers": f'[{{urls: ["turn:{HOST}:3478"], username: desk, secret: {SECRET}}}]',
        "media.connect_timeout_s": 6,
        "engine.port": 9,
        "data.dir": folder / "data",
        "tls.mode": "self-signed",
        "auth": "none",
    }
    command = media_command(settings)
    with (
        coturn(namespaces, folder),
        namespaces.running(namespaces.container, command, folder / "media.log", "Open "),
    ):
        yield


def coturn(namespaces: Namespaces, folder: Path) -> Any:
    """The compose file's own, on the host, which the client reaches, and which reaches the container."""
    require("turnserver", "coturn")
    compose = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8"))
    command = [word.replace("$$", "$") for word in compose["services"]["coturn"]["entrypoint"]]
    command += [f"--listening-ip={HOST}", f"--relay-ip={HOST_INSIDE}"]
    environ = [
        "env",
        f"TURN_SECRET={SECRET}",
        f"TURN_ADDRESS={HOST_INSIDE}",
        f"TURN_CONF={folder}/turnserver.conf",
    ]
    return namespaces.running(
        namespaces.host, [*environ, *command], folder / "turn.log", "Total General servers"
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(namespaces: Namespaces, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """Chromium on the client's machine."""
    program = namespaces.inside(namespaces.client, page_engine(), tmp_path_factory.mktemp("client"))
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=program, args=[*ARGS, *FAKE_MICROPHONE])
        yield started
        await started.close()


async def test_without_root_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(pytest.fail.Exception, match="apt-get install no-such-package"):
        require("no-such-program", "no-such-package")
    monkeypatch.setattr("os.getuid", lambda: 1000)
    with pytest.raises(pytest.fail.Exception, match="root alone: run scripts/test as root"):
        require("ip", "iproute2")


async def test_published_udp_is_used(
    namespaces: Namespaces, server: None, browser: Browser, tmp_path: Path
) -> None:
    with namespaces.publishing(PORT, tmp_path, udp=True):
        async with a_page(browser, URL) as page:
            before_s = await audio_s(page)
            told = await talk(page, 2.0)
            assert (told["state"], told["protocol"], told["remote"]) == ("connected", "udp", HOST), told
            assert told["connected_ms"] < 5000
            assert (await figures(page))["host_stt_port_peers_udp"] == 1
            await assert_audio_arrives(page, before_s, 1.5)


async def test_a_publisher_that_lost_its_flows_does_not_end_the_connection(
    namespaces: Namespaces, server: None, browser: Browser, tmp_path: Path
) -> None:
    with namespaces.publishing(PORT, tmp_path, udp=True) as publisher:
        async with a_page(browser, URL) as page:
            told = await talk(page, 1.0)
            assert told["protocol"] == "udp", told
            publisher.send_signal(signal.SIGUSR1)
            before_s = await audio_s(page)
            await assert_audio_arrives(page, before_s, 2.0)
            state = await page.evaluate("window.pc.connectionState")
            assert state == "connected"


async def test_with_tcp_alone_published_ice_goes_over_tcp(
    namespaces: Namespaces, server: None, browser: Browser, tmp_path: Path
) -> None:
    with namespaces.publishing(PORT, tmp_path):
        async with a_page(browser, URL) as page:
            before_s = await audio_s(page)
            told = await talk(page, 2.0)
            assert (told["state"], told["protocol"], told["remote"]) == ("connected", "tcp", HOST), told
            assert (await figures(page))["host_stt_port_peers_tcp"] == 1
            await assert_audio_arrives(page, before_s, 1.5)


async def test_through_turn_alone_with_a_credential_that_the_server_made(
    namespaces: Namespaces, server: None, browser: Browser, tmp_path: Path
) -> None:
    with namespaces.publishing(PORT, tmp_path, ice=False):
        async with a_page(browser, URL) as page:
            ice = await page.evaluate("fetch('/api/ice').then((answer) => answer.json())")
            assert SECRET not in str(ice)
            assert re.fullmatch(r"\d{10}:desk", ice["ice_servers"][0]["username"])
            before_s = await audio_s(page)
            told = await talk(page, 2.0, policy="relay")
            assert (told["state"], told["kind"]) == ("connected", "relay"), told
            assert (await figures(page))["host_stt_port_peers_relay"] == 1
            await assert_audio_arrives(page, before_s, 1.5)


@pytest.mark.long
async def test_without_a_path_both_sides_fail_soon_and_the_page_uses_a_websocket(
    namespaces: Namespaces, server: None, browser: Browser, tmp_path: Path
) -> None:
    """A bare connection and the microphone page, at once: each waits a quarter of a minute."""
    with namespaces.publishing(PORT, tmp_path, ice=False):
        async with a_page(browser, URL) as bare, a_page(browser, URL) as page:
            before_s = await audio_s(page)
            await page.route("**/api/ice", lambda route: route.fulfill(json={"ice_servers": []}))  # no TURN
            told, _ = await asyncio.gather(talk(bare, 0.0, servers="none"), start_microphone(page))
            assert told["state"] == "failed", told
            assert told["failed_ms"] < 25_000
            await expect(page.locator("[data-step=connection]")).to_contain_text("over WebSocket")
            await assert_audio_arrives(page, before_s, 1.5)
            for _ in range(200):
                found = await figures(bare)
                if found["host_stt_registry_connections_webrtc"] == 0:
                    break
                await bare.wait_for_timeout(100)
            assert found["host_stt_registry_connections_webrtc"] == 0
            assert found["host_stt_registry_connections_socket"] == 1
            assert found["host_stt_port_addresses"] == found["host_stt_port_tcp_connections"] == 0


@pytest.mark.long
async def test_a_laptop_that_changes_its_network_keeps_its_channel(
    namespaces: Namespaces, server: None, browser: Browser, tmp_path: Path
) -> None:
    with namespaces.publishing(PORT, tmp_path, udp=True):
        async with a_page(browser, URL) as page:
            await start_microphone(page)
            with namespaces.client_unplugged():
                await expect(page.locator("main")).to_have_attribute(
                    "data-phase", "reconnecting", timeout=BUSY_BOX_MS
                )
            await expect(page.locator("main")).to_have_attribute("data-phase", "live", timeout=BUSY_BOX_MS)
            before_s = await audio_s(page)
            await assert_audio_arrives(page, before_s, 2.0)
            events = await session_events(page)
    # The channels of the tests before may close as late as now.
    channel = [event["channel"] for event in events if event["type"] == "channel.opened"][-1]
    mine = [event for event in events if event.get("channel") == channel]
    opened = [event["door"] for event in mine if event["type"] == "channel.opened"]
    closed = [event["reason"] for event in mine if event["type"] == "channel.closed"]
    assert closed, mine
    # On a busy machine the answer may come after the page gave up; its next attempt takes the channel over.
    assert opened == ["webrtc"] * (len(closed) + 1)
    assert set(closed) == {"resumed"}
