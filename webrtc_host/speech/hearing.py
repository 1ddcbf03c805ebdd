"""Hearing: a channel's blocks become utterances and the windows that read them.

Puts the pure cores in a row (VAD, endpointing, windowing) with the audio they cut from. `analyse` computes
and belongs in a thread; `decide` and the rest are quick. No events of the wire, no engine. Invariant: a
window is given out with the audio it names, taken before the ring forgets it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host_stt.contract import Priority
from webrtc_host.seams import SAMPLES_PER_MS, Block
from webrtc_host.speech.audio_ring import AudioRing
from webrtc_host.speech.endpointing import Endpointing, SpeechEvent
from webrtc_host.speech.settings import SpeechConfig
from webrtc_host.speech.vad import TRAITS, SpeechProbabilities, VoiceActivity
from webrtc_host.speech.windowing import Windowing, WindowWanted


@dataclass(frozen=True, slots=True)
class WindowHeard:
    """A window to ask for, with its audio."""

    wanted: WindowWanted
    start_sample: int  # of samples[0]
    samples: NDArray[Any]  # (n,) int16


Heard = SpeechEvent | WindowHeard


class Hearing:
    """One channel. `analyse` may run in any thread, but never beside another call."""

    def __init__(self, config: SpeechConfig, new_utterance_id: Callable[[], str]) -> None:
        self._config = config
        self._vad: VoiceActivity | None = None  # made at first need, in the thread: it loads a model
        self._endpointing = Endpointing(config.endpointing, new_utterance_id, TRAITS[config.vad.detector])
        self._windowing = Windowing(config.windowing)
        windowing, endpointing = config.windowing, config.endpointing
        kept_ms = windowing.window_ms_max * 13 // 10 + endpointing.hangover_ms + endpointing.pre_roll_ms
        backlog_ms = config.pipeline.backlog_ms_max  # one call may bring so much
        self._ring = AudioRing((kept_ms + backlog_ms + 2000) * SAMPLES_PER_MS)

    @property
    def is_speaking(self) -> bool:
        return self._endpointing.is_speaking

    @property
    def settled_sample(self) -> int:
        """Before it, what lies outside of utterances told of is silence."""
        return self._endpointing.settled_sample

    @property
    def position(self) -> int:
        """End of the audio heard so far."""
        return self._ring.end_sample

    def analyse(self, blocks: Sequence[Block]) -> list[SpeechProbabilities]:
        """Compute: keep the audio, find the probabilities. 3 ms for a second of audio."""
        if self._vad is None:
            self._vad = VoiceActivity(self._config.vad)
        runs: list[SpeechProbabilities] = []
        for block in blocks:
            self._ring.write(block.samples, block.start_sample)
            runs += self._vad.feed(block)
        return runs

    def decide(self, runs: Sequence[SpeechProbabilities], now_s: float) -> list[Heard]:
        """What these probabilities bring about, frame by frame, so that the size of a batch changes
        nothing."""
        heard: list[Heard] = []
        for run in runs:
            for k in range(len(run.values)):
                frame = run.frame(k)
                events = self._endpointing.feed(frame.values, frame.start_sample, now_s)
                last_speech = self._endpointing.last_speech_sample
                windows = self._windowing.feed(frame.values, frame.start_sample, last_speech)
                heard += [*self._with_audio(windows), *self._follow(events, frame.end_sample)]
        return heard

    def on_tick(self, now_s: float) -> list[Heard]:
        return self._follow(self._endpointing.on_tick(now_s), self._ring.end_sample)

    def flush(self, now_s: float) -> list[Heard]:
        """The channel closes: the frame begun, then the end of the utterance."""
        heard = self.decide(self._vad.flush() if self._vad else [], now_s)
        return [*heard, *self._follow(self._endpointing.flush(), self._ring.end_sample)]

    def release(self) -> None:
        """Let go of the model and the audio, 4 MB a channel; nothing is heard after this."""
        self._vad = None
        self._ring = AudioRing(1)

    def commit(self, utterance_id: str, sample: int) -> None:
        self._windowing.commit(utterance_id, sample)

    def _follow(self, events: Sequence[SpeechEvent], audio_end_sample: int) -> list[Heard]:
        heard: list[Heard] = []
        for event in events:
            windows = self._windowing.on_speech(event, audio_end_sample)
            heard += [event, *self._with_audio(windows)]
        return heard

    def _with_audio(self, windows: Sequence[WindowWanted]) -> list[WindowHeard]:
        heard: list[WindowHeard] = []
        for wanted in windows:
            start, samples = self._ring.read(wanted.start_sample, wanted.end_sample)
            if len(samples):
                heard.append(WindowHeard(wanted, start, samples))
            elif wanted.priority is Priority.FINAL:  # forgotten, or never came: still answered, as silence
                heard.append(WindowHeard(wanted, wanted.start_sample, np.zeros(160, dtype=np.int16)))
        return heard
