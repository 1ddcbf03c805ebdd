"""Rows: windows on their way through a decode, and the answers they become.

Pure: shapes and numbers, no model. Owns how long a row is padded, what a second reading looks like, and
how a reading with its words becomes a Transcript with times on the channel's timeline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from host_stt.contract import (
    AUTO,
    SAMPLE_RATE,
    WINDOW_SAMPLES_MAX,
    EndReason,
    Float32Array,
    Segment,
    Transcript,
    Window,
    Word,
)
from host_stt.ghosts import is_ghost
from host_stt.guards import (
    Reading,
    Rule,
    Verdict,
    compression_ratio,
    without_loop,
    without_repeated_syllables,
)
from host_stt.sound import drawn_in, loud_frames
from host_stt_common.likeness import normalised

FRAME_SAMPLES = 160
FRAMES_FULL = WINDOW_SAMPLES_MAX // FRAME_SAMPLES
SHORT_FRAMES = (1000, 1500, 2000, FRAMES_FULL)  # 10, 15, 20, 30 s
SLACK_FRAMES = 250
"""Silence that must follow speech in a short window, or even weights tuned for it repeat themselves."""
BEAM_CAREFUL = 5
TEMPERATURE = 0.4
"""Of the reading by sampling: one rung of OpenAI's ladder from 0.2 to 1.0."""
SAMPLES_DRAWN = 5  # readings drawn at that temperature, of which the likeliest is kept, as OpenAI does
SEGMENT_PAUSE_SAMPLES = SAMPLE_RATE
"""A pause of 1 s between words begins a new segment."""

Guesses = tuple[tuple[str, float], ...]
"""(code, probability) of every language that may be guessed; empty when none was."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a row is decoded: first as its window asks, then more carefully, a final at last by sampling."""

    beam_size: int
    is_careful: bool = False  # a second reading: what it says over and over is said once
    temperature: float = 0.0
    is_last: bool = False  # no other reading follows, whatever the guards say
    has_timestamps: bool = False  # the model writes when each sentence begins and ends; it skips less then


@dataclass(frozen=True, slots=True)
class Row:
    index: int  # in the call's windows
    window: Window
    samples: Float32Array
    previous: tuple[int, ...]  # prompt tokens
    frames: int  # padded length
    plan: Plan
    instead: Decoded | None = None  # used when this reading too is not believed
    echo: Decoded | None = None  # a reading that said only what its prompt says
    language: str = ""  # chosen after a doubtful guess; empty: the window's, or guessed
    others: tuple[str, ...] = ()  # languages still to try
    tried: tuple[Decoded, ...] = ()  # the readings in languages before this one
    guesses: Guesses = ()  # of the first reading

    @property
    def key(self) -> tuple[int, int, int, float, bool]:
        plan = self.plan
        return self.frames, len(self.previous), plan.beam_size, plan.temperature, plan.has_timestamps


@dataclass(frozen=True, slots=True)
class Decoded:
    row: Row
    reading: Reading
    language: str
    language_probability: float
    words: tuple[Word, ...] = ()
    guesses: Guesses = ()


SHORTENED_SAMPLES = SHORT_FRAMES[0] * FRAME_SAMPLES - SLACK_FRAMES * FRAME_SAMPLES
"""The longest window that still fits the shortest padding."""


def short_frames(samples: int) -> int:
    """The shortest padded length that leaves the slack after so many samples."""
    needed = -(-samples // FRAME_SAMPLES) + SLACK_FRAMES
    return next((frames for frames in SHORT_FRAMES if frames >= needed), FRAMES_FULL)


def more_carefully(row: Row) -> Row:
    """The second reading: a prompt is what loops feed on, and a wider search finds a way out of them."""
    is_final = row.window.priority.is_final
    plan = replace(row.plan, beam_size=BEAM_CAREFUL if is_final else 1, is_careful=True, is_last=not is_final)
    return replace(row, previous=(), frames=FRAMES_FULL, plan=plan)


def by_sampling(careful: Decoded) -> Row:
    """The third reading, of finals only: drawn by chance, tokens leave a loop that every search enters."""
    plan = replace(careful.row.plan, beam_size=1, temperature=TEMPERATURE, is_last=True)
    return replace(careful.row, plan=plan, instead=careful)


def next_reading(decoded: Decoded) -> Row | None:
    """How a row that a guard sends back is read next; None when it has had its readings."""
    plan = decoded.row.plan
    if plan.is_last:
        return None
    return by_sampling(decoded) if plan.is_careful else more_carefully(decoded.row)


def as_judged(decoded: Decoded, rule: Rule | None) -> Decoded:
    if rule is None or rule.verdict is not Verdict.NO_SPEECH:
        return decoded
    return replace(decoded, reading=replace(decoded.reading, text="", tokens=()), words=())


def said_once(decoded: Decoded) -> Decoded:
    """A loop that no reading left is said once: its syllables, and its words."""
    words = [replace(word, text=without_repeated_syllables(word.text)) for word in decoded.words]
    kept = len(without_loop([normalised(word.text) for word in words]))
    if not words:
        text = without_repeated_syllables(decoded.reading.text)
        return replace(decoded, reading=replace(decoded.reading, text=text))
    text = _joined(words[:kept])
    return replace(decoded, reading=replace(decoded.reading, text=text), words=tuple(words[:kept]))


def transcript_of(decoded: Decoded, model: str) -> Transcript:
    reading, window, samples = decoded.reading, decoded.row.window, decoded.row.samples
    segments = tuple(
        segment
        for segment in _segments(decoded)
        if not is_ghost(segment, decoded.language, samples, window.start_sample)
    )
    return Transcript(
        id=window.id,
        segments=segments,
        language=decoded.language,
        language_probability=decoded.language_probability,
        avg_logprob=reading.avg_logprob,
        no_speech_prob=reading.no_speech_prob,
        compression_ratio=reading.compression_ratio,
        end_reason=_end_reason(reading) if segments else EndReason.NO_SPEECH,
        model=model,
    )


def nothing_said(window: Window, language: str, model: str) -> Transcript:
    """The answer for a window too quiet to decode. language: what stands in where the window says auto."""
    is_auto = window.language == AUTO
    return Transcript(
        id=window.id,
        segments=(),
        language=language if is_auto else window.language,
        language_probability=0.0 if is_auto else 1.0,
        avg_logprob=0.0,
        no_speech_prob=1.0,
        compression_ratio=0.0,
        end_reason=EndReason.NO_SPEECH,
        model=model,
    )


def _end_reason(reading: Reading) -> EndReason:
    return EndReason.TOKEN_CAP if reading.is_capped else EndReason.COMPLETE


def _segments(decoded: Decoded) -> tuple[Segment, ...]:
    """Split at pauses where words are known, else one segment from the first sound to the last."""
    reading, window = decoded.reading, decoded.row.window
    if not reading.text:
        return ()
    if not decoded.words:
        start, end = drawn_in(0, len(window.samples), loud_frames(decoded.row.samples), pause_frames=None)
        first = window.start_sample
        text, ratio = reading.text, compression_ratio(reading.text)
        figures = reading.avg_logprob, reading.no_speech_prob, ratio
        return (Segment(text, first + start, first + end, *figures),)
    return segments_of(decoded.words, reading.avg_logprob, reading.no_speech_prob)


def segments_of(words: Sequence[Word], avg_logprob: float, no_speech_prob: float) -> tuple[Segment, ...]:
    """The words, at least one, in segments: a pause of SEGMENT_PAUSE_SAMPLES begins a new one."""
    groups: list[list[Word]] = [[]]
    for word in words:
        if groups[-1] and word.start_sample - groups[-1][-1].end_sample >= SEGMENT_PAUSE_SAMPLES:
            groups.append([])
        groups[-1].append(word)
    return tuple(_segment(tuple(group), avg_logprob, no_speech_prob) for group in groups)


def _segment(words: tuple[Word, ...], avg_logprob: float, no_speech_prob: float) -> Segment:
    text = _joined(words)
    return Segment(
        text=text,
        start_sample=words[0].start_sample,
        end_sample=words[-1].end_sample,
        avg_logprob=avg_logprob,
        no_speech_prob=no_speech_prob,
        compression_ratio=compression_ratio(text),
        words=words,
    )


def _joined(words: Sequence[Word]) -> str:
    return "".join((" " if word.leading_space else "") + word.text for word in words).strip()
