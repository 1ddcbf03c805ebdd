"""The messages of the contract: windows, transcripts, and the form of errors, each checked when it is made.

A window's samples have positions on its channel's 16 kHz timeline, and every time in a result is a sample
index on the same timeline.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Hertz. Whisper's rate, and the only one on this wire."""
WINDOW_SAMPLES_MAX = 30 * SAMPLE_RATE
"""Whisper decodes at most 30 s at a time."""
TERMS_MAX = 1_000
"""Glossary terms per window. Only the first 60 or so fit a prompt; AssemblyAI accepts lists of 1,000."""
TERM_CHARS_MAX = 200
HISTORY_CHARS_MAX = 4_000
AUTO = "auto"

Samples = NDArray[np.int16] | NDArray[np.float32]
Float32Array = NDArray[np.float32]


class RequestError(Exception):
    """An error of the caller: a stable `code` for programs, a sentence for people, an HTTP status."""

    def __init__(
        self, code: str, message: str, status: int = 400, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s


class ContractError(RequestError):
    """A frame or a field is not valid. `window_id` is empty if the frame's id could not be read."""

    def __init__(self, code: str, message: str, status: int = 422, *, window_id: str = "") -> None:
        super().__init__(code, message, status)
        self.window_id = window_id


def error_body(code: str, message: str) -> dict[str, Any]:
    """The body of every error response on both ports."""
    return {"error": {"code": code, "message": message}}


BEHIND = "behind"
"""Error code of a final that waited longer than `Window.start_within_ms`: it is to be decoded later."""


class Priority(StrEnum):
    INTERIM = "interim"  # may be replaced by a newer one of its channel, or shed
    FINAL = "final"  # never dropped
    BACKGROUND = "background"  # like a final, but decoded only while no live window waits: files

    @property
    def is_final(self) -> bool:
        """True if its text will not change: decoded with words, and never replaced."""
        return self is not Priority.INTERIM


class Task(StrEnum):
    """Which text a window is to get."""

    TRANSCRIBE = "transcribe"  # what was said, in its own language
    TRANSLATE = "translate"  # the same in English


class EndReason(StrEnum):
    """Why decoding of a window stopped."""

    COMPLETE = "complete"  # the model ended its text
    TOKEN_CAP = "token_cap"  # the text was cut off, because it was too long for audio of this length
    NO_SPEECH = "no_speech"  # no speech, or a guard rejected the text as not spoken


@dataclass(frozen=True, slots=True)
class Window:
    """A range of one channel's audio to decode.

    samples: (n,) int16 or float32 in [-1, 1], 16 kHz mono, 1 <= n <= WINDOW_SAMPLES_MAX, finite.
    Raises ContractError for an invalid field.
    """

    id: str
    channel: str
    samples: Samples
    start_sample: int  # of samples[0] on the channel's timeline
    priority: Priority
    language: str = AUTO  # "en", "ko", ... or "auto"
    terms: tuple[str, ...] = ()  # glossary, most important first
    history: str = ""  # committed words of the same utterance
    deadline_ms: int = 15_000  # from submission; after that the result is useless
    start_within_ms: int = 0
    """Of a final: the longest wait in 8081 until decoding begins. A longer wait gives the error `behind`, and
    8082 has the audio decoded later. 0: no limit.
    """
    echo_guard: bool = True
    """Whether a final that only repeats its prompt is decoded again without it. Sites with channels on which
    lists of terms are read out turn it off.
    """
    is_careful: bool = False
    """Whether a final is decoded in 30 s, with timestamps and with a wide search from the start. It takes
    several times as long as a live final.
    """
    known_text: str = ""
    """Of a final: the text that the caller has for this audio. The result says how much likelier its own
    text is (`Transcript.gain`).
    """
    may_change_language: bool = False
    """Whether `language` was only detected from earlier speech of the channel. The engine then detects the
    language again if the window is long enough, and uses another one when it is nearly sure of it.
    """
    is_noisy: bool = False
    """Of an interim: the newest finals of the channel were read better with less noise
    (`Transcript.has_less_noise`), so the interim is decoded with less noise, too.
    """
    is_joined: bool = False
    """Of a final: words of its utterance are final already, and its text is joined with them. It gets no
    second reading, because other words would make the place of the join uncertain.
    """
    is_second_decode: bool = False
    """True for the second decode of a hole. Set inside 8081 only; it is not part of the wire format."""
    task: Task = Task.TRANSCRIBE
    """Set inside 8081 only, for files. A window to translate has no terms and no known text: both are in the
    language that is spoken.
    """

    def __post_init__(self) -> None:
        check = Check(self.id)
        check(0 < len(self.id) <= 64, "bad_id", "a window needs an id of 1 to 64 characters")
        check(
            0 < len(self.channel) <= 64, "bad_channel", "a window needs a channel name of 1 to 64 characters"
        )
        check(self.samples.ndim == 1, "bad_samples", "samples must be one-dimensional (16 kHz mono)")
        check(self.samples.dtype in (np.int16, np.float32), "bad_samples", "samples must be int16 or float32")
        n = len(self.samples)
        check(n > 0, "empty_window", "a window must have at least one sample")
        check(
            n <= WINDOW_SAMPLES_MAX,
            "window_too_long",
            f"a window of {n / SAMPLE_RATE:.1f} s is over the limit of {WINDOW_SAMPLES_MAX // SAMPLE_RATE} s",
        )
        if self.samples.dtype == np.float32:
            check(bool(np.isfinite(self.samples).all()), "not_finite", "samples contain NaN or infinity")
        check(0 <= self.start_sample < 2**53, "bad_start", "start_sample must be a position from 0 on")
        check(
            0 < len(self.language) <= 8, "unknown_language", f"{self.language[:20]!r} is not a language code"
        )
        check(
            len(self.terms) <= TERMS_MAX,
            "too_many_terms",
            f"{len(self.terms)} glossary terms; {TERMS_MAX} at most",
        )
        for term in self.terms:
            check(len(term) <= TERM_CHARS_MAX, "term_too_long", f"a glossary term of {len(term)} characters")
        check(
            len(self.history) <= HISTORY_CHARS_MAX,
            "history_too_long",
            f"history of {len(self.history)} characters",
        )
        check(
            len(self.known_text) <= HISTORY_CHARS_MAX,
            "known_text_too_long",
            f"a known text of {len(self.known_text)} characters",
        )
        check(
            self.task is Task.TRANSCRIBE or not (self.terms or self.known_text),
            "bad_task",
            "a window to translate cannot have glossary terms or a known text",
        )
        check(
            0 <= self.start_within_ms <= 600_000, "bad_limit", "start_within_ms must be between 0 and 600000"
        )
        check(0 < self.deadline_ms <= 600_000, "bad_deadline", "deadline_ms must be between 1 and 600000")

    def text_language(self, spoken: str) -> str:
        """The language code of its text, if this language was spoken."""
        return "en" if self.task is Task.TRANSLATE else spoken

    def as_float32(self) -> Float32Array:
        """(n,) float32 in [-1, 1]."""
        if self.samples.dtype == np.int16:
            return self.samples.astype(np.float32) / np.float32(32768)
        return self.samples.astype(np.float32, copy=False)


@dataclass(frozen=True, slots=True)
class Check:
    """Raises ContractError, with the id of the window, for a condition that does not hold."""

    window_id: str

    def __call__(self, holds: bool, code: str, message: str) -> None:
        if not holds:
            raise ContractError(code, message, window_id=self.window_id)


@dataclass(frozen=True, slots=True)
class Word:
    text: str  # the model's text, without the space in front
    start_sample: int
    end_sample: int
    probability: float
    leading_space: bool = True  # False: joined to the word before it (Korean particles, punctuation)


@dataclass(frozen=True, slots=True)
class Segment:
    text: str
    start_sample: int
    end_sample: int
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    words: tuple[Word, ...] = ()  # only for finals; interims have no words


class UnreadReason(StrEnum):
    """Why speech has no words."""

    NO_WORDS = "no_words"  # it was decoded twice without a word
    NOT_READ_AGAIN = "not_read_again"  # the second decode was shed, failed, or was over its limits


@dataclass(frozen=True, slots=True)
class Unread:
    """Speech inside a window that no word covers."""

    start_sample: int
    end_sample: int
    reason: UnreadReason


@dataclass(frozen=True, slots=True)
class Transcript:
    """The engine's result for one window. Times are on the channel's timeline, inside the window."""

    id: str
    segments: tuple[Segment, ...]
    language: str
    language_probability: float
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    end_reason: EndReason = EndReason.COMPLETE
    model: str = ""
    queue_ms: int = 0  # time in the queue of 8081
    decode_ms: int = 0  # decoding time of its batch
    unread: tuple[Unread, ...] = ()  # only for finals, in order; an older engine does not send it
    gain: float | None = None
    """Log probability of this text less that of the window's `known_text`, both for the same audio; None: the
    window had none, or the two cannot be compared.
    """

    has_less_noise: bool = False
    """Whether the text is that of the audio with less noise."""

    @property
    def text(self) -> str:
        return " ".join(s.text.strip() for s in self.segments if s.text.strip())

    @property
    def words(self) -> tuple[Word, ...]:
        return tuple(w for s in self.segments for w in s.words)


@dataclass(frozen=True, slots=True)
class WindowError:
    """An error for one window. The channel continues."""

    id: str
    code: str
    """Errors of the window: bad_*, too_*, unknown_language and others. Errors of the engine: shed,
    overloaded, engine_failed, engine_starting, engine_stopping.
    """
    message: str
    is_retryable: bool = False


Answer = Transcript | WindowError
