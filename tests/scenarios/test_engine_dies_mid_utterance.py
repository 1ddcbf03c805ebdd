"""The engine is killed during an utterance: 8082 stays up, and the text follows after the restart."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.scenarios.voices import SocketWatcher, Speakers, calling, of, said, wer
from tests.support.polling import until
from tests.support.server import Server
from tests.support.speech import padded, say

pytestmark = [pytest.mark.net, pytest.mark.peer, pytest.mark.model]

PHRASE = "alpha one proceed to gate seven over"
BACK_S = 90
"""To start a new engine and load its model on a busy box."""


async def test_speech_during_the_engines_absence_becomes_final(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        server.wait_ready()
        (engine,) = server.children()
        speakers = Speakers([padded(say(PHRASE), 0.5, 0)])
        socket = SocketWatcher()
        async with calling(speakers) as http:
            await socket.open(http, server.url, since="0")
            await speakers.connect(http, server.url, channels=[{"language": "en"}])
            await until(lambda: of(socket.events, "speech.started"), 60, "speech")
            engine.send_signal(signal.SIGKILL)
            await until(lambda: of(socket.events, "speech.ended"), 60, "the end of the phrase")
            async with http.get(f"{server.url}/health") as response:
                assert response.status == 200, "8082 is still alive"
            await until(lambda: of(socket.events, "segment.final"), BACK_S, "the final")
            assert wer(PHRASE, said(socket.events)) <= 0.2
            assert not of(socket.events, "window.failed")
            assert server.process.poll() is None
            assert [child.pid for child in server.children()] != [engine.pid]
            await until(server.is_ready, BACK_S, "the new engine is ready")
            await socket.leave()
