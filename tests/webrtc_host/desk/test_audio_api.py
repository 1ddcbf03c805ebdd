import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from host_stt.contract import Float32Array
from tests.support.audio_files import decoded
from tests.support.desk import Desk, a_config, running_desk
from tests.support.opus_packets import encoded
from tests.support.polling import until
from tests.support.speech import say
from webrtc_host.archive import ogg
from webrtc_host.archive.archive import Archive
from webrtc_host.keys import ARCHIVE, RECORD
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind

START = 32_000
"""Two seconds into the session."""
SAID = "alpha one proceed to gate seven"


async def nothing(reason: str) -> int:
    return 0


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(a_config(tmp_path, archive={"range_s_max": 60})) as desk:
        spec = ChannelSpec("C01", language="en")
        desk.registry.connect(desk.session, DoorKind.SOCKET, [spec], nothing)
        desk.registry.channel(desk.session, "C01").open()
        yield desk


def archive_of(desk: Desk) -> Archive:
    archive = desk.app[ARCHIVE].archive
    assert archive is not None
    return archive


async def keep(desk: Desk, sound: Float32Array) -> list[bytes]:
    """The payloads kept."""
    packets = encoded(sound, START)
    channel = desk.registry.channel(desk.session, "C01")
    for packet in packets:
        channel.archive_packet(packet)
    rounds = archive_of(desk).writer.statistics().rounds
    await until(lambda: archive_of(desk).writer.statistics().rounds >= rounds + 2)
    return [packet.payload for packet in packets]


async def fetch(desk: Desk, path: str, **headers: str) -> tuple[int, bytes, Any]:
    async with desk.client.get(desk.url + path, headers=headers) as answer:
        return answer.status, await answer.read(), answer.headers


def channel_path(desk: Desk, query: str = "", channel: str = "C01", session: str | None = None) -> str:
    return f"/api/sessions/{session or desk.session.id}/channels/{channel}/audio{query}"


def likeness(heard: Float32Array, said: Float32Array) -> float:
    n = min(len(heard), len(said))
    return float(np.dot(heard[:n], said[:n]) / (np.linalg.norm(heard[:n]) * np.linalg.norm(said[:n])))


async def test_a_range_is_played_as_it_was_spoken(desk: Desk) -> None:
    said = say(SAID)
    payloads = await keep(desk, said)
    end_ms = 2000 + len(said) // 16
    status, body, headers = await fetch(desk, channel_path(desk, f"?from_ms=2000&to_ms={end_ms}"))
    assert (status, headers["Content-Type"]) == (200, "audio/ogg")
    assert likeness(decoded(body, 60), said) > 0.9
    kept = [payload for page in ogg.read(body) for payload in page.packets]
    assert [p for p in kept if p in payloads] == payloads[: len([p for p in kept if p in payloads])]
    assert len(set(payloads) - set(kept)) <= 1  # the packets unchanged; the last one is after the range


async def test_a_range_without_end_ends_with_the_archived_audio(desk: Desk) -> None:
    said = say(SAID)
    await keep(desk, said)
    status, body, _ = await fetch(desk, channel_path(desk, "?from_ms=1000"))
    assert status == 200
    assert abs(len(decoded(body, 60)) - 16_000 - len(said)) < 700


async def test_a_segment_is_played_with_some_audio_before_and_after(desk: Desk) -> None:
    said = say(SAID)
    await keep(desk, said)
    desk.final(at_ms=2400)
    await desk.app[RECORD].store.write(lambda connection: None)
    status, body, headers = await fetch(desk, "/api/segments/g_1/audio")
    assert status == 200
    assert headers["Content-Disposition"] == 'inline; filename="g_1.opus"'
    heard = decoded(body, 60)
    assert abs(len(heard) - (500 + 600) * 16) <= 16
    assert likeness(heard, said[100 * 16 :]) > 0.9
    exact, body, _ = await fetch(desk, "/api/segments/g_1/audio?lead_ms=0&trail_ms=0")
    assert exact == 200
    assert abs(len(decoded(body, 60)) - 500 * 16) <= 16


@pytest.mark.parametrize(
    "segment", ["g_77", "g_", "x", "g_1%2F..%2F..%2Fetc", "..", "g_1'--", "%00", "g_" + "9" * 40]
)
async def test_an_unknown_segment_is_not_found(desk: Desk, segment: str) -> None:
    status, _, headers = await fetch(desk, f"/api/segments/{segment}/audio")
    assert (status, headers["Content-Type"].partition(";")[0]) == (404, "application/json")


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("?from_ms=3000&to_ms=2000", 422, "inverted_range"),
        ("?from_ms=3000&to_ms=3000", 422, "inverted_range"),
        ("?from_ms=0&to_ms=60001", 413, "range_too_long"),
        ("?from_ms=-1", 400, "bad_number"),
        ("?from_ms=1e3", 400, "bad_number"),
        ("?from_ms=99999999999999999999", 400, "bad_number"),
        ("?to_ms=abc", 400, "bad_number"),
        ("?from_ms=500000", 404, "no_audio"),
        ("?from_ms=0&to_ms=1000", 404, "no_audio"),
    ],
)
async def test_an_invalid_range_is_refused_in_plain_words(
    desk: Desk, query: str, status: int, code: str
) -> None:
    await keep(desk, say(SAID))
    found, body = await desk.get(channel_path(desk, query))
    assert (found, body["error"]["code"]) == (status, code)


@pytest.mark.parametrize("channel", ["C02", "c01", "C1", "..%2F..%2Fsecret", "C01%00", "%2e%2e"])
async def test_an_unknown_channel_is_not_found(desk: Desk, channel: str) -> None:
    status, _, _ = await fetch(desk, channel_path(desk, channel=channel))
    assert status == 404


@pytest.mark.parametrize("session", ["s_nobody", "..%2F..", "s_1'%20OR%201=1", "%00"])
async def test_an_unknown_session_is_not_found(desk: Desk, session: str) -> None:
    status, _, _ = await fetch(desk, channel_path(desk, session=session))
    assert status == 404


async def test_players_may_request_a_part(desk: Desk) -> None:
    await keep(desk, say(SAID))
    path = channel_path(desk, "?from_ms=2000&to_ms=3000")
    _, whole, headers = await fetch(desk, path)
    assert headers["Accept-Ranges"] == "bytes"
    status, part, headers = await fetch(desk, path, Range="bytes=10-19")
    assert (status, part) == (206, whole[10:20])
    assert headers["Content-Range"] == f"bytes 10-19/{len(whole)}"
    assert (await fetch(desk, path, Range="bytes=100-"))[1] == whole[100:]
    assert (await fetch(desk, path, Range="bytes=-7"))[1] == whole[-7:]
    assert (await fetch(desk, path, Range=f"bytes={len(whole)}-"))[0] == 416
    assert (await fetch(desk, path, Range="lines=1-2"))[:2] == (200, whole)


async def test_a_hold_of_a_channel_can_be_set_and_removed(desk: Desk) -> None:
    path = f"{desk.url}/api/sessions/{desk.session.id}/channels/C01/hold"
    await desk.app[RECORD].store.write(lambda connection: None)
    for is_held in (True, False):
        async with desk.client.put(path, json={"is_held": is_held}) as answer:
            assert (answer.status, (await answer.json())["is_held"]) == (200, is_held)
        places = (await desk.app[ARCHIVE].holds.read()).channels
        assert [place.channel for place in places] == (["C01"] if is_held else [])
    async with desk.client.put(path, json={"is_held": "perhaps"}) as answer:
        assert answer.status == 422


async def test_a_listener_may_play_audio_and_a_viewer_may_not(tmp_path: Path) -> None:
    tokens = [
        {"name": "wall", "role": "viewer", "token": "v" * 32},
        {"name": "desk", "role": "listener", "token": "l" * 32},
    ]
    async with running_desk(a_config(tmp_path, token="a" * 32, tokens=tokens)) as desk:
        path = channel_path(desk)
        assert (await fetch(desk, path))[0] == 401
        assert (await fetch(desk, f"{path}?token={'v' * 32}"))[0] == 403
        assert (await fetch(desk, f"{path}?token={'l' * 32}"))[
            0
        ] == 404  # the role allows it; there is only no audio


async def test_an_unwritable_disk_is_reported_everywhere_and_text_continues(tmp_path: Path) -> None:
    (tmp_path / "audio").write_text("a file stands where the folder should be")
    async with running_desk(a_config(tmp_path)) as desk:
        socket = await desk.watch()
        desk.registry.connect(desk.session, DoorKind.SOCKET, [ChannelSpec("C01")], nothing)
        channel = desk.registry.channel(desk.session, "C01")
        channel.open()
        for packet in encoded(say(SAID), START):
            channel.archive_packet(packet)
        async with asyncio.timeout(20):
            while True:
                event = await socket.receive_json()
                if event["type"] == "error":
                    break
        assert event["code"] == "archive_degraded"
        assert "transcription continues" in event["message"]
        _, ready = await desk.get("/ready")
        assert ready["degraded"] is True
        assert "audio is not being archived" in ready["troubles"]["archive"]
        async with desk.client.get(f"{desk.url}/metrics") as answer:
            figures = await answer.text()
        assert "host_stt_archive_is_degraded 1.0" in figures
        assert desk.final() > 0
        await socket.close()


async def test_played_audio_can_be_read_as_a_stream(desk: Desk) -> None:
    await keep(desk, say(SAID))
    timeout = aiohttp.ClientTimeout(total=20)
    url = desk.url + channel_path(desk, "?from_ms=2000&to_ms=3000")
    async with desk.client.get(url, timeout=timeout) as answer:
        pieces = [piece async for piece in answer.content.iter_chunked(100)]
    assert decoded(b"".join(pieces), 60).any()
