"""A backfill is archived at its true time, and transcribed even if the server crashes before it has done
so.
"""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import numpy as np
import pytest

from host_stt.contract import Float32Array
from tests.support.desk import Desk
from tests.support.polling import until
from tests.support.speech import say, silence
from tests.webrtc_host.recovery.crashing import (
    BUSY_BOX_S,
    SHORT,
    a_server,
    archived,
    crash,
    events_of,
    expected_words,
    of,
    of_log,
    recovered,
    speak,
    word_per_half_second,
    words_of,
)
from tests.webrtc_host.speech.engine_server import engine_server
from webrtc_host.keys import RECORD, RECOVERY
from webrtc_host.recovery.audio import Run
from webrtc_host.seams import Block, BlockKind
from webrtc_host.session.channel import Channel
from webrtc_host.transcript.meta import get_meta

pytestmark = pytest.mark.slow

SECOND = 16_000


@dataclass
class WithGap:
    """A channel that received a second of audio, lost what a client still has, and received a second more."""

    channel: Channel
    sent: Run

    @property
    def key(self) -> str:
        return f"backfill:{self.channel.session.id}:{self.channel.id}:{self.sent.start_sample}"


async def with_gap(desk: Desk) -> WithGap:
    """Fed faster than real time, in a session that began a minute ago."""
    desk.registry._wall = lambda: datetime.now(UTC) - timedelta(seconds=60)
    channel = await speak(desk, silence(1.0))
    desk.registry.get(channel.session.id)._t0_s -= 60
    sent = Run(channel.end_sample, np.concatenate([silence(0.5), say(SHORT), silence(0.5)]))
    channel.feed(Block(sent.start_sample, np.zeros_like(sent.samples), BlockKind.LOST))
    channel.feed(Block(sent.end_sample, silence(1.0)))
    return WithGap(channel, sent)


async def played(desk: Desk, path: str) -> Float32Array:
    async with desk.client.get(f"{desk.url}{path}") as answer:
        assert (answer.status, answer.content_type) == (200, "audio/ogg"), await answer.text()
        data = await answer.read()
    with av.open(io.BytesIO(data), "r") as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=SECOND)
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def likeness(one: Float32Array, other: Float32Array) -> float:
    """Correlation of the loudness in steps of 20 ms; 1: the same."""
    length = min(len(one), len(other)) // 320 * 320
    loud = [np.sqrt((x[:length].reshape(-1, 320) ** 2).mean(axis=1)) for x in (one, other)]
    return float(np.corrcoef(*loud)[0, 1])


async def test_a_backfill_is_played_at_its_true_time(tmp_path: Path) -> None:
    async with engine_server(word_per_half_second) as engine, a_server(tmp_path, engine) as desk:
        gap = await with_gap(desk)
        filled = await desk.app[RECOVERY].fill(gap.channel, [gap.sent])
        assert filled.gaps == ((gap.sent.start_sample, gap.sent.end_sample),)
        await archived(desk, gap.channel)
        session = gap.channel.session
        start_ms, end_ms = gap.sent.start_sample // 16, gap.sent.end_sample // 16
        path = f"/api/sessions/{session.id}/channels/C01/audio?from_ms={start_ms}&to_ms={end_ms}"
        assert likeness(await played(desk, path), gap.sent.samples) > 0.95
        final = of(await events_of(desk, session.id), "segment.final")[0]
        assert final["source"] == "backfill"
        words = await played(desk, f"/api/segments/{final['segment']}/audio?lead_ms=0&trail_ms=0")
        low = final["start_ms"] * 16 - gap.sent.start_sample
        assert likeness(words, gap.sent.samples[low:]) > 0.95


async def test_a_backfill_that_a_crash_interrupts_is_transcribed_once_at_the_next_start(
    tmp_path: Path,
) -> None:
    async with engine_server(lambda window: None) as engine:
        async with a_server(tmp_path / "first", engine) as desk:
            gap = await with_gap(desk)
            filling = asyncio.create_task(desk.app[RECOVERY].fill(gap.channel, [gap.sent]))
            await until(lambda: bool(engine.windows), BUSY_BOX_S)
            await archived(desk, gap.channel)
            copy = crash(tmp_path / "first", tmp_path / "second")
            filling.cancel()
        session_id = gap.channel.session.id
        engine.reply = word_per_half_second
        async with a_server(copy, engine) as desk:
            again = desk.registry.get(session_id)
            await until(lambda: of_log(again, "segment.final"), BUSY_BOX_S)
            await recovered(desk)
            store, recovery = desk.app[RECORD].store, desk.app[RECOVERY]
            await until(lambda: recovery.is_idle, BUSY_BOX_S)
            assert await store.read(lambda connection: get_meta(connection, gap.key)) is None
            events = await events_of(desk, session_id)
            read, said = words_of(events), expected_words(gap.sent.samples, gap.sent.start_sample)
            assert len(read) == len(set(read)) and len(set(said) - set(read)) <= 2, (read, said)
            for final in of(events, "segment.final"):
                for word in final["words"]:
                    assert abs(word["start_ms"] - int(word["text"][1:]) * 500) <= 300
            transcribed = [e for e in of(events, "coverage") if e["state"] == "transcribed"]
            assert transcribed[0]["from_ms"] >= gap.sent.start_sample // 16
        windows = len(engine.windows)
        async with a_server(copy, engine) as desk:
            await recovered(desk)
            assert words_of(await events_of(desk, session_id)) == read
            assert len(engine.windows) == windows
