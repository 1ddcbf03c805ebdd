"""Four speakers in one peer connection, each with another phrase; and three kinds of watchers.

The starter model transcribes these phrases without error from the clip alone: the test checks the path to the
model, and that no channel gets another one's audio.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.scenarios.voices import (
    SocketWatcher,
    Speakers,
    StreamWatcher,
    calling,
    has_all,
    of,
    said,
    stored,
    wer,
)
from tests.support.polling import until
from tests.support.server import Server
from tests.support.speech import padded, say
from webrtc_host.seams import EventType
from webrtc_host.transcript.event_codec import FIELDS

pytestmark = [pytest.mark.net, pytest.mark.peer, pytest.mark.model]

PHRASES = (
    "alpha one proceed to gate seven over",
    "bravo two hold at checkpoint three",
    "echo six hold at gate nine",
    "medic four proceed to runway two",
)
WORST_WER = 0.20
"""Of any one phrase: one word of five or six."""
MEAN_WER = 0.10
SPOKEN_S = 60
"""For the words of four channels on a busy box of two cores."""


async def test_each_phrase_is_final_on_its_own_channel_for_all_watchers(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        server.wait_ready()
        speakers = Speakers([padded(say(phrase), 0.5, 0.0) for phrase in PHRASES], since=0)
        socket, stream = SocketWatcher(), StreamWatcher()
        async with calling(speakers) as http:
            await socket.open(http, server.url, since="0")
            await stream.open(http, server.url, since="0")
            await speakers.connect(http, server.url, channels=[{"language": "en"}] * 4)
            channels = speakers.channels
            assert channels == ["C01", "C02", "C03", "C04"]
            await until(
                lambda: all(of(socket.events, "segment.final", c) for c in channels),
                SPOKEN_S,
                "a final on each",
            )
            final_seq = await speakers.hang_up(http, server.url)
            for watcher in (socket, stream, speakers):
                await until(partial(has_all, watcher.events, final_seq), 10, "the last event")

            errors = [
                wer(phrase, said(socket.events, c)) for phrase, c in zip(PHRASES, channels, strict=True)
            ]
            assert max(errors) <= WORST_WER, [said(socket.events, c) for c in channels]
            assert sum(errors) / len(errors) <= MEAN_WER
            assert any(of(socket.events, "segment.interim", c) for c in channels)

            everything = stored(socket.events)
            assert [event["seq"] for event in everything] == list(range(1, final_seq + 1))
            assert stored(stream.events) == everything
            assert stream.ids == [event["seq"] for event in everything]
            assert stored(speakers.events) == everything, "this connection feeds every channel"
            for final in of(everything, "segment.final"):
                assert 0 <= final["start_ms"] < final["end_ms"]
                assert final["latency_ms"] >= 0
            for event in socket.events:
                known = [name for name in FIELDS[EventType(event["type"])] if name in event]
                assert list(event)[-len(known) :] == known, "only listed fields, in their order"
            await socket.leave()
            await stream.leave()
