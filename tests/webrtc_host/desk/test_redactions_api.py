"""Redaction: the words and the audio of a range are gone from the data folder, and a note of it stays."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, insert, select

from tests.support.desk import Desk, a_config, received, running_desk
from tests.support.events import an_event
from tests.support.polling import until
from tests.webrtc_host.desk.test_lines_api import TOKENS, ask, bearer, line_path
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.events import RangeRedacted, SummaryUpdated
from webrtc_host.keys import ARCHIVE, RECORD
from webrtc_host.seams import SAMPLES_PER_MS, Block, CoverageState, EventType, OpusPacket
from webrtc_host.services import redactions
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.transcript import redaction_rows, schema, summaries, webhooks
from webrtc_host.transcript.event_codec import encode_json

SECRETS = (
    "zanzibarium",
    "quetzalcoatl",
    "xylographer",
    "kumquattro",
    "페르시아왕자",
    "syzygyous",
    "fugacious",
    "velleity",
)
"""Words of the line: heard, corrected, noted, reported, in Korean, in an alert, in a summary."""
SOUND = b"\x11secret-sound\x22"


def packet(ms: int, payload: bytes) -> OpusPacket:
    """20 ms of audio; the first byte is a header that says so."""
    return OpusPacket(ms * SAMPLES_PER_MS, 20 * SAMPLES_PER_MS, b"\xf8" + payload)


def in_folder(folder: Path, needle: bytes) -> list[str]:
    """Files that have these bytes, in any case. Looks again when a file gets another name meanwhile."""
    while True:
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert files
        with contextlib.suppress(FileNotFoundError):
            return [path.name for path in files if needle.lower() in path.read_bytes().lower()]


def a_disk_config(folder: Path) -> Any:
    return a_config(folder, tokens=TOKENS, store={"url": ""}, archive={"flush_ms": 100})


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(a_disk_config(tmp_path), headers=bearer("eye")) as desk:
        await talk(desk)
        yield desk


async def talk(desk: Desk) -> None:
    """A secret line between two others, with audio, and people's changes of it."""
    log = desk.session.log
    log.emit(an_event(EventType.CHANNEL_OPENED, "C01", start_ms=0))
    desk.final("good morning tower")
    words = [{"text": "Zanzibarium", "start_ms": 1000, "end_ms": 1200}]
    edits = [{"from": "Quetzalcoatl", "to": "Zanzibarium", "term": "Zanzibarium", "kind": "alias"}]
    desk.final(
        "call Zanzibarium 페르시아왕자 now", at_ms=1000, raw="call Quetzalcoatl now", words=words, edits=edits
    )
    desk.final("good night tower", at_ms=3000)
    log.emit(an_event(EventType.COVERAGE, "C01", from_ms=0, to_ms=4000, state="transcribed"))
    await desk.settled()
    path = line_path(desk, "g_2")
    for number, text in enumerate(("call Xylographer", "call Zanzibarium")):
        assert (await ask(desk, "PATCH", path, {"text": text}, match=f'"{number}"'))[0] == 200
    await ask(desk, "PUT", f"{path}/marks/report", {"is_set": True, "reason": "says Kumquattro"})
    await ask(desk, "POST", f"{path}/notes", {"note": "she is Syzygyous"})
    for alert, segment in (("a_1", "g_2"), ("a_2", None)):
        names = {"alert": alert, "rule": "may day", "segment": segment, "matched": "Fugacious"}
        log.emit(an_event(EventType.ALERT_RAISED, "C01", **names, start_ms=1000))
    summary = {"summary": "y_1", "revision": 1, "from_ms": 0, "to_ms": 4000, "maker": "model"}
    for of_channel in (None, "C02"):
        text = "a velleity" if of_channel is None else "of another channel"
        log.emit(
            SummaryUpdated(**summary, channel=of_channel, title="t", text=text)  # type: ignore[arg-type]  # a table
        )
    await desk.settled()
    await desk.app[RECORD].store.write(store_what_has_the_line)
    archive = desk.app[ARCHIVE].archive
    assert archive is not None
    channel = archive.of_channel(desk.session.id, "C01")
    for ms in range(0, 4000, 20):
        is_secret = 1000 <= ms < 1500
        channel.archive_packet(packet(ms, SOUND if is_secret else b"\x33plain-sound\x44"))
    await until(lambda: archive.statistics()["packets"] >= 200)


def store_what_has_the_line(connection: Connection) -> None:
    """A delivery of the line that waits for its receiver, and a summary with notes of a language model."""
    hook = {"id": "w_1", "name": "w", "url": "http://127.0.0.1:9", "secret": "s", "events": "[]"}
    webhooks.add(connection, {**hook, "state": "off", "created_wall_ms": 0, "changed_wall_ms": 0})
    body = {"id": "d_1", "data": {"segment": "g_2", "text": "call Zanzibarium"}}
    delivery = webhooks.NewDelivery("d_1", "w_1", "segment.final", encode_json(body).decode())
    webhooks.enqueue(connection, [delivery], 0, 10)
    session = connection.execute(select(schema.sessions.c.id)).scalar_one()
    scope = {"channel": None, "from_ms": 0, "to_ms": None, "template": "t", "language": "en"}
    asked = {"status": "done", "asked_wall_ms": 0, "body": '{"text": "a velleity"}'}
    assert summaries.ask(connection, session, "y_1", scope, asked) is not None
    job = {"id": "j_1", "number": 1, "state": "completed", "title": "t", "file_name": "f", "options": "{}"}
    counts = dict.fromkeys(("done_ms", "attempts", "created_wall_ms"), 0)
    results = {"progress": "{}", "results": '{"summary": "a velleity"}', "session": session}
    connection.execute(insert(schema.jobs).values(**job, **counts, **results))
    summaries.put_part(connection, session, "hash", '{"notes": "a velleity"}', 0)


async def redact(desk: Desk, **more: Any) -> tuple[int, Any]:
    body = {"channel": "C01", "from_ms": 1000, "to_ms": 1500, "reason": "private call", **more}
    return await ask(desk, "POST", f"/api/sessions/{desk.session.id}/redactions", body)


async def test_the_words_are_nowhere_in_the_data_folder(desk: Desk, tmp_path: Path) -> None:
    assert all(in_folder(tmp_path, word.encode()) for word in SECRETS)
    assert in_folder(tmp_path, SOUND)
    status, done = await redact(desk)
    assert (status, done["segments"], done["audio_ms"], done["copies"]) == (200, ["g_2"], 500, [])
    assert {word: in_folder(tmp_path, word.encode()) for word in SECRETS} == dict.fromkeys(SECRETS, [])
    assert in_folder(tmp_path, SOUND) == []
    assert in_folder(tmp_path, b"good morning tower")
    assert in_folder(tmp_path, b"plain-sound")


async def test_a_redacted_line_is_redacted_everywhere_and_its_neighbours_are_not(desk: Desk) -> None:
    await redact(desk)
    session = desk.session.id
    _, page = await desk.get(f"/api/sessions/{session}/segments")
    assert [one["text"] for one in page["segments"]] == [
        *("good morning tower", "[redacted]", "good night tower")
    ]
    watcher = await desk.watch(since=0)
    events = await received(watcher, 14)
    assert not [one for one in events if any(word in str(one).lower() for word in SECRETS)]
    assert [one["text"] for one in events[-2:]] == ["[redacted]", "of another channel"]
    assert [one["seq"] for one in events] == list(range(1, 15)), "no event is missing"
    for word in SECRETS:
        assert (await desk.get("/api/search", q=word))[1]["hits"] == []
    assert len((await desk.get("/api/search", q="good"))[1]["hits"]) == 2
    for kind in ("txt", "srt", "vtt", "csv", "jsonl"):
        async with desk.client.get(f"{desk.url}/api/sessions/{session}/export.{kind}") as response:
            text = await response.text()
            assert "[redacted]" in text, kind
            assert not [word for word in SECRETS if word in text.lower()], kind
    _, line = await ask(desk, "GET", line_path(desk, "g_2"))
    assert (line["is_redacted"], line["notes"][0]["note"]) == (True, "[redacted]")
    status, body = await ask(desk, "PATCH", line_path(desk, "g_2"), {"text": "x"}, match='"2"')
    assert (status, body["error"]["code"]) == (409, "line_redacted")


async def test_a_note_of_who_when_and_why_stays(desk: Desk) -> None:
    watcher = await desk.watch(since=desk.session.log.head_seq)
    _, done = await redact(desk)
    event, coverage = await received(watcher, 2)
    assert (event["type"], event["by"], event["reason"]) == ("range.redacted", "kim", "private call")
    assert (event["segments"], event["has_text"], event["has_audio"]) == (["g_2"], True, True)
    assert (coverage["state"], coverage["reason"]) == ("redacted", "kim: private call")
    session = desk.session.id
    _, ledger = await desk.get(f"/api/sessions/{session}/coverage")
    runs = [(run["from_ms"], run["to_ms"], run["state"]) for run in ledger["channels"][0]["runs"]]
    assert (1000, 1500, "redacted") in runs
    _, listed = await desk.get(f"/api/sessions/{session}/redactions")
    (entry,) = listed["redactions"]
    assert (entry["seq"], entry["by"], entry["reason"]) == (done["seq"], "kim", "private call")
    async with desk.client.get(f"{desk.url}/api/sessions/{session}/export.csv") as response:
        assert "private call" not in await response.text()


async def test_playback_finds_a_gap_and_late_audio_of_the_range_is_not_archived(desk: Desk) -> None:
    await redact(desk)
    archive = desk.app[ARCHIVE].archive
    assert archive is not None
    key = ChannelKey(desk.session.id, "C01")
    late = archive.of_channel(*(key.session, key.channel))
    late.archive_packet(packet(1200, SOUND))
    late.archive_packet(packet(4000, b"\x33new"))
    assert archive.writer.finish(key).wait(5)
    runs = archive.runs(key, 0, 10_000 * SAMPLES_PER_MS)
    assert [(start // 16, end // 16) for start, end in runs] == [(0, 1000), (1500, 4020)]


async def test_only_text_or_only_audio_can_be_removed(desk: Desk, tmp_path: Path) -> None:
    status, done = await redact(desk, text=False)
    assert (status, done["segments"], done["audio_ms"]) == (200, [], 500)
    assert in_folder(tmp_path, b"zanzibarium")
    assert in_folder(tmp_path, SOUND) == []
    status, done = await redact(desk, audio=False)
    assert (status, done["segments"], done["audio_ms"]) == (200, ["g_2"], 0)
    assert (await redact(desk, text=False, audio=False))[1]["error"]["code"] == "nothing_chosen"


async def test_bad_requests_are_refused_in_words_and_remove_nothing(desk: Desk, tmp_path: Path) -> None:
    wishes: list[tuple[dict[str, Any], int, str]] = [
        ({"to_ms": 1000}, 422, "empty_range"),
        ({"to_ms": 900}, 422, "inverted_range"),
        ({"reason": " "}, 422, "reason_missing"),
        ({"channel": "C09"}, 404, "unknown_channel"),
        ({"from_ms": -1}, 422, "bad_field"),
    ]
    for more, status, code in wishes:
        answer = await redact(desk, **more)
        assert (answer[0], answer[1]["error"]["code"]) == (status, code), more
    assert in_folder(tmp_path, SOUND)
    assert in_folder(tmp_path, b"zanzibarium")


async def test_nothing_of_a_held_channel_is_removed(desk: Desk, tmp_path: Path) -> None:
    key = ChannelKey(desk.session.id, "C01")
    await desk.app[ARCHIVE].set_hold(key, True)
    status, body = await redact(desk)
    assert (status, body["error"]["code"]) == (409, "session_held")
    assert in_folder(tmp_path, SOUND)
    await desk.app[ARCHIVE].set_hold(key, False)
    trial = f"/api/sessions/{key.session}/redactions/trial?channel=C01&from_ms=0&to_ms=5000"
    assert await ask(desk, "GET", trial) == (200, {"lines": 3, "audio_ms": 4000})
    assert (await redact(desk))[0] == 200


async def test_a_redaction_of_an_ended_session_is_noted_too(desk: Desk, tmp_path: Path) -> None:
    session = desk.session
    path = f"/api/sessions/{session.id}"
    await desk.registry.end(session)
    body = {"channel": "C01", "from_ms": 0, "to_ms": 99_000, "reason": "all of it"}
    status, done = await ask(desk, "POST", f"{path}/redactions", body)
    assert (status, done["segments"], done["audio_ms"]) == (200, ["g_1", "g_2", "g_3"], 4000)
    assert in_folder(tmp_path, b"plain-sound") == []
    assert in_folder(tmp_path, b"good night tower") == []
    _, ledger = await desk.get(f"{path}/coverage")
    assert [run["state"] for run in ledger["channels"][0]["runs"]][0] == "redacted"


async def test_audio_that_a_crash_left_is_removed_after_the_start(tmp_path: Path) -> None:
    async with running_desk(a_disk_config(tmp_path), headers=bearer("eye")) as desk:
        await talk(desk)
        # The event is on disk, and the server ends before it removes the audio.
        desk.session.log.emit(
            RangeRedacted(
                channel="C01",
                from_ms=1000,
                to_ms=1500,
                has_text=True,
                has_audio=True,
                segments=("g_2",),
                reason="private",
                by="kim",
            )
        )
        await desk.settled()
    assert in_folder(tmp_path, SOUND)
    async with running_desk(a_disk_config(tmp_path), headers=bearer("eye")) as desk:
        await until(lambda: in_folder(tmp_path, SOUND) == [])
        store = desk.app[RECORD].store
        async with asyncio.timeout(5):
            while await store.read(redaction_rows.audio_to_remove):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_audio_that_is_still_being_transcribed_is_waited_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of a range comes before its redaction, or the redaction is refused."""
    monkeypatch.setattr(redactions, "SETTLE_S", 0.3)
    connection = desk.registry.connect(desk.session, DoorKind.SOCKET, [ChannelSpec("C05")], nothing)
    channel = desk.registry.channel(desk.session, "C05")
    channel.open()
    start = (channel.coverage.origin_ms or 0) * SAMPLES_PER_MS
    channel.feed(Block(start, np.zeros(SAMPLES_PER_MS * 1000, np.float32)))
    from_ms = start // SAMPLES_PER_MS
    wish = {"channel": "C05", "from_ms": from_ms, "to_ms": from_ms + 500}
    status, body = await redact(desk, **wish)
    assert (status, body["error"]["code"]) == (409, "range_not_settled")
    waiting = asyncio.create_task(redact(desk, **wish))
    await asyncio.sleep(0)
    assert channel.notes is not None
    channel.notes.decide(start, start + SAMPLES_PER_MS * 1000, CoverageState.TRANSCRIBED)
    assert (await waiting)[0] == 200
    states = [run.state for run in channel.coverage.runs(from_ms)]
    assert states == [CoverageState.REDACTED, CoverageState.TRANSCRIBED]
    assert channel.missing(start, start + SAMPLES_PER_MS * 500) == []
    await channel.close("over")
    desk.registry.disconnect(connection)


async def nothing(reason: str) -> int:
    return 0
