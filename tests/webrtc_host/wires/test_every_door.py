"""The same audio, and the same mistakes, at the WebSocket doors of all protocols."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from bench.clients.doors import DOORS, SAME_SAMPLES, Caller, Door, transcribed
from host_stt.contract import Transcript, Window, Word
from tests.support.desk import Desk, a_config, close_code_and_reason, running_desk
from tests.support.polling import until
from tests.support.speech import padded, say
from tests.support.wires import heard, hearing_desk, left_tasks

VOICE = padded(say("alpha one"), 0.3, 0.7)
SPEECH = np.concatenate([VOICE / 4, VOICE, VOICE / 4])
LOUD = 0.4 * float(np.abs(VOICE).max())
HEARD = "soft loud soft"
SIXTEEN_MIB = bytes(16 * 1024 * 1024)
BY_NAME = {door.name: door for door in DOORS}
CALLERS, PLACES = 12, 2
FULL = {
    "pcm": {4429},
    "deepgram v1": {429},
    "deepgram v2": {429},
    "assemblyai": {429},
    "speechmatics": {429, 4005},
    "agent stt": {429, 4005},
    "whisperlive": {1000},
    "openai": {1013},
    "vosk": {1011},
    "twilio": {1013},
    "telnyx": {1013},
}
"""HTTP statuses and close codes of the callers that find no free channel. WhisperLive's are told to wait."""


@pytest.fixture
async def silent(tmp_path: Path) -> AsyncIterator[Desk]:
    """A server whose channels transcribe nothing, with places for two."""
    async with running_desk(a_config(tmp_path, limits={"channels_per_process": PLACES})) as desk:
        yield desk


async def begun(caller: Caller, door: Door, channel: str = "C01") -> aiohttp.ClientWebSocketResponse:
    """A connection that has sent its first audio."""
    socket: aiohttp.ClientWebSocketResponse = await caller.connect(door, channel)
    for message in (*door.begin, door.frame(0, bytes(1600))):
        await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))
    return socket


def _are_done(calls: Sequence[asyncio.Task[int]], count: int) -> bool:
    return sum(call.done() for call in calls) == count


async def until_nothing_is_left(desk: Desk) -> None:
    await until(lambda: not desk.registry.connections and not left_tasks())
    await until(lambda: not desk.subscribers.statistics().watchers)
    assert all(channel.connection is None for channel in desk.session.channels.values())


def loudness(window: Window) -> Transcript:
    """The stand-in's answer: whether the speech is loud or soft, however a busy machine cuts the windows."""
    transcript = heard(window)
    if not transcript.segments:
        return transcript
    peak = float(np.abs(window.samples.astype(np.float32)).max())
    peak /= 32768 if window.samples.dtype == np.int16 else 1
    (segment,) = transcript.segments
    text = "loud" if peak > LOUD else "soft"
    words = (Word(text, segment.start_sample, segment.end_sample, 0.9),) if segment.words else ()
    return replace(transcript, segments=(replace(segment, text=text, words=words),))


def each_once(texts: Iterable[str]) -> str:
    """The words without direct repetitions: an utterance in two parts says its word twice."""
    return " ".join(word for word, _ in groupby(" ".join(texts).split()))


async def test_the_same_samples_have_the_same_finals_at_every_door(tmp_path: Path) -> None:
    doors = [BY_NAME[name] for name in SAME_SAMPLES]
    async with hearing_desk(tmp_path, loudness) as desk:
        caller = Caller(desk.client, desk.url)
        told = await asyncio.gather(
            *(transcribed(caller, door, f"C{at:02d}", SPEECH) for at, door in enumerate(doors, 1))
        )
        await until_nothing_is_left(desk)
        await desk.settled()
        _, body = await desk.get(f"/api/sessions/{desk.session.id}/segments")
    for at, (door, one) in enumerate(zip(doors, told, strict=True), 1):
        lines = [line["text"] for line in body["segments"] if line["channel"] == f"C{at:02d}"]
        assert each_once(lines) == HEARD, door.name
        assert not door.has_results or one.text == " ".join(lines), door.name
        assert one.are_times_monotone and one.close_code == 1000 and not one.late, door.name


async def test_a_frame_of_16_mib_harms_its_own_connection_only(silent: Desk) -> None:
    caller = Caller(silent.client, silent.url)
    other = await begun(caller, BY_NAME["deepgram v1"], "C02")
    codes = {}
    for door in DOORS:
        socket = await begun(caller, door)
        with contextlib.suppress(ConnectionError):  # the server has closed, and reads no more
            await socket.send_bytes(SIXTEEN_MIB)
        if door.name == "openai":  # its own limit is larger: the message is refused, and the session goes on
            kinds = [(await socket.receive_json(timeout=20))["type"] for _ in range(3)]
            assert kinds == ["session.created", "session.updated", "error"]
            await socket.close()
        else:
            codes[door.name] = (await close_code_and_reason(socket))[0]
        await until(lambda: len(silent.registry.connections) == 1)
    assert set(codes.values()) == {aiohttp.WSCloseCode.MESSAGE_TOO_BIG}, codes
    await other.send_json({"type": "CloseStream"})
    assert (await close_code_and_reason(other))[0] == aiohttp.WSCloseCode.OK
    await until_nothing_is_left(silent)


async def test_of_many_callers_at_once_the_first_get_the_places(silent: Desk) -> None:
    caller = Caller(silent.client, silent.url)
    told: dict[str, set[int]] = {}
    for door in DOORS:
        sockets: list[aiohttp.ClientWebSocketResponse] = []

        async def refused(number: int, door: Door = door, sockets: list[Any] = sockets) -> int:
            """The HTTP status or the close code of the refusal. Waits while the connection is open."""
            try:
                socket = await begun(caller, door, f"C{number:02d}")
            except aiohttp.WSServerHandshakeError as error:
                return error.status
            sockets.append(socket)
            return (await close_code_and_reason(socket))[0]

        calls = [asyncio.create_task(refused(number)) for number in range(1, CALLERS + 1)]
        await until(partial(_are_done, calls, CALLERS - PLACES))
        told[door.name] = {call.result() for call in calls if call.done()}
        assert len(silent.registry.connections) == PLACES
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await asyncio.gather(*(socket.close() for socket in sockets))
        await until_nothing_is_left(silent)
    assert all(codes and codes <= FULL[name] for name, codes in told.items()), told
