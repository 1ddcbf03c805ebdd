"""An utterance driven through endpointing's events, windowing and merge without audio: the script is the
truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from host_stt.contract import Float32Array, Priority, Transcript, Word
from host_stt.engines.base import Engine
from tests.webrtc_host.speech.helpers import MS, transcript_of, window_for
from webrtc_host.speech.endpointing import Rule, SpeechEnded, SpeechStarted
from webrtc_host.speech.merge import Committed, InterimText, MergeEvent, UtteranceMerge
from webrtc_host.speech.vad import FRAME_SAMPLES
from webrtc_host.speech.windowing import Windowing, WindowSpec
from webrtc_host.speech.windowing_config import WindowingConfig

PRE_ROLL = 300 * MS
HANGOVER = 500 * MS


@dataclass
class Outcome:
    events: list[MergeEvent] = field(default_factory=list)
    windows: list[WindowSpec] = field(default_factory=list)
    asked_at: list[int] = field(default_factory=list)  # audio position when each window was asked
    committed: list[tuple[int, Committed]] = field(default_factory=list)  # with the audio position then

    @property
    def words(self) -> list[Word]:
        return [w for e in self.events if isinstance(e, Committed) for w in e.words]

    @property
    def text(self) -> str:
        return " ".join(w.text for w in self.words)

    @property
    def interims(self) -> list[InterimText]:
        return [e for e in self.events if isinstance(e, InterimText)]

    @property
    def finals(self) -> list[WindowSpec]:
        return [w for w in self.windows if w.priority is Priority.FINAL]


Deliver = Callable[[WindowSpec], Transcript | None]


def probabilities(script: Sequence[Word], start_sample: int, end_sample: int) -> Float32Array:
    """1.0 in frames that lie in a word, 0.4 in those between (speech, but quieter)."""
    values = []
    for at in range(start_sample, end_sample, FRAME_SAMPLES):
        middle = at + FRAME_SAMPLES // 2
        spoken = any(w.start_sample <= middle < w.end_sample for w in script)
        values.append(1.0 if spoken else 0.4)
    return np.array(values, dtype=np.float32)


def speak(
    script: Sequence[Word],
    engine: Engine,
    config: WindowingConfig | None = None,
    *,
    fails: Callable[[WindowSpec], bool] = lambda _: False,
    delay: int = 0,
    hears_pauses: bool = False,
) -> Outcome:
    """One utterance. delay: how many further final windows are asked before one is answered.

    hears_pauses: the detector finds silence between words; else all of the utterance is speech to it.
    """
    windowing = Windowing(config or WindowingConfig())
    start, end = script[0].start_sample, script[-1].end_sample
    merge = UtteranceMerge("u_1", start)
    outcome = Outcome()
    waiting: list[WindowSpec] = []

    def answer(windows: WindowSpec, at: int) -> None:
        if fails(windows):
            events = merge.fail(windows)
        else:
            (reading,) = engine.decode([window_for(windows)])
            events = merge.feed(windows, transcript_of(reading))
        outcome.events += events
        outcome.committed += [(at, event) for event in events if isinstance(event, Committed)]
        windowing.commit("u_1", merge.window_commit_sample, merge.restart_sample)

    def ask(windows: Sequence[WindowSpec], at: int) -> None:
        for one in windows:
            outcome.windows.append(one)
            outcome.asked_at.append(at)
            if one.priority is Priority.INTERIM:
                answer(one, at)
                continue
            waiting.append(one)
            if len(waiting) > delay:
                answer(waiting.pop(0), at)

    windowing.on_speech(SpeechStarted("u_1", start, max(0, start - PRE_ROLL)), start)
    values = probabilities(script, start, end + HANGOVER)
    speech_end = start
    for i in range(len(values)):
        at = start + i * FRAME_SAMPLES
        if not hears_pauses or any(w.start_sample < at + FRAME_SAMPLES and at < w.end_sample for w in script):
            speech_end = min(at + FRAME_SAMPLES, end)
        ask(windowing.feed(values[i : i + 1], at, speech_end), at + FRAME_SAMPLES)
    audio_end = start + len(values) * FRAME_SAMPLES
    ask(windowing.on_speech(SpeechEnded("u_1", start, end, Rule.HANGOVER), audio_end), audio_end)
    while waiting:
        answer(waiting.pop(), audio_end)  # the newest first: answers come in any order
    return outcome
