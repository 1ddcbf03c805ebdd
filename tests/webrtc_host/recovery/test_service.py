"""Recovery after a crash and after a time without an engine, with a whole server."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from aiohttp import web

from host_stt.contract import Answer, Priority, Window, WindowError
from tests.support.desk import a_config, running_desk
from tests.support.events import an_event
from tests.support.polling import until
from tests.support.record import a_record
from tests.support.speech import say, silence
from tests.webrtc_host.recovery.crashing import (
    BUSY_BOX_S,
    LONG,
    SHORT,
    a_server,
    archived,
    assert_coverage_is_of_audio,
    assert_whole,
    crash,
    events_of,
    of,
    of_log,
    only_before,
    recovered,
    speak,
    word_per_half_second,
    words_of,
)
from tests.webrtc_host.speech.engine_server import engine_server
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.recovery import service
from webrtc_host.recovery.finding import unread_feeds
from webrtc_host.recovery.jobs import feeds_read, note_feed_read
from webrtc_host.seams import EventType
from webrtc_host.transcript.past import feeds_up_to

pytestmark = pytest.mark.slow


async def test_a_crash_in_the_middle_of_a_sentence_loses_no_word(tmp_path: Path) -> None:
    sound = np.concatenate([silence(0.5), say(SHORT), silence(1.5), say(LONG)])
    sound = sound[: len(sound) - 8000]  # the fed audio ends inside a word
    async with engine_server(only_before(9 * 16_000)) as engine:
        async with a_server(tmp_path / "first", engine) as desk:
            session = desk.session
            channel = await speak(desk, sound)
            await archived(desk, channel)
            await until(lambda: of_log(session, "segment.final"), BUSY_BOX_S)
            copy = crash(tmp_path / "first", tmp_path / "second")
            engine.reply = word_per_half_second
        before = len(engine.windows)
        async with a_server(copy, engine) as desk:
            again = desk.registry.get(session.id)
            assert again.channels["C01"].end_sample >= len(sound)  # live audio continues after it
            await recovered(desk)
            events = await events_of(desk, session.id)
            assert_whole(events, sound)
            assert all(w.priority is Priority.BACKGROUND for w in engine.windows[before:])
            assert_coverage_is_of_audio(events, channel_end_ms=len(sound) // 16)
            finals = of(events, "segment.final")
            assert finals[-1]["source"] == "recovery" and "latency_ms" not in finals[-1]
            audio = await desk.client.get(f"{desk.url}/api/segments/{finals[-1]['segment']}/audio")
            assert (audio.status, audio.content_type) == (200, "audio/ogg")


async def test_a_second_start_transcribes_nothing_again(tmp_path: Path) -> None:
    sound = np.concatenate([silence(0.5), say(SHORT), silence(1.0)])
    async with engine_server(lambda window: None) as engine:
        async with a_server(tmp_path / "first", engine) as desk:
            session = desk.session
            await archived(desk, await speak(desk, sound))
            copy = crash(tmp_path / "first", tmp_path / "second")
        engine.reply = word_per_half_second
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


async def test_a_crash_during_recovery_begins_again_and_publishes_nothing_twice(tmp_path: Path) -> None:
    sound = np.concatenate([silence(0.5), say(SHORT), silence(1.5), say(LONG), silence(1.0)])
    async with engine_server(lambda window: None) as engine:
        async with a_server(tmp_path / "first", engine) as desk:
            session = desk.session
            await archived(desk, await speak(desk, sound))
            second = crash(tmp_path / "first", tmp_path / "second")
        engine.reply = only_before(11 * 16_000)  # only a part of the text
        async with a_server(second, engine) as desk:
            again = desk.registry.get(session.id)
            await until(lambda: of_log(again, "segment.final"), BUSY_BOX_S)
            await until(lambda: any(engine.reply(w) is None for w in engine.windows))
            third = crash(second, tmp_path / "third")
        engine.reply = word_per_half_second
        async with a_server(third, engine) as desk:
            await recovered(desk)
            assert_whole(await events_of(desk, session.id), sound)


async def test_a_channel_that_closed_without_an_engine_gets_its_words_later(tmp_path: Path) -> None:
    sound = np.concatenate([silence(0.5), say(SHORT), silence(1.0)])
    async with engine_server(lambda window: None) as engine, a_server(tmp_path, engine) as desk:
        session = desk.session
        channel = await speak(desk, sound)
        await archived(desk, channel)
        await channel.close("hung up")
        engine.reply = word_per_half_second
        await until(lambda: of_log(session, "segment.final"), BUSY_BOX_S)
        events = await events_of(desk, session.id)
        assert_whole(events, sound)
        assert len(of(events, "window.failed")) == 1


async def test_a_failed_window_is_transcribed_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "RECENT_MS", -10_000_000)  # the channel was closed long before
    sound = np.concatenate([silence(0.5), say(SHORT), silence(1.0)])
    async with engine_server(lambda window: None) as engine:
        async with a_server(tmp_path / "first", engine) as desk:
            session = desk.session
            channel = await speak(desk, sound)
            await archived(desk, channel)
            await channel.close("hung up")
            copy = crash(tmp_path / "first", tmp_path / "second")
        engine.reply = word_per_half_second
        async with a_server(copy, engine) as desk:
            await recovered(desk)
            events = await events_of(desk, session.id)
            assert_whole(events, sound)
            assert len(of(events, "window.failed")) == 1
        windows = len(engine.windows)
        async with a_server(copy, engine) as desk:
            await recovered(desk)
            assert len(engine.windows) == windows  # one failure is enough


async def test_recovery_waits_for_an_engine_that_is_loading(tmp_path: Path) -> None:
    sound = np.concatenate([silence(0.5), say(SHORT), silence(1.0)])
    refused: list[str] = []

    def loading(window: Window) -> Answer:
        refused.append(window.id)
        return WindowError(window.id, "engine_starting", "not ready: loading", is_retryable=True)

    async with engine_server(lambda window: None) as engine:
        async with a_server(tmp_path / "first", engine) as desk:
            session = desk.session
            await archived(desk, await speak(desk, sound))
            copy = crash(tmp_path / "first", tmp_path / "second")
        engine.reply = loading
        async with a_server(copy, engine) as desk:
            await until(lambda: len(refused) > 1, BUSY_BOX_S)
            engine.reply = word_per_half_second
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


async def test_without_an_archive_nothing_is_recovered_and_live_audio_is_transcribed(tmp_path: Path) -> None:
    async with engine_server(word_per_half_second) as engine:
        config = a_config(tmp_path, engine_url=engine.url, archive={"enabled": False})
        async with running_desk(config, make_pipeline=None) as desk:
            assert isinstance(desk.app, web.Application)
            session = desk.session
            channel = await speak(desk, np.concatenate([silence(0.5), say(SHORT), silence(1.0)]))
            await until(lambda: of_log(session, "segment.final"), BUSY_BOX_S)
            await channel.close("over")
            status, body = await desk.get(f"/api/sessions/{session.id}/channels/C01/audio")
            assert (status, body["error"]["code"]) == (404, "no_archive")
