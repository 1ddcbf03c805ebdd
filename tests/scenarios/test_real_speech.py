"""Recorded people through the whole path (HOST_STT_SPEECH_DIR); without recordings, a synthesizer's phrases.

The starter model knows no general English, so the words are not checked. The test checks that nothing
crashes, and that the spans of speech agree with those measured in the files or with the phrases.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import av
import numpy as np
import pytest

from host_stt.contract import SAMPLE_RATE, Float32Array
from tests.scenarios.voices import Events, SocketWatcher, Speakers, calling, of
from tests.support.polling import until
from tests.support.recordings import spoken_phrases
from tests.support.server import Server
from tests.support.speech import silence

pytestmark = [pytest.mark.net, pytest.mark.peer, pytest.mark.model]

Span = tuple[float, float]
SPANS: dict[str, tuple[Span, ...]] = {
    "jfk.flac": ((0.32, 2.13), (3.27, 4.31), (5.40, 7.58), (8.18, 10.99)),
    "two-speakers-stereo.wav:0": ((0.00, 4.90),),
    "two-speakers-stereo.wav:1": ((0.36, 2.46),),
    "cards-002.wav": ((0.12, 1.69),),
    "cards-005.wav": ((0.19, 3.22),),
    "lj001-0002.wav": ((0.00, 1.78),),
    "lj001-0006.wav": ((0.00, 2.42), (2.80, 5.57)),
    "osr-8k.wav": ((1.23, 3.75), (4.76, 6.74), (7.79, 9.79), (10.95, 13.86)),
}
"""File, or file:side of a stereo one, and its spans in seconds."""
HEARD_S = 15.0
"""Sound goes at the speed of speech. The longest file has 20 s more: tests/webrtc_host/speech hears them."""
HANGOVER_S = 0.5
"""A shorter pause does not end an utterance: its spans come as one."""
TOLERANCE_S = 0.25 + 0.02 + 0.032
"""As the README has it; and `channel.opened` comes up to a packet before the first sample."""
LAST_PIECE_S = 3.0
"""The rest of a last span that a pause parted."""
LEAD_S = 1.0
SPOKEN_S = HEARD_S + LEAD_S
BUSY_BOX_S = 60.0
FOLDER = os.environ.get("HOST_STT_SPEECH_DIR", "")
PHRASES = [
    "alpha one proceed to gate seven over",
    "bravo two hold at bridge five",
    "tango eight is at hall two",
]


def joined(spans: tuple[Span, ...]) -> list[Span]:
    """Join spans to utterances: pauses shorter than the hangover are no end."""
    found = [spans[0]]
    for start, end in spans[1:]:
        if start - found[-1][1] < HANGOVER_S:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def recording(name: str) -> Float32Array:
    """(n,) float32 at 16 kHz, one side of the file."""
    file, _, side = name.partition(":")
    resampler = av.AudioResampler("fltp", "stereo", SAMPLE_RATE)
    with av.open(Path(FOLDER) / file) as container:
        frames = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
        frames += resampler.resample(None)
    sides = np.concatenate([frame.to_ndarray() for frame in frames], axis=1)
    return np.asarray(sides[int(side or 0)][: int(HEARD_S * SAMPLE_RATE)], dtype=np.float32)


def material() -> tuple[list[Float32Array], list[list[Span]]]:
    """Sounds, and the utterances in each."""
    if FOLDER:
        return [recording(name) for name in SPANS], [joined(spans) for spans in SPANS.values()]
    rows = [spoken_phrases(PHRASES[:count]) for count in (1, 2, 3)]
    return [row for row, _ in rows], [[(one.start_s, one.end_s) for one in said] for _, said in rows]


def utterances(events: Events, channel: str) -> list[Span]:
    """In seconds of the recording: from the channel's opening on, less the silence in front."""
    return [
        (
            (e["start_ms"] - opened["start_ms"]) / 1000 - LEAD_S,
            (e["end_ms"] - opened["start_ms"]) / 1000 - LEAD_S,
        )
        for opened in of(events, "channel.opened", channel)
        for e in of(events, "speech.ended", channel)
    ]


def check_spans(name: str, found: list[Span], expected: list[Span]) -> None:
    """Begin and end of each span are detected; a pause slightly above the hangover may split it."""
    for start, end in expected:
        inside = [u for u in found if u[0] < end and u[1] > start]
        assert inside, f"{name}: nothing heard in {start}-{end}, but {found}"
        assert round(abs(inside[0][0] - start), 3) <= TOLERANCE_S, f"{name}: {found}"
        assert round(abs(inside[-1][1] - end), 3) <= TOLERANCE_S, f"{name}: {found}"
    assert all(any(u[0] < end and u[1] > start for start, end in expected) for u in found), f"{name}: {found}"


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_spans_of_speech_agree_with_where_people_speak(tmp_path: Path) -> None:
    sounds, expected = material()
    # The starter model writes words such as "over" for any speech, and they would end an utterance early.
    with Server(tmp_path, "--set", "speech.endpointing.closing_words=[]") as server:
        server.wait_ready()
        speakers = Speakers([np.concatenate([silence(LEAD_S), sound]) for sound in sounds])
        socket = SocketWatcher()
        async with calling(speakers) as http:
            await socket.open(http, server.url, since="0")
            answer = await speakers.connect(http, server.url)
            places = list(zip(speakers.channels, expected, strict=True))

            def all_detected() -> bool:
                return all(
                    any(u[1] > spans[-1][0] for u in utterances(socket.events, channel))
                    for channel, spans in places
                )

            await until(all_detected, SPOKEN_S + BUSY_BOX_S, "the last utterance")
            await asyncio.sleep(LAST_PIECE_S)
            await speakers.hang_up(http, server.url)
            for channel, spans in places:
                check_spans(channel, utterances(socket.events, channel), spans)
            assert not of(socket.events, "error")
            assert not of(socket.events, "window.failed")
            assert (await server.get(f"/api/sessions/{answer['session']}"))[0] == 200
            assert not [line for line in server.err if "Traceback" in line or " ERROR " in line]
            await socket.leave()
