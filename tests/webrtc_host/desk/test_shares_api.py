"""Links: to a range with its own rights and an end, and to a wall without audio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.desk import Desk, a_config, close_code_and_reason, received, running_desk
from tests.support.events import an_event
from tests.support.polling import until
from tests.webrtc_host.desk.test_lines_api import TOKENS, ask, bearer
from tests.webrtc_host.desk.test_redactions_api import in_folder, packet
from webrtc_host.http.issued import IssuedTokens
from webrtc_host.http.roles import Caller, Role
from webrtc_host.http.server import GATE
from webrtc_host.keys import ARCHIVE, RECORD
from webrtc_host.seams import EventType
from webrtc_host.services.shares import Shares, Wish
from webrtc_host.transcript import records

BOSS = {"name": "boss", "token": "boss-secret", "role": "supervisor"}


def a_share_config(folder: Path) -> Any:
    return a_config(folder, tokens=(*TOKENS, BOSS), store={"url": ""}, archive={"flush_ms": 100})


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(a_share_config(tmp_path), headers=bearer("eye")) as desk:
        for channel in ("C01", "C02"):
            desk.session.log.emit(an_event(EventType.CHANNEL_OPENED, channel, label=channel, start_ms=0))
        desk.final("before the range")
        desk.final("inside the range", at_ms=1000)
        desk.final("on another channel", channel="C02", at_ms=1000)
        desk.final("after the range", at_ms=5000)
        await desk.settled()
        archive = desk.app[ARCHIVE].archive
        assert archive is not None
        channel_archive = archive.of_channel(desk.session.id, "C01")
        for ms in range(0, 6000, 20):
            channel_archive.archive_packet(packet(ms, b"\x33sound"))
        await until(lambda: archive.statistics()["packets"] >= 300)
        yield desk


def a_range(desk: Desk, **more: Any) -> dict[str, Any]:
    body = {"name": "handover", "session": desk.session.id, "channels": "C01", "from_ms": 900, "to_ms": 2000}
    return {**body, "expires_in_s": 3600, **more}


async def made(desk: Desk, who: str = "kim", **more: Any) -> dict[str, Any]:
    status, body = await ask(desk, "POST", "/api/shares", a_range(desk, **more), who=who)
    assert status == 200, body
    assert isinstance(body, dict)
    return body


async def opened(desk: Desk, token: str, path: str = "/api/shared") -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    async with desk.client.get(desk.url + path, headers=headers) as response:
        if response.content_type == "application/json":
            return response.status, await response.json()
        return response.status, await response.read()


async def test_a_link_shows_its_range_and_nothing_else(desk: Desk, tmp_path: Path) -> None:
    link = await made(desk)
    assert link["path"] == f"/shared#{link['token']}"
    status, body = await opened(desk, link["token"])
    assert (status, [line["text"] for line in body["lines"]]) == (200, ["inside the range"])
    assert (body["name"], body["has_audio"], [one["channel"] for one in body["channels"]]) == (
        *("handover", False),
        ["C01"],
    )
    status, body = await opened(desk, link["token"], "/api/shared/audio?segment=g_2")
    assert (status, body["error"]["code"]) == (403, "no_audio_right")
    assert (await opened(desk, link["token"], "/api/sessions"))[0] == 401, "it is no token of the server"
    await desk.written()
    assert in_folder(tmp_path, link["token"].encode()) == [], "only its hash is on disk"


async def test_a_link_with_audio_plays_its_own_range_only(desk: Desk) -> None:
    token = (await made(desk, audio=True))["token"]
    status, audio = await opened(desk, token, "/api/shared/audio?segment=g_2")
    assert (status, audio[:4]) == (200, b"OggS")
    assert (await opened(desk, token, "/api/shared/audio?channel=C01"))[0] == 200
    for query in ("segment=g_1", "segment=g_3", "segment=g_4", "segment=x", "channel=C02", "channel="):
        assert (await opened(desk, token, f"/api/shared/audio?{query}"))[0] == 404, query


async def test_a_link_shows_corrections_and_no_redacted_words(desk: Desk) -> None:
    token = (await made(desk))["token"]
    path = f"/api/sessions/{desk.session.id}"
    await ask(desk, "PATCH", f"{path}/segments/g_2", {"text": "corrected"}, match='"0"')
    (line,) = (await opened(desk, token))[1]["lines"]
    assert (line["text"], line["is_corrected"], line["is_not_said"]) == ("corrected", True, False)
    await ask(desk, "PUT", f"{path}/segments/g_2/marks/not_said", {"is_set": True})
    (line,) = (await opened(desk, token))[1]["lines"]
    assert (line["text"], line["is_not_said"]) == ("corrected", True)
    body = {"channel": "C01", "from_ms": 1000, "to_ms": 1100, "reason": "private"}
    assert (await ask(desk, "POST", f"{path}/redactions", body))[0] == 200
    (line,) = (await opened(desk, token))[1]["lines"]
    assert (line["text"], line["is_redacted"]) == ("[redacted]", True)


async def test_an_ended_link_says_why(desk: Desk) -> None:
    link = await made(desk)
    assert (await ask(desk, "DELETE", f"/api/shares/{link['id']}"))[1]["state"] == "revoked"
    status, body = await opened(desk, link["token"])
    assert (status, body["error"]["code"]) == (410, "link_revoked")
    assert (await ask(desk, "DELETE", f"/api/shares/{link['id']}"))[0] == 409
    now_s = [1e9]
    shares = Shares(desk.app[RECORD].store, IssuedTokens(), wall_s=lambda: now_s[0])
    wish = Wish("range", "old", 60, desk.session.id, None, 0, 1000, False)
    _, token = await shares.make(wish, "kim")
    assert (await shares.open(token)).name == "old"
    status, body = await opened(desk, token)
    assert (status, body["error"]["code"]) == (410, "link_expired")
    assert "has expired" in body["error"]["message"]
    assert (await opened(desk, "no-such-link"))[0] == 404
    assert (await opened(desk, ""))[0] == 401


async def test_links_are_listed_without_tokens_and_revoked_by_their_maker_or_a_supervisor(
    desk: Desk,
) -> None:
    first, second = await made(desk), await made(desk, name="for lee", audio=True)
    _, listed = await ask(desk, "GET", "/api/shares?limit=1")
    (entry,) = listed["shares"]
    assert (entry["name"], entry["who"], entry["state"], entry["has_audio"]) == (
        *("for lee", "kim", "valid"),
        True,
    )
    assert second["token"] not in str(listed)
    _, older = await ask(desk, "GET", f"/api/shares?before={listed['next_before']}")
    assert [one["id"] for one in older["shares"]] == [first["id"]]
    path = f"/api/shares/{first['id']}"
    status, body = await ask(desk, "DELETE", path, who="lee")
    assert (status, body["error"]["code"]) == (403, "role_too_low")
    assert (await ask(desk, "DELETE", path, who="boss"))[0] == 200
    rows = await desk.app[RECORD].store.read(lambda c: records.audit_page(c, 10))
    assert [(row.who, row.action) for row in rows] == [
        *(("boss", "revoked link"), ("kim", "shared"), ("kim", "shared"))
    ]


async def test_bad_wishes_are_refused_in_words(desk: Desk) -> None:
    wishes: list[tuple[dict[str, Any], int, str]] = [
        ({"session": None}, 422, "range_missing"),
        ({"session": "s_none"}, 404, "unknown_session"),
        ({"channels": "C01,C09"}, 404, "unknown_channel"),
        ({"to_ms": 100}, 422, "inverted_range"),
        ({"to_ms": 900}, 422, "bad_range"),
        ({"to_ms": 10**9}, 422, "bad_range"),
        ({"expires_in_s": 5}, 422, "bad_field"),
        ({"name": " "}, 422, "bad_name"),
        ({"channels": "X1"}, 422, "bad_channel"),
        ({"kind": "wall"}, 403, "role_too_low"),
    ]
    for more, status, code in wishes:
        answer = await ask(desk, "POST", "/api/shares", a_range(desk, **more))
        assert (answer[0], answer[1]["error"]["code"]) == (status, code), more


async def test_a_wall_link_reads_text_and_ends_with_its_stream(desk: Desk) -> None:
    body = {"kind": "wall", "name": "lobby", "expires_in_s": 3600}
    status, link = await ask(desk, "POST", "/api/shares", body, who="boss")
    assert (status, link["path"]) == (200, f"/desk#wall={link['token']}")
    assert (await opened(desk, link["token"], "/api/me"))[1] == {
        "name": f"link {link['id']}: lobby",
        "role": "viewer",
    }
    assert (await opened(desk, link["token"], "/api/segments/g_2/audio"))[0] == 403
    socket = await desk.client.ws_connect(
        f"{desk.url}/ws?since=0", headers={"Authorization": f"Bearer {link['token']}"}
    )
    await received(socket, 3)
    assert (await ask(desk, "DELETE", f"/api/shares/{link['id']}", who="boss"))[0] == 200
    async with asyncio.timeout(5):
        await close_code_and_reason(socket)
    status, answer = await opened(desk, link["token"], "/api/me")
    assert (status, answer["error"]["code"]) == (401, "link_ended")


async def test_wall_links_are_valid_after_a_restart(tmp_path: Path) -> None:
    body = {"kind": "wall", "name": "lobby", "expires_in_s": 3600}
    async with running_desk(a_share_config(tmp_path), headers=bearer("boss")) as desk:
        _, link = await ask(desk, "POST", "/api/shares", body, who="boss")
    async with running_desk(a_share_config(tmp_path), headers=bearer("boss")) as desk:
        await until(lambda: len(desk.app[GATE].issued) == 1)
        assert (await opened(desk, link["token"], "/api/me"))[0] == 200


async def test_without_tokens_a_wall_link_is_read_only_too(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        body = {"kind": "wall", "name": "lobby", "expires_in_s": 3600}
        async with desk.client.post(f"{desk.url}/api/shares", json=body) as response:
            token = (await response.json())["token"]
        assert (await opened(desk, token, "/api/sessions"))[0] == 200
        assert (await opened(desk, token, "/api/audit"))[0] == 403
        assert (await desk.get("/api/audit"))[0] == 200


async def test_wrong_tokens_of_links_are_limited(desk: Desk) -> None:
    statuses = [(await opened(desk, f"guess-{n}"))[0] for n in range(22)]
    assert (statuses[0], statuses[-1]) == (404, 429)


def test_a_token_ends_at_its_time_and_closes_its_streams() -> None:
    issued, closed = IssuedTokens(), list[str]()
    caller = Caller("link 1: lobby", Role.VIEWER)
    issued.put(b"digest", caller, 100.0)
    forget = issued.when_ended(caller, lambda: closed.append("forgotten"))
    issued.when_ended(caller, lambda: closed.append("closed"))
    forget()
    assert issued.caller_of(b"digest", 99.0) is caller
    assert issued.caller_of(b"digest", 100.0) is None
    issued.end_expired(99.0)
    assert closed == []
    issued.end_expired(100.0)
    assert (closed, len(issued), issued.is_ended(b"digest")) == (["closed"], 0, True)
    issued.when_ended(Caller("kim", Role.OPERATOR), lambda: closed.append("never"))()
