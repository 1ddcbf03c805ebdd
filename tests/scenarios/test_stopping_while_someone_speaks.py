"""SIGTERM in the middle of a phrase: the speech becomes final before the process ends, within 8 s."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest

from tests.scenarios.voices import Events, SocketWatcher, Speakers, StreamWatcher, calling, of, said, stored
from tests.support.polling import until
from tests.support.server import Server
from tests.support.speech import padded, say

pytestmark = [pytest.mark.net, pytest.mark.peer, pytest.mark.model]

LONG = (
    "alpha one proceed to gate seven over bravo two hold at checkpoint three over echo six hold at gate nine "
)
STOP_S = 8.0
SLACK_S = 3.0
"""For processes to leave Python on a busy box: 7.8 and 8.6 s measured at a load of ten."""
SPOKEN_MS = 2000
"""So much was heard when the signal comes: three words, in the middle of the fourth."""


def has_heard(events: Events, until_ms: int) -> bool:
    """An interim on a fast machine; on a busy one the first final may come first."""
    return any(
        e["end_ms"] >= until_ms for e in (*of(events, "segment.interim"), *of(events, "segment.final"))
    )


async def test_the_last_words_are_final_before_the_end(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        server.wait_ready()
        speakers = Speakers([padded(say(LONG * 3), 0.3, 0)])
        socket, stream = SocketWatcher(), StreamWatcher()
        async with calling(speakers) as http:
            await socket.open(http, server.url, since="0")
            await stream.open(http, server.url, since="0")
            await speakers.connect(http, server.url, channels=[{"language": "en"}])
            await until(lambda: has_heard(socket.events, SPOKEN_MS), 60, "an interim")
            began_s = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(server.process.wait, 30)
            took_s = time.monotonic() - began_s
            await until(lambda: socket.close_code is not None, what="the close code")

            finals = of(socket.events, "segment.final")
            assert "alpha" in said(socket.events), [e for e in socket.events if "words" not in e]
            assert of(socket.events, "error")[0]["code"] == "server_stopping"
            assert socket.events.index(finals[-1]) > socket.events.index(of(socket.events, "error")[0])
            assert of(socket.events, "channel.closed")[0]["reason"] == "server_stopping"
            assert socket.close_code == 1001
            assert stored(stream.events) == stored(socket.events)
            assert of(speakers.events, "segment.final") == finals
            assert took_s < STOP_S
            assert server.process.returncode == 0
            await socket.leave()
            await stream.leave()


async def test_a_hung_engine_does_not_delay_the_end_and_the_loss_is_reported(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        server.wait_ready()
        (engine,) = server.children()
        speakers, socket = Speakers([padded(say(LONG * 3), 0.3, 0)]), SocketWatcher()
        async with calling(speakers) as http:
            await socket.open(http, server.url, since="0")
            await speakers.connect(http, server.url, channels=[{"language": "en"}])
            await until(lambda: has_heard(socket.events, SPOKEN_MS), 60, "an interim")
            engine.suspend()
            began_s = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(server.process.wait, 30)
            took_s = time.monotonic() - began_s
            await until(lambda: socket.close_code is not None, what="the close code")
            assert took_s < STOP_S + SLACK_S
            assert socket.close_code == 1001
            failed = of(socket.events, "window.failed", "C01")
            assert failed and {event["code"] for event in failed} == {"deadline"}
            assert not engine.is_running()
            await socket.leave()
