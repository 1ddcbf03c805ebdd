"""Windowing: which stretches of an utterance the engine is asked to read, and when.

Pure. Owns the cutting of utterances into windows and the choice of quiet places to cut at; knows neither
audio (the pipeline reads it from audio_ring.py) nor text (merge.py). Invariants: the final windows of an
utterance cover it without a hole, each overlaps the next, and no sample of speech waits longer than
window_ms_max plus a hangover to be asked.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from host_stt.contract import Float32Array, Priority
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.speech.endpointing import SpeechEnded, SpeechEvent, SpeechStarted
from webrtc_host.speech.vad import FRAME_SAMPLES


@dataclass(frozen=True, slots=True)
class WindowingConfig:
    window_ms_min: int = 5000  # a window cut inside speech is at least so long
    window_ms_max: int = 10_000  # and at most: longer speech becomes final piece by piece
    pause_ms: int = 300  # a pause in speech that a window is cut at, without overlap
    pause_after_ms: int = 5000  # when so much speech waits before the pause
    overlap_percent_min: int = 20  # of a window, repeated at the head of the next
    overlap_percent_max: int = 30
    first_interim_ms: int = 700  # speech wanted for the first interim
    interim_interval_ms: int = 700  # then one for so much more; half costs twice the decoding
    interim_back_ms: int = 200  # an interim begins so long before the commit point
    trailing_ms: int = 300  # audio kept after the end of speech
    short_ms: int = 1200  # a shorter final window is widened with the audio around it

    def __post_init__(self) -> None:
        for name, low, high in (
            ("window_ms_min", 1000, 25_000),
            ("window_ms_max", 1000, 25_000),
            ("pause_ms", 100, 5000),
            ("pause_after_ms", 1000, 25_000),
            ("overlap_percent_min", 5, 45),
            ("overlap_percent_max", 5, 45),
            ("first_interim_ms", 200, 10_000),
            ("interim_interval_ms", 200, 10_000),
            ("interim_back_ms", 0, 2000),
            ("trailing_ms", 0, 2000),
            ("short_ms", 0, 5000),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}; it lies between {low} and {high}")
        if self.window_ms_min > self.window_ms_max:
            raise ValueError(f"window_ms_min {self.window_ms_min} is over window_ms_max {self.window_ms_max}")
        if self.overlap_percent_min > self.overlap_percent_max:
            raise ValueError("overlap_percent_min is over overlap_percent_max")


@dataclass(frozen=True, slots=True)
class WindowWanted:
    """Ask the engine for [start_sample, end_sample) of the channel."""

    utterance_id: str
    number: int  # finals count from 0 within the utterance; interims count apart
    start_sample: int
    end_sample: int
    priority: Priority
    next_start_sample: int  # where the next final will begin; its own end for the last and for interims
    speech_end_sample: int  # speech ends here, or goes on beyond the window
    is_last: bool = False  # the utterance's last final


@dataclass(slots=True)
class _Utterance:
    id: str
    start_sample: int  # of its first window: pre-roll included
    next_start: int  # of the next final window
    commit_sample: int
    finals: int = 0
    interims: int = 0
    next_interim: int = 0  # end of speech that brings the next interim
    speech_end: int = 0  # of the speech heard so far


class Windowing:
    """One channel's windows. Give it probabilities before the speech events they brought about."""

    def __init__(self, config: WindowingConfig) -> None:
        self._config = config
        self._utterance: _Utterance | None = None
        self._floor_sample = 0  # end of speech of the utterance before
        # One entry per frame: (start_sample, p). Long enough for the longest window and a hangover of 5 s.
        self._frames: deque[tuple[int, float]] = deque(
            maxlen=self._samples(config.window_ms_max + 7000) // FRAME_SAMPLES
        )

    def feed(self, values: Float32Array, start_sample: int, speech_end_sample: int) -> list[WindowWanted]:
        """The windows due now that audio is there up to the end of these frames.

        values: (n,), one per 512 samples from start_sample. speech_end_sample: end of the last frame of
        speech so far.
        """
        for value in values.tolist():
            self._frames.append((start_sample, value))
            start_sample += FRAME_SAMPLES
        utterance = self._utterance
        if utterance is None:
            return []
        wanted: list[WindowWanted] = []
        is_talking = start_sample - speech_end_sample < self._samples(100)
        wanted += self._cut_at_pause(utterance, speech_end_sample)
        # In a pause the cut waits for its end: either speech goes on, or the utterance ends there anyway.
        while is_talking and start_sample - utterance.next_start >= self._samples(self._config.window_ms_max):
            wanted.append(self._cut_one(utterance))
        if is_talking and speech_end_sample >= utterance.next_interim:
            wanted.append(self._interim(utterance, start_sample))
            utterance.next_interim = speech_end_sample + self._samples(self._config.interim_interval_ms)
        return wanted

    def on_speech(self, event: SpeechEvent, audio_end_sample: int) -> list[WindowWanted]:
        """audio_end_sample: how far audio is there; the last window of an utterance takes a little after its
        end."""
        match event:
            case SpeechStarted():
                first = event.start_sample + self._samples(self._config.first_interim_ms)
                start = event.audio_sample
                self._utterance = _Utterance(
                    event.utterance_id, start, next_start=start, commit_sample=start, next_interim=first
                )
                return []
            case SpeechEnded():
                return self._last(event, audio_end_sample)

    def commit(self, utterance_id: str, sample: int) -> None:
        """Text is final up to here: interims need not go further back. Never moves backwards."""
        utterance = self._utterance
        if utterance is not None and utterance.id == utterance_id:
            utterance.commit_sample = max(utterance.commit_sample, sample)

    def _cut_at_pause(self, utterance: _Utterance, speech_end_sample: int) -> list[WindowWanted]:
        """The window that ends in a pause, now that speech goes on after it.

        A pause is where reading loses nothing: no word is cut, and none is read twice. While the pause lasts,
        nothing is cut, because the utterance may end there, and then one window reads all of it.
        """
        before, utterance.speech_end = utterance.speech_end, speech_end_sample
        pause_end = speech_end_sample - FRAME_SAMPLES  # speech goes on in the last frame
        start = utterance.next_start
        if pause_end - before < self._samples(self._config.pause_ms) or before - start < self._samples(
            self._config.pause_after_ms
        ):
            return []
        end = min(before + self._samples(self._config.trailing_ms), pause_end)
        utterance.next_start = before + (end - before) // 2
        return [self._final(utterance, start, end, utterance.next_start, before)]

    def _cut_one(self, utterance: _Utterance) -> WindowWanted:
        start = utterance.next_start
        low = start + self._samples(self._config.window_ms_min)
        high = start + self._samples(self._config.window_ms_max)
        end = self._quietest(low, high)
        length = end - start
        overlap_high = end - length * self._config.overlap_percent_min // 100
        overlap_low = end - length * self._config.overlap_percent_max // 100
        utterance.next_start = self._quietest(overlap_low, overlap_high)
        return self._final(utterance, start, end, utterance.next_start, end)

    def _last(self, event: SpeechEnded, audio_end_sample: int) -> list[WindowWanted]:
        utterance, self._utterance = self._utterance, None
        if utterance is None or utterance.id != event.utterance_id:
            raise ValueError(f"utterance {event.utterance_id} ended but never started")
        start = utterance.next_start
        # The end is cut off by the detector's lag at most: what follows is silence until the next utterance.
        end = max(start + FRAME_SAMPLES, event.end_sample + self._samples(self._config.trailing_ms))
        end = max(min(end, audio_end_sample), start + 1)
        short = self._samples(self._config.short_ms) - (end - start)
        if short > 0 and utterance.finals == 0:
            end += max(0, min(audio_end_sample - end, short // 2))
            missing = max(0, self._samples(self._config.short_ms) - (end - start))
            start = max(self._floor_sample, start - missing, 0)
        self._floor_sample = event.end_sample
        return [self._final(utterance, start, end, end, event.end_sample, is_last=True)]

    @staticmethod
    def _final(
        utterance: _Utterance, start: int, end: int, next_start: int, speech_end: int, is_last: bool = False
    ) -> WindowWanted:
        number = utterance.finals
        utterance.finals += 1
        return WindowWanted(utterance.id, number, start, end, Priority.FINAL, next_start, speech_end, is_last)

    def _interim(self, utterance: _Utterance, end: int) -> WindowWanted:
        back = self._samples(self._config.interim_back_ms)
        start = max(utterance.start_sample, utterance.commit_sample - back)
        # When finals lag (the engine was away), an interim still spans no more than a window and an overlap.
        start = max(start, end - self._samples(self._config.window_ms_max) * 13 // 10)
        number = utterance.interims
        utterance.interims += 1
        return WindowWanted(utterance.id, number, start, end, Priority.INTERIM, end, end)

    def _quietest(self, low: int, high: int) -> int:
        """The middle of the quietest 96 ms in [low, high]; the latest among equals; `high` when nothing is
        known."""
        frames = [(at, p) for at, p in self._frames if low <= at and at + FRAME_SAMPLES <= high]
        best, best_p = high, 2.0
        for i, (at, p) in enumerate(frames):
            around = [q for _, q in frames[max(0, i - 1) : i + 2]]
            smoothed = (sum(around) + p) / (len(around) + 1)
            if smoothed <= best_p:
                best, best_p = at + FRAME_SAMPLES // 2, smoothed
        return best

    @staticmethod
    def _samples(ms: int) -> int:
        return ms * SAMPLES_PER_MS
