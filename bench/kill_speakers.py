"""Clients that keep speaking during kills: one per channel, over `/ws/pcm` with Opus packets.

They store the wall clock time of each phrase, and how much of it was sent. The audio is encoded once, so
sixteen speakers only send a few packets every 40 ms.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aiohttp

from bench.kill_score import Spoken
from host_stt.contract import Float32Array
from webrtc_host.archive import ogg
from webrtc_host.archive.encoding import RunEncoder
from webrtc_host.seams import Block

PACKET_MS = 20
BUNCH = 2  # packets sent at once
RETRY_S = 0.2
PAUSE_MS = (1500, 2600)
LEAD_MS = 600  # of silence, before the first phrase of a connection


@dataclass(frozen=True, slots=True)
class Phrase:
    text: str
    packets: tuple[bytes, ...]

    @property
    def length_ms(self) -> int:
        return len(self.packets) * PACKET_MS


def phrase_of(text: str, samples: Float32Array) -> Phrase:
    encoder = RunEncoder(0)
    packets = [*encoder.feed(Block(0, samples)), *encoder.flush()]
    return Phrase(text, tuple(packet.payload for packet in packets))


@dataclass(slots=True)
class Sent:
    """One phrase during sending. wall_ms: when its first packet was due."""

    channel: str
    phrase: Phrase
    wall_ms: float
    packets: int = 0
    last_wall_ms: float = 0.0


class Speaker:
    """Speaks until it is stopped; reconnects whenever its connection ends."""

    def __init__(self, channel: str, phrases: Sequence[Phrase], seed: int) -> None:
        self.channel = channel
        self.sent: list[Sent] = []
        self._phrases = phrases
        self._chance = random.Random(seed)
        self._stop = asyncio.Event()
        self.connections = 0

    def stop(self) -> None:
        """Stop after the current phrase."""
        self._stop.set()

    async def run(
        self, http: aiohttp.ClientSession, url: Callable[[], str], session: str | None = None
    ) -> None:
        start = {"encoding": "opus", "language": "en"} | ({"session": session} if session else {})
        while not self._stop.is_set():
            with contextlib.suppress(aiohttp.ClientError, ConnectionError, OSError, RuntimeError):
                async with http.ws_connect(f"{url()}/ws/pcm/{self.channel}", max_msg_size=0) as socket:
                    await socket.send_str(json.dumps(start))
                    if json.loads((await socket.receive()).data or "{}").get("type") == "started":
                        self.connections += 1
                        await self._speak(socket)
            await asyncio.sleep(RETRY_S)

    async def _speak(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        line = _Line(socket)
        await line.silence(LEAD_MS + self._chance.randrange(0, 1500, PACKET_MS))
        while not self._stop.is_set():
            sent = Sent(self.channel, self._chance.choice(self._phrases), line.wall_ms)
            self.sent.append(sent)
            for packet in sent.phrase.packets:
                await line.send(packet)
                sent.packets += 1
                sent.last_wall_ms = time.time() * 1000
            await line.silence(self._chance.randrange(*PAUSE_MS, PACKET_MS))
        await socket.send_str('{"type":"stop"}')
        while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass


class _Line:
    """Sends packets in real time."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._began_s = time.monotonic()
        self._began_wall_ms = time.time() * 1000
        self._count = 0

    @property
    def wall_ms(self) -> float:
        """When the next packet is due."""
        return self._began_wall_ms + self._count * PACKET_MS

    async def send(self, packet: bytes) -> None:
        if self._count % BUNCH == 0:
            due_s = self._began_s + (self._count + BUNCH) * PACKET_MS / 1000
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        if self._socket.closed:
            raise ConnectionResetError
        await self._socket.send_bytes(packet)
        self._count += 1

    async def silence(self, ms: int) -> None:
        for _ in range(ms // PACKET_MS):
            await self.send(ogg.SILENCE_20_MS)


def spoken_of(
    sent: Sequence[Sent], t0_wall_ms: float, kills_wall_ms: Sequence[float], margin_ms: int
) -> list[Spoken]:
    """The phrases as sent. margin_ms: how long packets may be on the way, in this process and in the
    system.
    """
    found: list[Spoken] = []
    for one in sent:
        end_wall_ms = one.wall_ms + one.phrase.length_ms
        is_sent = one.packets == len(one.phrase.packets)
        cut = any(
            one.wall_ms - margin_ms < kill <= max(end_wall_ms, one.last_wall_ms) + margin_ms
            for kill in kills_wall_ms
        )
        found.append(
            Spoken(
                channel=one.channel,
                phrase=one.phrase.text,
                start_ms=round(one.wall_ms - t0_wall_ms),
                length_ms=one.phrase.length_ms,
                sent_ms=one.packets * PACKET_MS,
                received_whole=is_sent and not cut,
                was_cut=cut,
            )
        )
    return found
