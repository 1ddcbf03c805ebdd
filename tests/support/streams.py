"""Results as a channel gives them to a codec: drawn at random, but in the order that the server keeps."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from webrtc_host.events import TimedWord
from webrtc_host.wires.messages import (
    Final,
    Forced,
    Interim,
    Opened,
    Result,
    Settled,
    SpeechBegan,
    SpeechStopped,
    StreamClock,
    Tick,
    UtteranceDone,
)

TEXTS = ("alpha", "alpha one", "alpha one gate", "")


def opened(*streams: str) -> Opened:
    return Opened("", "s_1", "c_1", {name: f"C{number:02d}" for number, name in enumerate(streams, 1)}, 0)


def final(text: str, start_ms: int, end_ms: int, utterance: str = "u_1", stream: str = "0") -> Final:
    words = (TimedWord(text.split()[0], start_ms, end_ms, 0.9),) if text else ()
    return Final(stream, utterance, text, words, start_ms, end_ms, "en")


def tick(received_ms: int, pause_ms: int = 0, stream: str = "0") -> Tick:
    return Tick({stream: StreamClock(received_ms, received_ms, pause_ms)})


@dataclass(frozen=True)
class Utterance:
    """One utterance: its pauses and lengths in ms, its interims, and whether its finals have text."""

    before_ms: int
    spoken_ms: int
    interims: tuple[str, ...]
    finals: tuple[str, ...]
    hangover_ms: int
    after_ms: int
    is_forced: bool


utterances = st.lists(
    st.builds(
        Utterance,
        before_ms=st.integers(0, 9000),
        spoken_ms=st.integers(1, 9000),
        interims=st.lists(st.sampled_from(TEXTS), max_size=3).map(tuple),
        finals=st.lists(st.sampled_from(TEXTS[:3]), max_size=3).map(tuple),
        hangover_ms=st.integers(0, 1500),
        after_ms=st.integers(0, 6000),
        is_forced=st.booleans(),
    ),
    max_size=5,
)


def results_of(said: list[Utterance]) -> list[Result]:
    """The results of these utterances, one after another, on the stream `0`."""
    at, results = 0, list[Result]([opened("0")])
    for number, one in enumerate(said):
        name = f"u_{number}"
        start = at + one.before_ms
        end = start + one.spoken_ms
        results += [tick(start), Settled("0", start), SpeechBegan("0", name, start)]
        for step, text in enumerate(one.interims):
            now = start + one.spoken_ms * (step + 1) // (len(one.interims) + 1)
            results += [tick(now), Interim("0", name, text, 0, start, now, "en")]
        stop = end + one.hangover_ms
        results += [tick(stop, one.hangover_ms), SpeechStopped("0", name, start, end, "hangover")]
        edge = start
        for step, text in enumerate(one.finals):
            to = end if step == len(one.finals) - 1 else edge + (end - edge) // 2
            results.append(final(text, edge, to, name))
            edge = to
        results += [UtteranceDone("0", name, start, end), Settled("0", end)]
        if one.is_forced:
            results.append(Forced("0"))
        at = stop + one.after_ms
        results += [tick(at, at - end), Settled("0", at)]
    return results
