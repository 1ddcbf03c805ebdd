"""Sixteen speakers in one peer connection, a fifth of a second apart, and one more track without a channel.

Each says another phrase, which the starter model transcribes without error from the clip alone. Then one
track is added to the live connection, and one is removed.
"""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from aiortc import RTCSessionDescription

from tests.scenarios.voices import Events, OpusTrack, SocketWatcher, Speakers, at_48k, calling, of, said, wer
from tests.support.polling import until
from tests.support.server import Server
from tests.support.speech import padded, say

pytestmark = [
    pytest.mark.net,
    pytest.mark.peer,
    pytest.mark.model,
    pytest.mark.long,
    pytest.mark.timeout(240),
]

PHRASES = (
    "alpha one proceed to gate seven over",
    "bravo two hold at checkpoint three",
    "charlie three return to base over",
    "delta five proceed to the bridge over",
    "echo six hold at gate nine",
    "foxtrot four we are at platform two",
    "golf seven return to the lobby",
    "hotel eight wait at the entrance",
    "india nine move to sector five",
    "lima three we are at terminal one",
    "mike four search the warehouse",
    "november five open gate two",
    "oscar six go to channel three four",
    "papa seven turn left at the corridor",
    "quebec eight report your position",
    "romeo nine meet me at the main stage",
)
UNWANTED = "tango two cleared to land"
NEWCOMER = "whiskey five check your radio"
APART_S = 0.2
WORST_WER = 0.20
"""Of any one phrase: one word of five or more."""
MEAN_WER = 0.05
TOLERANCE_MS = 400
BUSY_BOX_S = 90
"""Sixteen phrases end within five seconds, and two cores read them."""


def first_word_ms(events: Events, channel: str, word: str) -> int:
    """Where a channel's one phrase begins."""
    words = [word for final in of(events, "segment.final", channel) for word in final["words"]]
    starts = [w["start_ms"] for w in words if w["text"].strip(" .,").lower() == word]
    assert len(starts) == 1, f"{word!r} {len(starts)} times on {channel}: {[w['text'] for w in words]}"
    return int(starts[0])


async def offer_again(
    http: aiohttp.ClientSession, url: str, speakers: Speakers, *wishes: dict[str, object]
) -> dict[str, str]:
    """Negotiate the live connection once more; returns the new mid -> channel."""
    body = {**await speakers.client.offer(), "connection": speakers.answer["connection"], "channels": wishes}
    async with http.post(f"{url}/offer", json=body) as response:
        answer = await response.json()
        assert response.status == 200, answer
    await speakers.client.pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
    return {entry["mid"]: entry["channel"] for entry in answer["channels"]}


async def test_each_of_sixteen_is_transcribed_on_its_channel_at_its_time(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        server.wait_ready()
        begins_s = [0.6 + APART_S * number for number in range(len(PHRASES))]
        sounds = [padded(say(text), at_s, 0.0) for text, at_s in zip(PHRASES, begins_s, strict=True)]
        speakers = Speakers([*sounds, padded(say(UNWANTED), 0.6, 0.0)])
        watcher = SocketWatcher()
        async with calling(speakers) as http:
            await watcher.open(http, server.url, since="0")
            wishes: list[dict[str, object]] = [{"mid": str(n), "language": "en"} for n in range(len(PHRASES))]
            await speakers.connect(http, server.url, channels=[*wishes, {"mid": "16", "ignore": True}])
            channels = speakers.channels
            assert channels == [f"C{n:02d}" for n in range(1, 17)]
            await until(
                lambda: all(of(watcher.events, "segment.final", c) for c in channels),
                BUSY_BOX_S,
                "a final on each of sixteen channels",
            )

            newcomer = OpusTrack(at_48k(padded(say(NEWCOMER), 0.5, 0.0)))
            speakers.client.pc.addTransceiver(newcomer, direction="sendonly")
            fed = await offer_again(http, server.url, speakers, {"language": "en"})
            assert len(fed) == 17 and set(fed.values()) == {*channels, "C17"}
            await until(
                lambda: of(watcher.events, "segment.final", "C17"), BUSY_BOX_S, "the newcomer's words"
            )
            speakers.client.pc.getTransceivers()[0].direction = "inactive"
            fed = await offer_again(http, server.url, speakers)
            assert set(fed.values()) == {*channels[1:], "C17"}
            await until(lambda: of(watcher.events, "channel.closed"), 20, "the first one's end")
            assert [(e["channel"], e["reason"]) for e in of(watcher.events, "channel.closed")] == [
                ("C01", "track_removed")
            ]
            await speakers.hang_up(http, server.url)
            await until(lambda: len(of(watcher.events, "channel.closed")) == 17, 20, "the others' end")
            await watcher.leave()

    assert wer(NEWCOMER, said(watcher.events, "C17")) <= WORST_WER
    read = [said(watcher.events, channel) for channel in channels]
    errors = [wer(spoken, text) for spoken, text in zip(PHRASES, read, strict=True)]
    assert max(errors) <= WORST_WER and sum(errors) / len(errors) <= MEAN_WER, read
    assert {e["channel"] for e in of(watcher.events, "segment.final")} == {*channels, "C17"}
    assert "tango" not in said(watcher.events).lower()

    began_s = [track.began_s or 0.0 for track in speakers.tracks]
    found_ms = [
        first_word_ms(watcher.events, channel, phrase.split()[0])
        for channel, phrase in zip(channels, PHRASES, strict=True)
    ]
    truth_ms = [1000 * (began + at) for began, at in zip(began_s, begins_s, strict=False)]
    off_ms = [round(f - found_ms[0] - (t - truth_ms[0])) for f, t in zip(found_ms, truth_ms, strict=True)]
    assert max(map(abs, off_ms)) <= TOLERANCE_MS, off_ms
