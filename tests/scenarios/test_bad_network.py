"""A bad network, end to end: all audio that was sent is transcribed, at its time.

Real server processes with the starter model, a real aiortc client, and `tests.support.relay` between them.
The client cannot send anything again (a browser can: tests/browser/test_reconnect.py), so nothing is said
while the network is cut; all other network conditions apply while people speak.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiortc import RTCSessionDescription

from host_stt.contract import SAMPLE_RATE, Float32Array
from tests.scenarios.voices import Events, Speakers, calling, of, said, wer
from tests.support.polling import until
from tests.support.relay import Relay, without_candidates
from tests.support.server import Server
from tests.support.speech import say, silence

pytestmark = [pytest.mark.model, pytest.mark.net, pytest.mark.peer, pytest.mark.timeout(240)]

PHRASES = (
    "alpha one proceed to gate seven over",
    "bravo two hold at bridge five over",
    "engine four we are at checkpoint two",
    "charlie three return to base over",
    "delta five proceed to the bridge over",
)
TOLERANCE_MS = 300
BUSY_BOX_S = 90.0
AT_ONCE_S = 10.0  # the server would take half a minute to give up the lost connection by itself


@dataclass(frozen=True, slots=True)
class Script:
    """Audio, and the begin and end of each phrase in it, in seconds."""

    sound: Float32Array
    begins_s: tuple[float, ...]
    ends_s: tuple[float, ...]


def script(phrases: tuple[str, ...], pauses_s: tuple[float, ...], lead_s: float = 1.5) -> Script:
    pieces, begins, ends = [silence(lead_s)], [], []
    for phrase, pause_s in zip(phrases, pauses_s, strict=True):
        begins.append(sum(map(len, pieces)) / SAMPLE_RATE)
        pieces.append(say(phrase))
        ends.append(sum(map(len, pieces)) / SAMPLE_RATE)
        pieces.append(silence(pause_s))
    return Script(np.concatenate(pieces), tuple(begins), tuple(ends))


class Caller(Speakers):
    """Sends speech through the relay, and knows the current second of its audio."""

    def __init__(self, what: Script) -> None:
        super().__init__([what.sound], since=None)
        self.script = what

    async def connect_through(
        self, relay: Relay, http: aiohttp.ClientSession, **fields: Any
    ) -> dict[str, Any]:
        body = {**await self.client.offer(), **fields}
        body["sdp"] = without_candidates(body["sdp"])
        async with http.post(f"{relay.url}/offer", json=body) as response:
            self.answer = await response.json()
            assert response.status == 200, self.answer
        answer = RTCSessionDescription(relay.through(self.answer["sdp"]), "answer")
        await self.client.pc.setRemoteDescription(answer)
        await until(lambda: self.tracks[0].began_s is not None, BUSY_BOX_S, "the first packet")
        return self.answer

    async def at(self, second: float) -> None:
        began_s = self.tracks[0].began_s
        assert began_s is not None
        await asyncio.sleep(max(0.0, began_s + second - asyncio.get_running_loop().time()))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    with Server(tmp_path) as started:
        await asyncio.to_thread(started.wait_ready)
        yield started


async def all_events(http: aiohttp.ClientSession, url: str, last_seq: int) -> Events:
    """The stored events up to `last_seq`."""
    async with http.ws_connect(f"{url}/ws", params={"since": "0"}) as socket:
        events: Events = []
        while not events or events[-1].get("seq", 0) < last_seq:
            events.append(await socket.receive_json(timeout=BUSY_BOX_S))
        return events


def assert_at_true_times(finals: Events, phrases: tuple[str, ...], begins_s: tuple[float, ...]) -> None:
    """The first word of each phrase (which is unique) is in the text once, at its true distance in time."""
    words = [word for final in finals for word in final["words"]]
    starts = []
    for phrase in phrases:
        first = phrase.split()[0]
        found = [word["start_ms"] for word in words if word["text"].strip(" .,").lower() == first]
        assert len(found) == 1, f"{first!r} {len(found)} times in {[word['text'] for word in words]}"
        starts += found
    errors = [
        round(start - starts[0] - (true - begins_s[0]) * 1000)
        for start, true in zip(starts, begins_s, strict=True)
    ]
    assert max(map(abs, errors)) <= TOLERANCE_MS, errors


@pytest.mark.long
async def test_speech_over_a_bad_network_is_transcribed_at_its_time(server: Server) -> None:
    what = script(PHRASES, (1.5, 5.0, 8.5, 1.5, 1.5))  # aiortc finds a new path within 6 s
    caller = Caller(what)
    port = int(server.url.rpartition(":")[2])
    with Relay(port) as relay:
        async with calling(caller) as http:
            await caller.connect_through(relay, http)
            await caller.at(what.begins_s[1] - 0.5)
            relay.conditions.loss, relay.conditions.jitter_s, relay.conditions.doubled = 0.05, 0.04, 0.02
            await caller.at(what.ends_s[1] + 0.5)
            relay.conditions.loss = relay.conditions.jitter_s = relay.conditions.doubled = 0.0
            with relay.cut():
                await caller.at(what.ends_s[1] + 3.5)
            await caller.at(what.ends_s[2] + 0.5)
            relay.change_address()
            await caller.at(what.begins_s[4])
            server.process.send_signal(signal.SIGSTOP)  # stronger than a blocked loop: no thread of 8082 runs
            await asyncio.sleep(3.0)
            server.process.send_signal(signal.SIGCONT)
            await until(lambda: len(of(caller.events, "segment.final")) >= 5, BUSY_BOX_S, "five phrases")
            last_seq = await caller.hang_up(http, relay.url)
            events = await all_events(http, server.url, last_seq)
    assert wer(" ".join(PHRASES), said(events)) <= 0.1
    assert_at_true_times(of(events, "segment.final"), PHRASES, what.begins_s)
    lost = [e for e in of(events, "coverage") if e["state"] == "lost"]
    assert sum(e["to_ms"] - e["from_ms"] for e in lost) >= 2000


async def test_a_client_gets_its_channel_back_at_once_after_a_network_loss(server: Server) -> None:
    before = script(PHRASES[:1], (1.0,))
    after = script(PHRASES[1:2], (1.5,))
    first, second = Caller(before), Caller(after)
    port = int(server.url.rpartition(":")[2])
    loop = asyncio.get_running_loop()
    with Relay(port) as relay:
        async with calling(first, second) as http:
            answer = await first.connect_through(relay, http)
            await until(lambda: of(first.events, "segment.final"), BUSY_BOX_S, "the first phrase")
            with relay.cut():
                await asyncio.sleep(2.0)
                first.client.cut_network()
            back_s = loop.time()
            again = await second.connect_through(relay, http, resume=answer["resume"])
            took_s = loop.time() - back_s
            await until(lambda: of(second.events, "segment.final"), BUSY_BOX_S, "the second phrase")
            last_seq = await second.hang_up(http, relay.url)
            events = await all_events(http, server.url, last_seq)
    assert (again["resumed"], again["session"]) == (True, answer["session"])
    assert [entry["channel"] for entry in again["channels"]] == first.channels
    assert took_s < AT_ONCE_S
    assert {event["channel"] for event in of(events, "segment.final")} == set(first.channels)
    assert wer(" ".join(PHRASES[:2]), said(events)) <= 0.1
    closed = [event["reason"] for event in of(events, "channel.closed")]
    assert closed == ["resumed", "hung_up"]
