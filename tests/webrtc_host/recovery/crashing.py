"""A server that crashes in one process: its data folder is copied, and a second server starts on the copy.

After `kill -9` the operating system has all that the process has written; a copy of the files has the same.
The engine of these tests returns one word with a number for each half second of speech, so that the text
shows its time.
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

from host_stt.contract import Answer, Float32Array, Segment, Transcript, Window, Word
from tests.support.desk import Desk, a_config, running_desk
from tests.support.polling import until
from tests.webrtc_host.speech.engine_server import EngineServer
from webrtc_host.keys import ARCHIVE, RECOVERY
from webrtc_host.seams import Block
from webrtc_host.session.channel import Channel, ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.session import Session

STEP = 8000
"""Samples of one word: half a second."""
LONG = "alpha one proceed to gate seven and hold there until bravo two calls you back over " * 2
SHORT = "echo six hold at gate nine"
BUSY_BOX_S = 90.0
PACKET_MS = 27
"""The archive ends later than the audio: by the rest of a packet and the encoder's delay of 6.5 ms."""


def word_per_half_second(window: Window) -> Answer:
    """`w7` for the half second that begins at 3.5 s, if the window has audio there."""
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
    """An engine that never responds to a window that reaches beyond this sample."""

    def reply(window: Window) -> Answer | None:
        return word_per_half_second(window) if window.start_sample + len(window.samples) <= sample else None

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
    """Feed a channel faster than real time. It stays open."""
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


async def archived(desk: Desk, channel: Channel) -> None:
    """Wait until all audio that was fed is in the archive."""
    archive = desk.app[ARCHIVE].archive
    assert archive is not None
    await until(lambda: archive.encoder.waiting_ms == 0, BUSY_BOX_S)
    rounds = archive.writer.statistics().rounds
    # The encoder ends its last packet half a second after the last block.
    await until(lambda: archive.writer.statistics().rounds >= rounds + 20, BUSY_BOX_S)


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
    """A copy of the files as they are at this moment, incomplete ones too."""
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("*.lock"))
    return to


def of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


def words_of(events: list[dict[str, Any]]) -> list[str]:
    finals = sorted(of(events, "segment.final"), key=lambda final: final["start_ms"])
    return [word for final in finals for word in final["raw"].split()]


def expected_words(sound: Float32Array, start: int) -> list[str]:
    """The words of an engine that has all the audio."""
    words = []
    for k in range(start // STEP + 1, (start + len(sound)) // STEP):
        piece = sound[k * STEP - start :][:STEP]
        if len(piece) == STEP and float(np.abs(piece).max()) > 0.05:
            words.append(f"w{k}")
    return words


def assert_whole(events: list[dict[str, Any]], sound: Float32Array) -> None:
    """Every half second of speech is one word, once, at its time. A word at an edge of speech may be cut."""
    read, expected = words_of(events), expected_words(sound, 1)
    assert len(read) == len(set(read)), f"published twice: {[w for w, n in Counter(read).items() if n > 1]}"
    assert len(set(expected) - set(read)) <= 2 * len(of(events, "speech.started")), (read, expected)
    for final in of(events, "segment.final"):
        for word in final["words"]:
            assert abs(word["start_ms"] - int(word["text"][1:]) * 500) <= 300
    started = [event["utterance"] for event in of(events, "speech.started")]
    ended = [event["utterance"] for event in of(events, "speech.ended")]
    assert len(started) == len(set(started))
    assert sorted(started) == sorted(ended)
    assert {final["utterance"] for final in of(events, "segment.final")} <= set(started)


def assert_coverage_is_of_audio(events: list[dict[str, Any]], channel_end_ms: int) -> None:
    """After the crash, coverage changes only for time with archived audio; the time without a server is
    lost.
    """
    crashed = next(event["seq"] for event in of(events, "channel.closed"))
    changes = [event for event in of(events, "coverage") if event["seq"] > crashed]
    assert any(event["state"] == "transcribed" for event in changes)
    for event in changes:
        if event["state"] != "lost":
            assert event["to_ms"] <= channel_end_ms + PACKET_MS, event


def of_log(session: Session, kind: str) -> list[dict[str, Any]]:
    """The events of this type that the session's log holds, as on the wire."""
    return of([json.loads(event.data) for event in session.log.since(0)], kind)
