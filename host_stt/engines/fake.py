"""A fake engine: takes words from a script instead of audio, with errors like Whisper's.

Replaces a model in tests that must know the words: property tests of windowing and merging, crash tests of
the pool. Pure except for its configured faults. It ignores the audio: a window contains a word if it covers
the word's time. Invariant: the same window (channel, range, priority) always gives the same result.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from host_stt.contract import (
    AUTO,
    SAMPLE_RATE,
    Answer,
    EndReason,
    Segment,
    Transcript,
    Window,
    WindowError,
    Word,
)
from host_stt.engines.base import EngineError
from host_stt.tickets import Group

SEGMENT_GAP_SAMPLES = (
    SAMPLE_RATE  # words more than 1 s apart are in different segments, about as with Whisper
)


@dataclass(frozen=True, slots=True)
class FakeErrors:
    """Error rates: probabilities in [0, 1], except names with a unit. All zero: no errors."""

    drop: float = 0.0  # a word inside the window is missing
    misspell: float = 0.0  # a word inside the window is misspelt
    edge_drop: float = 0.0  # a word cut by the window's edge is missing
    edge_cut: float = 0.0  # ... only its part inside the window is written
    edge_misspell: float = 0.0  # ... is misspelt
    edge_ms: int = 200  # a word ending this close to an edge counts as cut by it
    time_off_ms: int = 0  # maximum error of each start and end
    repeat_tail: float = 0.0  # the last one to three words appear twice
    invent_tail: float = 0.0  # a window whose last word was cut ends with a word that was not said


WHISPER_LIKE = FakeErrors(
    drop=0.01,
    misspell=0.02,
    edge_drop=0.4,
    edge_cut=0.3,
    edge_misspell=0.2,
    time_off_ms=200,
    repeat_tail=0.1,
    invent_tail=0.1,
)
"""The errors a small Whisper makes on overlapping windows, somewhat more often than it makes them."""


class FakeFault(StrEnum):
    NONE = "none"
    RAISE = "raise"  # decode raises EngineError
    HANG = "hang"  # decode never returns until close()
    EXIT = "exit"  # the process ends at once, as on a CUDA fault
    SEGV = "segv"  # the process touches memory that is not its own
    STOP = "stop"  # the whole process is stopped: it exists, but does not respond


class FakeEngine:
    """Gives the words of `script`: words with true times on the channel's timeline, or such a list per
    channel.

    fault / fault_on_call: the fault of the nth call of decode (from 1; 0: every call). decode_s: how long
    each call takes. interim_words: interims have words too; the real engine gives words for finals only.
    skipped: ranges (first sample, end) whose words are missing in the first decode of a final, as Whisper
    skips sentences. A second decode has them, except words that begin in `skipped_again`.
    """

    def __init__(
        self,
        script: Sequence[Word] | Mapping[str, Sequence[Word]] = (),
        errors: FakeErrors | None = None,
        seed: int = 0,
        *,
        languages: tuple[str, ...] = ("en", "ko"),
        can_translate: bool = False,
        fault: FakeFault = FakeFault.NONE,
        fault_on_call: int = 0,
        decode_s: float = 0.0,
        interim_words: bool = False,
        skipped: Sequence[tuple[int, int]] = (),
        skipped_again: Sequence[tuple[int, int]] = (),
    ) -> None:
        self._script = script
        self._errors = errors or FakeErrors()
        self._seed = seed
        self._languages = languages
        self._can_translate = can_translate
        self._fault = fault
        self._fault_on_call = fault_on_call
        self._decode_s = decode_s
        self._interim_words = interim_words
        self._skipped = skipped
        self._skipped_again = skipped_again
        self._closed = threading.Event()
        self.calls = 0
        self.second_decodes: list[Window] = []

    @property
    def model(self) -> str:
        return "fake"

    @property
    def languages(self) -> tuple[str, ...]:
        return self._languages

    @property
    def can_translate(self) -> bool:
        return self._can_translate

    def decode(self, windows: Sequence[Window]) -> list[Answer]:
        self.calls += 1
        self._have_fault()
        if self._decode_s:
            time.sleep(self._decode_s)
        return [self._read(window) for window in windows]

    def group(self, window: Window) -> Group:
        return Group(window.priority, window_s=30, prompt_tokens=0)

    def shortened(self, window: Window) -> Window:
        return window

    def close(self) -> None:
        self._closed.set()

    def _have_fault(self) -> None:
        if self._fault_on_call in (0, self.calls):
            self.suffer(self._fault)

    def suffer(self, fault: FakeFault) -> None:
        """Cause this fault now. Raises EngineError for faults that the process survives."""
        match fault:
            case FakeFault.NONE:
                return
            case FakeFault.RAISE:
                raise EngineError("the fake engine is configured to fail")
            case FakeFault.HANG:
                self._closed.wait()
                raise EngineError("the fake engine is configured to hang, and was closed")
            case FakeFault.SEGV:
                os.kill(os.getpid(), signal.SIGSEGV)
            case FakeFault.STOP:
                os.kill(os.getpid(), signal.SIGSTOP)
            case FakeFault.EXIT:
                os._exit(139)

    def _read(self, window: Window) -> Answer:
        if window.language not in (AUTO, *self._languages):
            return WindowError(
                window.id, "unknown_language", f"{window.language!r} is not among {self._languages}"
            )
        if window.is_second_decode:
            self.second_decodes.append(window)
        words = hear(self._heard_by(window), window, self._errors, self._seed)
        with_words = self._interim_words or window.priority.is_final
        segments = tuple(_segment(group, with_words) for group in _grouped(words))
        return Transcript(
            id=window.id,
            segments=segments,
            language=self._languages[0] if window.language == AUTO else window.language,
            language_probability=1.0,
            avg_logprob=-0.2 if words else 0.0,
            # A model that skips speech does not report that there is no speech.
            no_speech_prob=0.02 if words or self._hears_speech(window) else 0.98,
            compression_ratio=1.0,
            end_reason=EndReason.COMPLETE if words else EndReason.NO_SPEECH,
            model=self.model,
        )

    def _heard_by(self, window: Window) -> list[Word]:
        words = self._words_of(window.channel)
        if not window.priority.is_final:
            return list(words)
        skipped = self._skipped_again if window.is_second_decode else self._skipped
        return [w for w in words if not any(a <= w.start_sample < b for a, b in skipped)]

    def _hears_speech(self, window: Window) -> bool:
        first, last = window.start_sample, window.start_sample + len(window.samples)
        return any(first < b and a < last for a, b in (*self._skipped, *self._skipped_again))

    def _words_of(self, channel: str) -> Sequence[Word]:
        if isinstance(self._script, Mapping):
            return self._script.get(channel, ())
        return self._script


def script_of(text: str, start_sample: int = 0, *, word_ms: int = 300, pause_ms: int = 100) -> list[Word]:
    """A script with the words of `text` at regular times from start_sample on; " | " is a pause of 1 s."""
    words, at = [], start_sample
    for token in text.split():
        if token == "|":
            at += SAMPLE_RATE
            continue
        end = at + _samples(word_ms)
        words.append(Word(token, at, end, 1.0))
        at = end + _samples(pause_ms)
    return words


def hear(script: Sequence[Word], window: Window, errors: FakeErrors, seed: int) -> list[Word]:
    """The words of `script` inside `window`, with errors: in order, with times inside the window."""
    first, last = window.start_sample, window.start_sample + len(window.samples)
    key = f"{seed}/{window.channel}/{first}/{last}/{window.priority.value}"
    rng = random.Random(zlib.crc32(key.encode()))
    heard: list[Word] = []
    cut_at_end = False
    for word in script:
        if word.end_sample <= first or word.start_sample >= last:
            continue
        inside = _hear_one(word, first, last, errors, rng)
        cut_at_end = word.end_sample > last
        if inside is not None:
            heard.append(inside)
    if heard and rng.random() < errors.repeat_tail:
        heard += heard[-rng.randint(1, min(3, len(heard))) :]
    if cut_at_end and rng.random() < errors.invent_tail:
        heard.append(Word(_misspelt("again", rng), last - _samples(100), last, 0.4))
    return _in_order(heard, first, last, errors, rng)


def _hear_one(word: Word, first: int, last: int, errors: FakeErrors, rng: random.Random) -> Word | None:
    length = max(1, word.end_sample - word.start_sample)
    inside = min(word.end_sample, last) - max(word.start_sample, first)
    is_cut = inside < length
    near = _samples(errors.edge_ms)
    at_edge = is_cut or word.end_sample > last - near or word.start_sample < first + near
    if is_cut and inside * 4 < length:
        return None  # less than a quarter of a word cannot be recognised
    roll = rng.random()
    if not at_edge:
        if roll < errors.drop:
            return None
        return replace(word, text=_misspelt(word.text, rng)) if roll < errors.drop + errors.misspell else word
    if roll < errors.edge_drop:
        return None
    if roll < errors.edge_drop + errors.edge_cut and is_cut:
        return replace(word, text=_part(word, first, inside / length), probability=0.5)
    if roll < errors.edge_drop + errors.edge_cut + errors.edge_misspell:
        return replace(word, text=_misspelt(word.text, rng), probability=0.4)
    return word


def _part(word: Word, first: int, share: float) -> str:
    """The end of a word that is cut at the window's start, or the start of one that is cut at its end."""
    kept = max(1, round(len(word.text) * share))
    return word.text[-kept:] if word.start_sample < first else word.text[:kept]


def _misspelt(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text)) if text else 0
    return text[:at] + rng.choice("aeioumnrst") + text[at + 1 :]


def _in_order(words: list[Word], first: int, last: int, errors: FakeErrors, rng: random.Random) -> list[Word]:
    off = _samples(errors.time_off_ms)
    timed, floor = [], first
    for word in words:
        start = min(max(word.start_sample + rng.randint(-off, off), floor), last)
        end = min(max(word.end_sample + rng.randint(-off, off), start), last)
        timed.append(replace(word, start_sample=start, end_sample=end))
        floor = start
    return timed


def _grouped(words: list[Word]) -> list[list[Word]]:
    groups: list[list[Word]] = []
    for word in words:
        if groups and word.start_sample - groups[-1][-1].end_sample < SEGMENT_GAP_SAMPLES:
            groups[-1].append(word)
        else:
            groups.append([word])
    return groups


def _segment(words: list[Word], with_words: bool) -> Segment:
    return Segment(
        text="".join((" " if w.leading_space else "") + w.text for w in words).strip(),
        start_sample=words[0].start_sample,
        end_sample=max(w.end_sample for w in words),
        avg_logprob=-0.2,
        no_speech_prob=0.02,
        compression_ratio=1.0,
        words=tuple(words) if with_words else (),
    )


def _samples(ms: int) -> int:
    return ms * SAMPLE_RATE // 1000
