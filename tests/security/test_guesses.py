"""Tokens are hard to guess, and wrong ones lock nobody out who had a right one before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.desk import Desk, a_config, running_desk
from webrtc_host.http.limits import ADDRESSES_MAX, REMEMBERED_S, CallerLimits, LimitsOfCallers

TOKEN = "correct-horse-battery"
OTHER = "staple-of-the-battery"
GUESSES = 20
"""LimitsOfCallers.guesses_per_min: so many in one go."""
TOKENS: Any = [{"name": "wall", "token": OTHER, "role": "viewer"}]


async def ask(desk: Desk, token: str, **headers: str) -> tuple[int, str]:
    """Status and error code of a call with this token; the code of a good answer is empty."""
    address = f"{desk.url}/api/sessions"
    async with desk.client.get(address, params={"token": token}, headers=headers) as response:
        body = await response.json()
        return response.status, body.get("error", {}).get("code", "")


async def test_wrong_tokens_are_limited_and_a_known_right_one_gets_in(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, token=TOKEN, tokens=TOKENS)) as desk:
        assert await ask(desk, TOKEN) == (200, "")
        for number in range(GUESSES):
            assert await ask(desk, f"wrong-{number}") == (401, "token_wrong")
        assert await ask(desk, "wrong again") == (429, "too_many_guesses")
        assert await ask(desk, TOKEN) == (200, ""), "this token was right for this address before"
        assert await ask(desk, OTHER) == (429, "too_many_guesses"), "a token new to this address waits"
        assert await ask(desk, "still wrong") == (429, "too_many_guesses")


PAGES = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("page", PAGES)
async def test_a_foreign_page_cannot_lock_out_its_visitor(tmp_path: Path, page: dict[str, str]) -> None:
    async with running_desk(a_config(tmp_path, token=TOKEN)) as desk:
        for _ in range(2 * GUESSES):
            assert await ask(desk, "x", **page) == (403, "origin_not_allowed")
        assert await ask(desk, TOKEN) == (200, "")


@pytest.mark.parametrize("page", PAGES)
async def test_a_caller_with_an_origin_header_cannot_find_out_tokens(
    tmp_path: Path, page: dict[str, str]
) -> None:
    """Or wrong tokens, not counted as guesses, could be told from the right one."""
    async with running_desk(a_config(tmp_path, token=TOKEN)) as desk:
        assert await ask(desk, TOKEN) == (200, "")
        assert await ask(desk, TOKEN, **page) == await ask(desk, "x", **page) == (403, "origin_not_allowed")


@pytest.mark.parametrize("site", ["same-origin", "none"])
async def test_the_servers_own_pages_may_call(tmp_path: Path, site: str) -> None:
    async with running_desk(a_config(tmp_path, token=TOKEN)) as desk:
        assert await ask(desk, TOKEN, **{"Sec-Fetch-Site": site}) == (200, "")


def test_a_right_token_is_remembered_for_a_day_and_for_its_address_alone() -> None:
    limits = CallerLimits(LimitsOfCallers())
    limits.remember("192.0.2.1", b"digest", 0.0)
    assert limits.is_remembered("192.0.2.1", b"digest", REMEMBERED_S)
    assert not limits.is_remembered("192.0.2.1", b"digest", REMEMBERED_S + 1)
    assert not limits.is_remembered("192.0.2.2", b"digest", 0.0)
    assert not limits.is_remembered("192.0.2.1", b"another", 0.0)


def test_the_stored_addresses_are_bounded() -> None:
    limits = CallerLimits(LimitsOfCallers())
    for number in range(ADDRESSES_MAX + 1):
        limits.remember(str(number), b"digest", 0.0)
    assert not limits.is_remembered("0", b"digest", 0.0)
    assert limits.is_remembered("1", b"digest", 0.0)


async def test_all_addresses_of_one_ipv6_network_guess_together(tmp_path: Path) -> None:
    config = a_config(tmp_path, token=TOKEN, media={"trusted_proxies": ["127.0.0.1"]})
    async with running_desk(config) as desk:
        answers = [
            await ask(desk, f"wrong-{host}", **{"X-Forwarded-For": f"2001:db8::{host:x}"})
            for host in range(1, GUESSES + 2)
        ]
        assert [status for status, _ in answers] == [401] * GUESSES + [429]
        assert (await ask(desk, "wrong", **{"X-Forwarded-For": "2001:db8:0:1::1"}))[0] == 401


async def test_all_addresses_of_one_ipv6_network_hold_connections_together(tmp_path: Path) -> None:
    media, limits = {"trusted_proxies": ["127.0.0.1"]}, {"connections_per_address": 2}
    config = a_config(tmp_path, token=TOKEN, media=media, limits=limits)
    async with running_desk(config) as desk:
        held = [
            await desk.client.get(
                f"{desk.url}/events",
                params={"token": TOKEN},
                headers={"X-Forwarded-For": f"2001:db8::{host}"},
            )
            for host in (1, 2)
        ]
        assert [stream.status for stream in held] == [200, 200]
        assert await ask(desk, TOKEN, **{"X-Forwarded-For": "2001:db8::3"}) == (429, "too_many_connections")
        assert await ask(desk, TOKEN, **{"X-Forwarded-For": "2001:db8:0:1::3"}) == (200, "")
        for stream in held:
            stream.close()
