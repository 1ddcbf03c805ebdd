"""Speech analysis: turns a channel's blocks into utterances, and into windows with their audio.

It connects the pure stages (VAD, endpointing, windowing) with the buffer of past audio. `analyse` is the
heavy part and runs in a thread; the other methods are quick. Events and the engine are not known here.
Invariant: a window is returned with its audio, read before the buffer drops it.
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
from webrtc_host.speech.endpointing import Endpointing, SpeechEvent, State
from webrtc_host.speech.settings import SpeechConfig
from webrtc_host.speech.vad import TRAITS, SpeechProbabilities, VoiceActivity
from webrtc_host.speech.windowing import Windowing, WindowSpec


@dataclass(frozen=True, slots=True)
class WindowAudio:
    """A window to send, with its audio."""

    spec: WindowSpec
    start_sample: int  # of samples[0]
    samples: NDArray[Any]  # (n,) int16


AnalysisEvent = SpeechEvent | WindowAudio


class SpeechAnalysis:
    """The analysis of one channel. `analyse` may run in any thread, but not during another call."""

    def __init__(
        self,
        config: SpeechConfig,
        new_utterance_id: Callable[[], str],
        has_room_for_context: Callable[[Priority], bool] = lambda _: True,
    ) -> None:
        """has_room_for_context: see `Windowing`; it is called in the thread that analyses."""
        self._config = config
        self._vad: VoiceActivity | None = None  # made in the thread at first use, because it loads a model
        self._endpointing = Endpointing(config.endpointing, new_utterance_id, TRAITS[config.vad.detector])
        on_probability, _ = config.endpointing.thresholds(TRAITS[config.vad.detector])
        self._windowing = Windowing(config.windowing, on_probability, has_room_for_context)
        windowing, endpointing = config.windowing, config.endpointing
        kept_ms = (
            windowing.context_ms
            + windowing.window_ms_max * 13 // 10
            + endpointing.hangover_ms
            + endpointing.pre_roll_ms
        )
        backlog_ms = config.pipeline.backlog_ms_max  # one call may bring this much audio
        self._ring = AudioRing((kept_ms + backlog_ms + 2000) * SAMPLES_PER_MS)

    @property
    def is_speaking(self) -> bool:
        return self._endpointing.is_speaking

    @property
    def is_pausing(self) -> bool:
        """Whether an utterance is open, and silent now."""
        return self._endpointing.state is State.STOPPING

    @property
    def pause_samples(self) -> int:
        """The silence since the last speech; 0 during speech."""
        if self._endpointing.state is State.SPEAKING:
            return 0
        return max(0, self.position - self._endpointing.last_speech_sample)

    @property
    def settled_sample(self) -> int:
        """Audio before this sample is in an utterance that was reported, or it is silence for good."""
        return self._endpointing.settled_sample

    @property
    def position(self) -> int:
        """End of the audio so far."""
        return self._ring.end_sample

    def analyse(self, blocks: Sequence[Block]) -> list[SpeechProbabilities]:
        """Store the audio and compute speech probabilities. Takes 3 ms for 1 s of audio."""
        if self._vad is None:
            self._vad = VoiceActivity(self._config.vad)
        runs: list[SpeechProbabilities] = []
        for block in blocks:
            self._ring.write(block.samples, block.start_sample)
            runs += self._vad.feed(block)
        return runs

    def decide(self, runs: Sequence[SpeechProbabilities], now_s: float) -> list[AnalysisEvent]:
        """The events and windows that the probabilities cause.

        Frame by frame, so that the result does not depend on the size of a batch.
        """
        found: list[AnalysisEvent] = []
        for run in runs:
            for k in range(len(run.values)):
                frame = run.frame(k)
                events = self._endpointing.feed(frame.values, frame.start_sample, now_s)
                last_speech = self._endpointing.last_speech_sample
                windows = self._windowing.feed(frame.values, frame.start_sample, last_speech)
                found += [*self._with_audio(windows), *self._windows_of(events, frame.end_sample)]
                found += self._early_final(frame.end_sample)
        return found

    def on_tick(self, now_s: float) -> list[AnalysisEvent]:
        """What time without audio causes: an early final, or the end of the utterance."""
        events = self._endpointing.on_tick(now_s)
        if events or not self._endpointing.is_speaking:
            return self._windows_of(events, self._ring.end_sample)
        paused = round(self._endpointing.stalled_ms(now_s)) * SAMPLES_PER_MS
        return [*self._early_final_at(self._ring.end_sample, paused)]

    def close_utterance(self, utterance_id: str, end_sample: int) -> list[AnalysisEvent]:
        """End an utterance whose text closes the transmission; see `Endpointing.close`."""
        return self._windows_of(self._endpointing.close(utterance_id, end_sample), self._ring.end_sample)

    def force_end(self) -> list[AnalysisEvent]:
        """End the utterance now; see `Endpointing.force_end`."""
        return self._windows_of(self._endpointing.force_end(), self._ring.end_sample)

    def flush(self, now_s: float) -> list[AnalysisEvent]:
        """End of the channel: complete the last frame, then end the utterance."""
        found = self.decide(self._vad.flush() if self._vad else [], now_s)
        return [*found, *self._windows_of(self._endpointing.flush(), self._ring.end_sample)]

    def release(self) -> None:
        """Free the model and the audio (4 MB per channel). Call it last."""
        self._vad = None
        self._ring = AudioRing(1)

    def commit(self, utterance_id: str, sample: int, restart_sample: int = -1) -> None:
        self._windowing.commit(utterance_id, sample, restart_sample)

    def _early_final(self, audio_end_sample: int) -> list[WindowAudio]:
        """The last final of an utterance whose speech has paused, before the pause is an end."""
        if not self.is_pausing:
            return []
        paused = audio_end_sample - self._endpointing.last_speech_sample
        # The last frame of a channel is filled up with silence: the audio ends before the frame does.
        return self._early_final_at(min(audio_end_sample, self._ring.end_sample), paused)

    def _early_final_at(self, audio_end_sample: int, paused: int) -> list[WindowAudio]:
        return self._with_audio(
            self._windowing.on_pause(self._endpointing.speech_end_sample, paused, audio_end_sample)
        )

    def _windows_of(self, events: Sequence[SpeechEvent], audio_end_sample: int) -> list[AnalysisEvent]:
        found: list[AnalysisEvent] = []
        for event in events:
            windows = self._windowing.on_speech(event, audio_end_sample)
            found += [event, *self._with_audio(windows)]
        return found

    def _with_audio(self, windows: Sequence[WindowSpec]) -> list[WindowAudio]:
        found: list[WindowAudio] = []
        for spec in windows:
            start, samples = self._ring.read(spec.start_sample, spec.end_sample)
            if len(samples):
                found.append(WindowAudio(spec, start, samples))
            elif spec.priority is Priority.FINAL:  # no audio left: a final still needs a result, so silence
                found.append(WindowAudio(spec, spec.start_sample, np.zeros(160, dtype=np.int16)))
        return found
