"""A crash in one process: the data folder is copied as it lies there, a second server starts on the copy.

What a kill -9 leaves is what the system has been given; a copy of the files sees the same. The engine reads
by the clock: at every half second of speech stands the word of that half second, so that text tells its time.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from host_stt.contract import Answer, Float32Array, Priority, Segment, Transcript, Window, WindowError, Word
from tests.support.desk import Desk, a_config, running_desk
from tests.support.events import an_event
from tests.support.polling import until
from tests.support.record import a_record
from tests.support.speech import say, silence
from tests.webrtc_host.speech.engine_server import EngineServer, engine_server
from webrtc_host.app import ARCHIVE, RECOVERY
from webrtc_host.archive.writer import ChannelKey
from webrtc_host.recovery import service
from webrtc_host.recovery.finding import unread_feeds
from webrtc_host.recovery.jobs import feeds_read, note_feed_read
from webrtc_host.seams import Block, EventType
from webrtc_host.session.channel import Channel, ChannelSpec, DoorKind
from webrtc_host.session.registry import Session
from webrtc_host.transcript.past import feeds_up_to

STEP = 8000
"""Samples of one word: half a second."""
LONG = "alpha one proceed to gate seven and hold there until bravo two calls you back over " * 2
SHORT = "echo six hold at gate nine"
BUSY_BOX_S = 90.0
PACKET_MS = 27
"""The archive ends later than the audio: by the rest of a packet and the encoder's delay of 6.5 ms."""


def by_the_clock(window: Window) -> Answer:
    """`w7` for the half second that begins at 3.5 s, where the window has sound there."""
    samples = window.as_float32()
    words = []
    for k in range(window.start_sample // STEP + 1, (window.start_sample + len(samples)) // STEP):
        piece = samples[k * STEP - window.start_sample :][:STEP]
        if len(piece) == STEP and float(np.abs(piece).max()) > 0.05:
            words.append(Word(f"w{k}", k * STEP, (k + 1) * STEP - 800, 0.9))
    text = " ".join(word.text for word in words)
    segments: tuple[Segment, ...] = ()
    if words:
        row = (text, words[0].start_sample, words[-1].end_sample)
        segments = (Segment(*row, -0.1, 0.0, 1.0, tuple(words)),)
    return Transcript(window.id, segments, "en", 1.0, -0.1, 0.0, 1.0)


def only_before(sample: int) -> Any:
    """An engine that dies of everything that reaches beyond this sample: it never answers."""

    def reply(window: Window) -> Answer | None:
        return by_the_clock(window) if window.start_sample + len(window.samples) <= sample else None

    return reply


@asynccontextmanager
async def a_server(folder: Path, engine: EngineServer) -> AsyncIterator[Desk]:
    speech = {
        "windowing": {"window_ms_min": 5000, "window_ms_max": 6000},
        "pipeline": {"interims_in_flight_max": 0, "close_timeout_ms": 500},
    }
    config = a_config(folder, engine_url=engine.url, speech=speech, store={"url": ""})
    os.makedirs(folder, exist_ok=True)
    async with running_desk(config, make_pipeline=None) as desk:
        yield desk


async def end_nothing(reason: str) -> int:
    return 0


async def speak(desk: Desk, sound: Float32Array, channel_id: str = "C01") -> Channel:
    """Feed a channel faster than real time; it stays open."""
    session = desk.session
    channel = desk.registry.channel(session, channel_id)
    if channel.pipeline is None:
        desk.registry.connect(session, DoorKind.SOCKET, [ChannelSpec(channel_id, language="en")], end_nothing)
        channel.open()
    pipeline: Any = channel.pipeline
    start = max(channel.end_sample, 1)
    for at in range(0, len(sound), 1600):
        await pipeline.wait_for_space()
        channel.feed(Block(start + at, sound[at : at + 1600]))
    return channel


async def kept(desk: Desk, channel: Channel) -> None:
    """Until all that was fed lies in the archive."""
    archive = desk.app[ARCHIVE].archive
    assert archive is not None
    await until(lambda: archive.encoder.waiting_ms == 0, BUSY_BOX_S)
    rounds = archive.writer.statistics().rounds
    await until(lambda: archive.writer.statistics().rounds >= rounds + 20, BUSY_BOX_S)  # the encoder's rest


async def events_of(desk: Desk, session: str) -> list[dict[str, Any]]:
    socket = await desk.watch(session=session, since=0)
    head = desk.registry.get(session).log.head_seq
    events: list[dict[str, Any]] = []
    while not events or events[-1].get("seq", 0) < head:
        events.append(json.loads(await socket.receive_str(timeout=BUSY_BOX_S)))
    await socket.close()
    return [event for event in events if "seq" in event]


async def recovered(desk: Desk) -> None:
    recovery = desk.app[RECOVERY]
    await until(lambda: recovery.figures.feeds_waiting == 0, BUSY_BOX_S)
    assert recovery.figures.feeds_failed == 0


def crash(folder: Path, to: Path) -> Path:
    """The files as they are at this moment, half written ones too."""
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("*.lock"))
    return to


def of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


def words_of(events: list[dict[str, Any]]) -> list[str]:
    finals = sorted(of(events, "segment.final"), key=lambda final: final["start_ms"])
    return [word for final in finals for word in final["raw"].split()]


def expected_words(sound: Float32Array, start: int) -> list[str]:
    """What an engine that heard everything would have read."""
    words = []
    for k in range(start // STEP + 1, (start + len(sound)) // STEP):
        piece = sound[k * STEP - start :][:STEP]
        if len(piece) == STEP and float(np.abs(piece).max()) > 0.05:
            words.append(f"w{k}")
    return words


def assert_whole(events: list[dict[str, Any]], sound: Float32Array) -> None:
    """Every half second of speech was read once, at its time; a word at an edge of speech may be cut."""
    read, expected = words_of(events), expected_words(sound, 1)
    assert len(read) == len(set(read)), f"read twice: {[w for w, n in Counter(read).items() if n > 1]}"
    assert len(set(expected) - set(read)) <= 2 * len(of(events, "speech.started")), (read, expected)
    for final in of(events, "segment.final"):
        for word in final["words"]:
            assert abs(word["start_ms"] - int(word["text"][1:]) * 500) <= 300
    started = [event["utterance"] for event in of(events, "speech.started")]
    ended = [event["utterance"] for event in of(events, "speech.ended")]
    assert len(started) == len(set(started))
    assert sorted(started) == sorted(ended)
    assert {final["utterance"] for final in of(events, "segment.final")} <= set(started)


def assert_ledger_keeps_to(events: list[dict[str, Any]], channel_end_ms: int) -> None:
    """What recovery says of coverage is of time whose sound it read; while the server was down stays lost."""
    crashed = next(event["seq"] for event in of(events, "channel.closed"))
    told = [event for event in of(events, "coverage") if event["seq"] > crashed]
    assert any(event["state"] == "transcribed" for event in told)
    for event in told:
        if event["state"] != "lost":
            assert event["to_ms"] <= channel_end_ms + PACKET_MS, event


async def test_a_crash_in_the_middle_of_a_sentence_loses_no_word(tmp_path: Path) -> None:
    sound = np.concatenate([silence(0.5), say(SHORT), silence(1.5), say(LONG)])
    sound = sound[: len(sound) - 8000]  # it breaks off inside of a word
    async with engine_server(only_before(9 * 16_000)) as engine:
        async with a_server(tmp_path / "first", engine) as desk:
            session = desk.session
            channel = await speak(desk, sound)
            await kept(desk, channel)
            await until(lambda: of_log(session, "segment.final"), BUSY_BOX_S)
            copy = crash(tmp_path / "first", tmp_path / "second")
            engine.reply = by_the_clock
        before = len(engine.windows)
        async with a_server(copy, engine) as desk:
            again = desk.registry.get(session.id)
            assert again.channels["C01"].end_sample >= len(sound)  # live sound goes on behind it
            await recovered(desk)
            events = await events_of(desk, session.id)
            assert_whole(events, sound)
            assert all(w.priority is Priority.BACKGROUND for w in engine.windows[before:])
            assert_ledger_keeps_to(events, channel_end_ms=len(sound) // 16)
            finals = of(events, "segment.final")
            assert finals[-1]["source"] == "recovery" and "latency_ms" not in finals[-1]
            audio = await desk.client.get(f"{desk.url}/api/segments/{finals[-1]['segment']}/audio")
            assert (audio.status, audio.content_type) == (200, "audio/ogg")


def of_log(session: Session, kind: str) -> list[Any]:
    log: Any = session.log
    return [event for event in log.since(0) if event.kind == kind]


async def test_a_second_start_reads_nothing_again(tmp_path: Path) -> None:
    sound = np.concatenate([silence(0.5), say(SHORT), silence(1.0)])
    async with engine_server(lambda window: None) as engine:
        async with a_server(tmp_path / "first", engine) as desk:
            session = desk.session
            await kept(desk, await speak(desk, sound))
            copy = crash(tmp_path / "first", tmp_path / "second")
        engine.reply = by_the_clock
        async with a_server(copy, engine) as desk:
            await recovered(desk)
            first = await events_of(desk, session.id)
            assert_whole(first, sound)
        windows = len(engine.windows)
        async with a_server(copy, engine) as desk:
            await recovered(desk)
            second = await events_of(desk, session.id)
            assert words_of(second) == words_of(first)
            assert len(engine.windows) == windows


async def test_a_crash_while_recovering_begins_again_and_gives_nothing_twice(tmp_path: Path) -> None:
    sound = np.concatenate([silence(0.5), say(SHORT), silence(1.5), say(LONG), silence(1.0)])
    async with engine_server(lambda window: None) as engine:
        async with a_server(tmp_path / "first", engine) as desk:
            session = desk.session
            await kept(desk, await speak(desk, sound))
            second = crash(tmp_path / "first", tmp_path / "second")
        engine.reply = only_before(11 * 16_000)  # a part of it only
        async with a_server(second, engine) as desk:
            again = desk.registry.get(session.id)
            await until(lambda: of_log(again, "segment.final"), BUSY_BOX_S)
            await until(lambda: any(engine.reply(w) is None for w in engine.windows))
            third = crash(second, tmp_path / "third")
        engine.reply = by_the_clock
        async with a_server(third, engine) as desk:
            await recovered(desk)
            assert_whole(await events_of(desk, session.id), sound)


async def test_a_channel_that_hung_up_while_the_engine_was_away_gets_its_words_later(tmp_path: Path) -> None:
    sound = np.concatenate([silence(0.5), say(SHORT), silence(1.0)])
    async with engine_server(lambda window: None) as engine, a_server(tmp_path, engine) as desk:
        session = desk.session
        channel = await speak(desk, sound)
        await kept(desk, channel)
        await channel.close("hung up")
        engine.reply = by_the_clock
        await until(lambda: of_log(session, "segment.final"), BUSY_BOX_S)
        events = await events_of(desk, session.id)
        assert_whole(events, sound)
        assert len(of(events, "window.failed")) == 1


async def test_what_no_engine_read_before_the_server_ended_is_read_after_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "RECENT_MS", -10_000_000)  # the channel hung up long before
    sound = np.concatenate([silence(0.5), say(SHORT), silence(1.0)])
    async with engine_server(lambda window: None) as engine:
        async with a_server(tmp_path / "first", engine) as desk:
            session = desk.session
            channel = await speak(desk, sound)
            await kept(desk, channel)
            await channel.close("hung up")
            copy = crash(tmp_path / "first", tmp_path / "second")
        engine.reply = by_the_clock
        async with a_server(copy, engine) as desk:
            await recovered(desk)
            events = await events_of(desk, session.id)
            assert_whole(events, sound)
            assert len(of(events, "window.failed")) == 1
        windows = len(engine.windows)
        async with a_server(copy, engine) as desk:
            await recovered(desk)
            assert len(engine.windows) == windows  # and once is enough


async def test_an_engine_that_is_still_loading_is_waited_for(tmp_path: Path) -> None:
    sound = np.concatenate([silence(0.5), say(SHORT), silence(1.0)])
    refused: list[str] = []

    def loading(window: Window) -> Answer:
        refused.append(window.id)
        return WindowError(window.id, "engine_starting", "not ready: loading", is_retryable=True)

    async with engine_server(lambda window: None) as engine:
        async with a_server(tmp_path / "first", engine) as desk:
            session = desk.session
            await kept(desk, await speak(desk, sound))
            copy = crash(tmp_path / "first", tmp_path / "second")
        engine.reply = loading
        async with a_server(copy, engine) as desk:
            await until(lambda: len(refused) > 1, BUSY_BOX_S)
            engine.reply = by_the_clock
            await recovered(desk)
            events = await events_of(desk, session.id)
            assert_whole(events, sound)
            assert not of(events, "window.failed")


async def test_feeds_are_done_one_by_one_in_any_order(tmp_path: Path) -> None:
    async with a_record(tmp_path) as record:
        log = record.session()
        for n in range(3):
            record.channel(log, "C01")
            reason = "server_crashed" if n < 2 else "peer_closed"
            log.emit(
                an_event(EventType.CHANNEL_CLOSED, "C01", connection="c_C01", reason=reason, end_ms=n * 1000)
            )
        await record.written()
        place = ChannelKey("s_1", "C01")

        async def left() -> list[int]:
            rows = await record.store.read(lambda c: feeds_up_to(c, "s_1", "C01", 1000))
            done = await record.store.read(lambda c: feeds_read(c, place))
            return [feed.opened_seq for feed in unread_feeds(rows, done, 60_000)]

        assert await left() == [2, 4]
        await record.store.write(note_feed_read(place, 4))
        assert await left() == [2]


async def test_without_an_archive_nothing_is_recovered_and_everything_else_works(tmp_path: Path) -> None:
    async with engine_server(by_the_clock) as engine:
        config = a_config(tmp_path, engine_url=engine.url, archive={"enabled": False})
        async with running_desk(config, make_pipeline=None) as desk:
            assert isinstance(desk.app, web.Application)
            session = desk.session
            channel = await speak(desk, np.concatenate([silence(0.5), say(SHORT), silence(1.0)]))
            await until(lambda: of_log(session, "segment.final"), BUSY_BOX_S)
            await channel.close("over")
            status, body = await desk.get(f"/api/sessions/{session.id}/channels/C01/audio")
            assert (status, body["error"]["code"]) == (404, "no_archive")
