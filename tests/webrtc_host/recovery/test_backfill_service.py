"""Sound that comes after a gap is kept where it belongs, and read even when the server dies before it is."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import numpy as np

from host_stt.contract import Float32Array
from tests.support.desk import Desk
from tests.support.polling import until
from tests.support.speech import say, silence
from tests.webrtc_host.recovery.test_service import (
    BUSY_BOX_S,
    SHORT,
    a_server,
    by_the_clock,
    crash,
    events_of,
    expected_words,
    kept,
    of,
    of_log,
    recovered,
    speak,
    words_of,
)
from tests.webrtc_host.speech.engine_server import engine_server
from webrtc_host.app import RECORD, RECOVERY
from webrtc_host.recovery.audio import Run
from webrtc_host.seams import Block, BlockKind
from webrtc_host.session.channel import Channel
from webrtc_host.transcript.meta import get_meta

SECOND = 16_000


@dataclass
class Broken:
    """A channel that received a second, lost what a client still has, and received a second more."""

    channel: Channel
    late: Run

    @property
    def key(self) -> str:
        return f"backfill:{self.channel.session.id}:{self.channel.id}:{self.late.start_sample}"


async def broken(desk: Desk) -> Broken:
    """Fed faster than time goes by, in a session that is a minute old."""
    desk.registry._wall = lambda: datetime.now(UTC) - timedelta(seconds=60)
    channel = await speak(desk, silence(1.0))
    desk.registry.get(channel.session.id)._t0_s -= 60
    late = Run(channel.end_sample, np.concatenate([silence(0.5), say(SHORT), silence(0.5)]))
    channel.feed(Block(late.start_sample, np.zeros_like(late.samples), BlockKind.LOST))
    channel.feed(Block(late.end_sample, silence(1.0)))
    return Broken(channel, late)


async def heard(desk: Desk, path: str) -> Float32Array:
    async with desk.client.get(f"{desk.url}{path}") as answer:
        assert (answer.status, answer.content_type) == (200, "audio/ogg"), await answer.text()
        data = await answer.read()
    with av.open(io.BytesIO(data), "r") as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=SECOND)
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def likeness(one: Float32Array, other: Float32Array) -> float:
    """Of the course of their loudness, in steps of 20 ms: 1 is the same."""
    length = min(len(one), len(other)) // 320 * 320
    loud = [np.sqrt((x[:length].reshape(-1, 320) ** 2).mean(axis=1)) for x in (one, other)]
    return float(np.corrcoef(*loud)[0, 1])


async def test_what_was_sent_late_is_played_at_its_true_time(tmp_path: Path) -> None:
    async with engine_server(by_the_clock) as engine, a_server(tmp_path, engine) as desk:
        gap = await broken(desk)
        filled = await desk.app[RECOVERY].fill(gap.channel, [gap.late])
        assert filled.gaps == ((gap.late.start_sample, gap.late.end_sample),)
        await kept(desk, gap.channel)
        session = gap.channel.session
        start_ms, end_ms = gap.late.start_sample // 16, gap.late.end_sample // 16
        path = f"/api/sessions/{session.id}/channels/C01/audio?from_ms={start_ms}&to_ms={end_ms}"
        assert likeness(await heard(desk, path), gap.late.samples) > 0.95
        final = of(await events_of(desk, session.id), "segment.final")[0]
        assert final["source"] == "backfill"
        words = await heard(desk, f"/api/segments/{final['segment']}/audio?lead_ms=0&trail_ms=0")
        low = final["start_ms"] * 16 - gap.late.start_sample
        assert likeness(words, gap.late.samples[low:]) > 0.95


async def test_a_crash_before_it_was_read_loses_none_of_it_and_a_second_start_reads_nothing(
    tmp_path: Path,
) -> None:
    async with engine_server(lambda window: None) as engine:
        async with a_server(tmp_path / "first", engine) as desk:
            gap = await broken(desk)
            filling = asyncio.create_task(desk.app[RECOVERY].fill(gap.channel, [gap.late]))
            await until(lambda: bool(engine.windows), BUSY_BOX_S)
            await kept(desk, gap.channel)
            copy = crash(tmp_path / "first", tmp_path / "second")
            filling.cancel()
        session_id = gap.channel.session.id
        engine.reply = by_the_clock
        async with a_server(copy, engine) as desk:
            again = desk.registry.get(session_id)
            await until(lambda: of_log(again, "segment.final"), BUSY_BOX_S)
            await recovered(desk)
            store, late = desk.app[RECORD].store, desk.app[RECOVERY]
            await until(lambda: late.is_idle, BUSY_BOX_S)
            assert await store.read(lambda connection: get_meta(connection, gap.key)) is None
            events = await events_of(desk, session_id)
            read, said = words_of(events), expected_words(gap.late.samples, gap.late.start_sample)
            assert len(read) == len(set(read)) and len(set(said) - set(read)) <= 2, (read, said)
            for final in of(events, "segment.final"):
                for word in final["words"]:
                    assert abs(word["start_ms"] - int(word["text"][1:]) * 500) <= 300
            transcribed = [e for e in of(events, "coverage") if e["state"] == "transcribed"]
            assert transcribed[0]["from_ms"] >= gap.late.start_sample // 16
        windows = len(engine.windows)
        async with a_server(copy, engine) as desk:
            await recovered(desk)
            assert words_of(await events_of(desk, session_id)) == read
            assert len(engine.windows) == windows
