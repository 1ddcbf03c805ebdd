"""A radio phrase over a real feed: the word "over" ends the utterance, and silence alone does not."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from tests.scenarios.voices import SocketWatcher
from tests.support.polling import until
from tests.support.server import Server
from tests.support.speech import padded, say

pytestmark = [pytest.mark.net, pytest.mark.model]

PHRASE = "go to channel nine one over"
FRAME_SAMPLES = 1600
PATIENT = "speech.endpointing.hangover_ms=5000"
"""Long enough that a busy machine has the text before: the hangover never ends the utterance here."""


async def test_over_ends_the_utterance_at_once(tmp_path: Path) -> None:
    with Server(tmp_path, "--set", "engine.model=starter", "--set", PATIENT) as server:
        server.wait_ready()
        watcher = SocketWatcher()
        async with aiohttp.ClientSession(server.url) as http:
            async with http.post("/sessions/create", json={}) as response:
                session = (await response.json())["session_id"]
            await watcher.open(http, server.url, session=session)
            async with http.ws_connect("/ws/pcm/C01") as socket:
                await socket.send_json(
                    {"encoding": "pcm_s16le", "sample_rate": 16_000, "session": session, "language": "en"}
                )
                assert json.loads((await socket.receive()).data)["type"] == "started"
                samples = np.round(padded(say(PHRASE), after_s=4.0) * 32767).astype("<i2")
                for at in range(0, len(samples), FRAME_SAMPLES):
                    await socket.send_bytes(samples[at : at + FRAME_SAMPLES].tobytes())
                    if _of(watcher, "segment.final"):
                        break
                await until(lambda: bool(_of(watcher, "segment.final")), 10.0, "the final text")
            await watcher.leave()
        (ended,) = _of(watcher, "speech.ended")
        assert ended["rule"] == "closing_word"
        assert str(_of(watcher, "segment.final")[0]["text"]).lower().endswith("over")


def _of(watcher: SocketWatcher, kind: str) -> list[dict[str, object]]:
    return [event for event in watcher.events if event["type"] == kind]
