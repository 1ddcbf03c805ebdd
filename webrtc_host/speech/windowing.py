"""Windowing: decides which parts of an utterance are sent to the engine, and when.

It cuts utterances into windows, at quiet places where possible. Pure: it knows no audio (`analysis.py` adds
it from `audio_ring.py`) and no text (`merge.py`).
Invariants: the final windows of an utterance cover it without a gap, and each overlaps the next or meets it
in a pause. No sample of speech waits longer than window_ms_max plus a hangover to be in a final window.
Explanation: docs/explanation/windows.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from host_stt.contract import WINDOW_SAMPLES_MAX, Float32Array, Priority
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.speech.endpointing import SpeechEnded, SpeechEvent, SpeechStarted
from webrtc_host.speech.vad import FRAME_SAMPLES
from webrtc_host.speech.windowing_config import WindowingConfig

CONTEXT_VOICED_MS_MIN = 350
"""A sound with less voice than this gets no earlier speech as context: whether it is a word at all is decided
by figures of its own window (`evidence.py`), and clear speech before it would hide them.
"""


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """A window to send to the engine: [start_sample, end_sample) of the channel."""

    utterance_id: str
    number: int  # finals of an utterance count from 0; interims are counted separately
    start_sample: int
    end_sample: int
    priority: Priority
    next_start_sample: int  # start of the next final; for the last final and for interims: its own end
    speech_end_sample: int  # end of speech in the window; speech may continue after the window
    is_last: bool = False  # the utterance's last final
    voiced_ms: int | None = None  # length of voice that the detector found in it; None: unknown
    is_early: bool = False  # sent in a pause: the last final if no more speech follows
    context_end_sample: int = 0  # audio before it was in an earlier window, whose text stands

    def has_audio_of(self, other: WindowSpec) -> bool:
        """Whether both are the same final, for the engine: the same number and the same audio."""
        return self._engine_key() == other._engine_key()

    def _engine_key(self) -> tuple[str, int, int, int, Priority]:
        return self.utterance_id, self.number, self.start_sample, self.end_sample, self.priority


@dataclass(slots=True)
class _Utterance:
    id: str
    start_sample: int  # start of its first window, with pre-roll
    next_start: int  # start of the next final window
    commit_sample: int
    context_start: int  # windows may reach back to here
    restart_sample: int = -1  # those of interims only to here
    finals: int = 0
    interims: int = 0
    next_interim: int = 0  # the next interim is due when speech reaches this sample
    speech_end: int = 0  # end of the speech found so far
    early: WindowSpec | None = None  # the newest early final
    early_pause_start: int = 0  # where its pause began


class Windowing:
    """The windows of one channel. Pass probabilities before the speech events that they caused."""

    def __init__(
        self,
        config: WindowingConfig,
        on_probability: float = 0.5,
        has_room_for_context: Callable[[Priority], bool] = lambda _: True,
    ) -> None:
        """on_probability: a frame with this probability of speech or more counts as voice.

        has_room_for_context: while it returns False, windows of this priority get no context, so that they
        take less decoding.
        """
        self._config = config
        self._has_room_for_context = has_room_for_context
        self._on_probability = on_probability
        self._utterance: _Utterance | None = None
        self._floor_sample = 0  # end of speech of the last utterance
        self._last_start = 0  # start of the last utterance
        # One entry per frame: (start_sample, p). 7 s more than the longest window, for a hangover of up to 5
        # s.
        self._frames: deque[tuple[int, float]] = deque(
            maxlen=self._samples(config.context_ms + config.window_ms_max + 7000) // FRAME_SAMPLES
        )

    def feed(self, values: Float32Array, start_sample: int, speech_end_sample: int) -> list[WindowSpec]:
        """The windows that are due when there is audio up to the end of these frames.

        values: (n,), one per 512 samples from start_sample. speech_end_sample: end of the last frame of
        speech so far.
        """
        for value in values.tolist():
            self._frames.append((start_sample, value))
            start_sample += FRAME_SAMPLES
        utterance = self._utterance
        if utterance is None:
            return []
        windows: list[WindowSpec] = []
        is_talking = start_sample - speech_end_sample < self._samples(100)
        windows += self._cut_at_pause(utterance, speech_end_sample)
        # Not during a pause: afterwards speech continues, or the utterance ends and one window takes the
        # rest.
        while is_talking and start_sample - utterance.next_start >= self._samples(self._config.window_ms_max):
            windows.append(self._cut_one(utterance))
        if is_talking and speech_end_sample >= utterance.next_interim:
            windows.append(self._interim(utterance, start_sample))
            utterance.next_interim = speech_end_sample + self._samples(self._config.interim_interval_ms)
        return windows

    def on_speech(self, event: SpeechEvent, audio_end_sample: int) -> list[WindowSpec]:
        """The windows that a speech event causes.

        audio_end_sample: end of the audio so far; the last window of an utterance takes a little after its
        end.
        """
        match event:
            case SpeechStarted():
                first = event.start_sample + self._samples(self._config.first_interim_ms)
                start = event.audio_sample
                self._utterance = _Utterance(
                    event.utterance_id,
                    start,
                    next_start=start,
                    commit_sample=start,
                    next_interim=first,
                    context_start=self._context_start(start),
                )
                return []
            case SpeechEnded():
                return self._last(event, audio_end_sample)

    def on_pause(self, speech_end_sample: int, paused: int, audio_end_sample: int) -> list[WindowSpec]:
        """The early final of a pause: the window that is the last final if no more speech follows.

        Decoding then happens during the hangover instead of after it. speech_end_sample: the end of the
        utterance in that case. paused: length of the pause so far, in samples.
        """
        utterance, wait_ms = self._utterance, self._config.early_final_ms
        if utterance is None or not wait_ms or paused < self._samples(wait_ms):
            return []
        if utterance.early is not None and utterance.early.speech_end_sample == speech_end_sample:
            return []  # this pause has one
        last = self._last_window(utterance, speech_end_sample, audio_end_sample)
        utterance.early = replace(last, is_early=True)
        utterance.early_pause_start = audio_end_sample - paused
        return [utterance.early]

    def commit(self, utterance_id: str, sample: int, restart_sample: int = -1) -> None:
        """Text is final up to `sample`, so interims begin after it. An earlier sample changes nothing.

        restart_sample: interims begin there, and their context reaches no further back; -1: no restart.
        """
        utterance = self._utterance
        if utterance is not None and utterance.id == utterance_id:
            utterance.commit_sample = max(utterance.commit_sample, sample, restart_sample)
            utterance.restart_sample = max(utterance.restart_sample, restart_sample)

    def _cut_at_pause(self, utterance: _Utterance, speech_end_sample: int) -> list[WindowSpec]:
        """The window that ends in a pause, when speech continues after it.

        A cut in a pause costs nothing: no word is cut, and none is decoded twice. During the pause itself
        there is no cut, because the utterance may end there, and then one window takes all of it.
        """
        before, utterance.speech_end = utterance.speech_end, speech_end_sample
        pause_end = speech_end_sample - FRAME_SAMPLES  # speech continues in the last frame
        start = utterance.next_start
        if pause_end - before < self._samples(self._config.pause_ms) or before - start < self._samples(
            self._config.pause_after_ms
        ):
            return []
        early = utterance.early
        if early is not None and utterance.early_pause_start == before:
            end = early.end_sample  # the same window, so that its result can be used
        else:
            end = min(before + self._samples(self._config.trailing_ms), pause_end)
        utterance.next_start = before + (end - before) // 2
        return [self._counted_final(utterance, start, end, before)]

    def _cut_one(self, utterance: _Utterance) -> WindowSpec:
        start = utterance.next_start
        low = start + self._samples(self._config.window_ms_min)
        high = start + self._samples(self._config.window_ms_max)
        end = self._quietest(low, high)
        length = end - start
        overlap_high = end - length * self._config.overlap_percent_min // 100
        overlap_low = end - length * self._config.overlap_percent_max // 100
        utterance.next_start = self._quietest(overlap_low, overlap_high)
        return self._counted_final(utterance, start, end, end)

    def _last(self, event: SpeechEnded, audio_end_sample: int) -> list[WindowSpec]:
        utterance, self._utterance = self._utterance, None
        if utterance is None or utterance.id != event.utterance_id:
            raise ValueError(f"utterance {event.utterance_id} ended but never started")
        early = utterance.early
        if early is not None and early.speech_end_sample == event.end_sample:
            last = replace(early, is_early=False)  # the same window, so that its result can be used
        else:
            last = self._last_window(utterance, event.end_sample, audio_end_sample)
        self._floor_sample = event.end_sample
        self._last_start = utterance.start_sample
        return [last]

    def _last_window(self, utterance: _Utterance, speech_end: int, audio_end_sample: int) -> WindowSpec:
        """The final from the end of the finals so far to the end of speech."""
        start = utterance.next_start
        # Trailing audio after the end of speech is silence until the next utterance.
        end = max(start + FRAME_SAMPLES, speech_end + self._samples(self._config.trailing_ms))
        end = max(min(end, audio_end_sample), start + 1)
        short = self._samples(self._config.short_ms) - (end - start)
        if short > 0 and utterance.finals == 0:
            end += max(0, min(audio_end_sample - end, short // 2))
            missing = max(0, self._samples(self._config.short_ms) - (end - start))
            start = max(self._floor_sample, start - missing, 0)
        return self._spec(utterance, start, end, end, speech_end, is_last=True)

    def _counted_final(self, utterance: _Utterance, start: int, end: int, speech_end: int) -> WindowSpec:
        """A final inside speech; the next one begins at `utterance.next_start`."""
        spec = self._spec(utterance, start, end, utterance.next_start, speech_end)
        utterance.finals += 1
        return spec

    def _spec(
        self,
        utterance: _Utterance,
        start: int,
        end: int,
        next_start: int,
        speech_end: int,
        is_last: bool = False,
    ) -> WindowSpec:
        """The next final, without counting it."""
        return WindowSpec(
            utterance.id,
            utterance.finals,
            self._with_context(Priority.FINAL, start, end, utterance),
            end,
            Priority.FINAL,
            next_start,
            speech_end,
            is_last,
            self._voiced_ms(start, end),
            context_end_sample=start,
        )

    def _context_start(self, start: int) -> int:
        """How far windows of an utterance that begins at `start` may reach back: into the one before."""
        is_close = start - self._floor_sample <= self._samples(self._config.context_gap_ms)
        return self._last_start if self._floor_sample and is_close else start

    def _with_context(
        self, priority: Priority, start: int, end: int, utterance: _Utterance, earliest: int = 0
    ) -> int:
        """Where a window [start, end) begins with its context: at the quietest place there.

        earliest: the context reaches no further back than to here, nor to the utterance's `context_start`.

        `start` where there is no earlier speech nearby, for sounds that are hardly a word, and while the
        engine is busy: then the delay of all channels counts more than the last point of accuracy.
        """
        earliest = max(earliest, utterance.context_start)
        room = WINDOW_SAMPLES_MAX - (end - start) - self._samples(self._config.context_gap_ms)
        longest = min(self._samples(self._config.context_ms), room)
        if longest <= 0 or earliest >= start or not self._has_room_for_context(priority):
            return start
        if self._voiced_ms(start, end) < CONTEXT_VOICED_MS_MIN:
            return start
        # The silence between two utterances is no context: count from the end of the earlier speech.
        behind = self._floor_sample if start <= utterance.start_sample else start
        low, high = max(behind - longest, earliest), behind - longest // 2
        return self._quietest(low, high) if low < high else low

    def _interim(self, utterance: _Utterance, end: int) -> WindowSpec:
        back = self._samples(self._config.interim_back_ms)
        start = max(utterance.start_sample, utterance.commit_sample - back)
        # When finals are late (the engine was away), the commit point is far back. An interim still covers no
        # more than a window and an overlap.
        start = max(start, end - self._samples(self._config.window_ms_max) * 13 // 10)
        context_end = start
        start = self._with_context(Priority.INTERIM, start, end, utterance, utterance.restart_sample)
        number = utterance.interims
        utterance.interims += 1
        return WindowSpec(
            utterance.id,
            number,
            start,
            end,
            Priority.INTERIM,
            end,
            end,
            voiced_ms=self._voiced_ms(context_end, end),
            context_end_sample=context_end,
        )

    def _voiced_ms(self, start: int, end: int) -> int:
        """Length of voice, in ms, that the detector found in [start, end) (samples)."""
        voiced = sum(p >= self._on_probability for at, p in self._frames if start <= at < end)
        return voiced * FRAME_SAMPLES // SAMPLES_PER_MS

    def _quietest(self, low: int, high: int) -> int:
        """The middle of the quietest 96 ms in [low, high]; of equals the last; `high` without any frame."""
        frames = [(at, p) for at, p in self._frames if low <= at and at + FRAME_SAMPLES <= high]
        best, best_p = high, 2.0
        for i, (at, p) in enumerate(frames):
            context = [q for _, q in frames[max(0, i - 1) : i + 2]]
            smoothed = (sum(context) + p) / (len(context) + 1)
            if smoothed <= best_p:
                best, best_p = at + FRAME_SAMPLES // 2, smoothed
        return best

    @staticmethod
    def _samples(ms: int) -> int:
        return ms * SAMPLES_PER_MS
