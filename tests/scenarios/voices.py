"""Speakers and watchers of a running server: real aiortc peers, real sockets.

They replace browsers in the scenarios. Times are seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import aiohttp
import av
import jiwer
import numpy as np
from aiortc import MediaStreamTrack, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av.packet import Packet
from numpy.typing import NDArray

from host_stt.contract import Float32Array
from tests.support.peers import FRAME, Client

SILENT_FRAMES = 10
"""After these the encoder's packets of silence are all alike."""
Events = list[dict[str, Any]]


def at_48k(samples: Float32Array) -> NDArray[np.int16]:
    """16 kHz float32 -> 48 kHz int16, by zeros added to one long Fourier transform."""
    spectrum = np.fft.rfft(samples)
    n = len(samples) * 3
    louder = np.fft.irfft(np.pad(spectrum, (0, n // 2 + 1 - len(spectrum))), n) * 3
    return (np.clip(louder, -1, 1) * 32767).astype(np.int16)


def opus_packets(sound: NDArray[np.int16]) -> list[bytes]:
    """48 kHz mono as Opus, one packet for each 20 ms."""
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "s16"
    encoder.bit_rate = 32_000
    packets: list[bytes] = []
    whole = np.pad(sound, (0, -len(sound) % FRAME))
    for number, piece in enumerate(whole.reshape(-1, FRAME)):
        frame = av.AudioFrame.from_ndarray(piece[np.newaxis, :], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, number * FRAME, Fraction(1, 48_000)
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets


class OpusTrack(MediaStreamTrack):
    """Sends its audio once in real time, then silence until it ends.

    The audio is encoded beforehand: a machine too busy to encode in time would stretch the speech, which a
    server cannot distinguish from pauses.
    """

    kind = "audio"

    def __init__(self, sound: NDArray[np.int16]) -> None:
        super().__init__()
        packets = opus_packets(np.concatenate([sound, np.zeros(SILENT_FRAMES * FRAME, np.int16)]))
        self._packets, self._silence = packets, packets[-1]
        self._sent = 0
        self.began_s: float | None = None

    async def recv(self) -> Packet[Any]:
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        self.began_s = self.began_s or loop.time()
        await asyncio.sleep(max(0.0, self.began_s + self._sent * 0.02 - loop.time()))
        data = self._packets[self._sent] if self._sent < len(self._packets) else self._silence
        packet: Packet[Any] = Packet(data)
        packet.pts, packet.time_base = self._sent * FRAME, Fraction(1, 48_000)
        self._sent += 1
        return packet


class Speakers:
    """One peer connection whose tracks speak, one channel each; keeps the events of its data channel."""

    def __init__(self, sounds: Sequence[Float32Array], *, since: int | None = None) -> None:
        self.tracks = [OpusTrack(at_48k(sound)) for sound in sounds]
        self.client = Client(self.tracks)
        self.events: Events = []
        self.answer: dict[str, Any] = {}
        assert self.client.data is not None
        data = self.client.data
        data.on("message", lambda message: self.events.append(json.loads(message)))
        if since is not None:
            data.on("open", lambda: data.send(json.dumps({"type": "resume", "since": since})))

    async def connect(self, http: aiohttp.ClientSession, url: str, **fields: Any) -> dict[str, Any]:
        """Offer, apply the answer; the audio starts when the connection is established."""
        body = {**await self.client.offer(), **fields}
        async with http.post(f"{url}/offer", json=body) as response:
            self.answer = await response.json()
            assert response.status == 200, self.answer
        await self.client.pc.setRemoteDescription(RTCSessionDescription(self.answer["sdp"], "answer"))
        return self.answer

    @property
    def channels(self) -> list[str]:
        return [entry["channel"] for entry in self.answer["channels"]]

    async def hang_up(self, http: aiohttp.ClientSession, url: str) -> int:
        """Close the connection on the server, which flushes the last words; returns the last seq."""
        async with http.delete(f"{url}/offer/{self.answer['connection']}") as response:
            return int((await response.json())["final_seq"])

    async def close(self) -> None:
        await self.client.close()


class SocketWatcher:
    """Reads `/ws` until it closes."""

    def __init__(self) -> None:
        self.events: Events = []
        self.close_code: int | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self, http: aiohttp.ClientSession, url: str, **query: str) -> None:
        self._socket = await http.ws_connect(f"{url}/ws", params=query)
        self._task = asyncio.create_task(self._read(self._socket))

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            self.events.append(json.loads(message.data))
        self.close_code = socket.close_code

    async def leave(self) -> None:
        if self._socket is not None:
            await self._socket.close()
        if self._task is not None:
            await self._task


class StreamWatcher:
    """Reads `/events` until it ends."""

    def __init__(self) -> None:
        self.events: Events = []
        self.ids: list[int] = []
        self.comments = 0
        self._task: asyncio.Task[None] | None = None

    async def open(
        self, http: aiohttp.ClientSession, url: str, last_event_id: int | None = None, **query: str
    ) -> None:
        headers = {} if last_event_id is None else {"Last-Event-ID": str(last_event_id)}
        response = await http.get(f"{url}/events", params=query, headers=headers)
        assert response.status == 200
        self._task = asyncio.create_task(self._read(response))

    async def _read(self, response: aiohttp.ClientResponse) -> None:
        with contextlib.suppress(aiohttp.ClientPayloadError, aiohttp.ClientConnectionError):
            async for line in response.content:
                self._take(line.decode().rstrip("\n"))
        response.close()

    def _take(self, line: str) -> None:
        if line.startswith("data: "):
            self.events.append(json.loads(line[6:]))
        elif line.startswith("id: "):
            self.ids.append(int(line[4:]))
        elif line.startswith(":"):
            self.comments += 1

    async def leave(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))


@asynccontextmanager
async def calling(*speakers: Speakers) -> AsyncIterator[aiohttp.ClientSession]:
    """A client session, and peers that are closed whatever happens."""
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        try:
            yield http
        finally:
            for speaker in speakers:
                await speaker.close()


def stored(events: Events) -> Events:
    return [event for event in events if "seq" in event]


def has_all(events: Events, final_seq: int) -> bool:
    return bool(stored(events)) and stored(events)[-1]["seq"] >= final_seq


def of(events: Events, kind: str, channel: str | None = None) -> Events:
    return [e for e in events if e["type"] == kind and channel in (None, e.get("channel"))]


def said(events: Events, channel: str | None = None) -> str:
    """The text of the finals, in order."""
    return " ".join(e["raw"] or e["text"] for e in of(events, "segment.final", channel))


def wer(spoken: str, read: str) -> float:
    """Word error rate after lower-casing; punctuation counts as a space, a digit as its word."""
    return float(jiwer.wer(_plain(spoken), _plain(read) or "-"))


_DIGITS = "zero one two three four five six seven eight nine".split()


def _plain(text: str) -> str:
    words = re.sub(r"[^\w\s]", " ", text.lower())
    return " ".join(re.sub(r"\d", lambda d: f" {_DIGITS[int(d[0])]} ", words).split())
