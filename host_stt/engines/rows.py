"""Rows: windows on their way through a decode, and the results made from them.

Pure: shapes and numbers, no model. Defines the padded length of a row, the options of its second decode, and
how its text and words become a Transcript with times on the channel's timeline.
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
from host_stt.guards import (
    DecodeResult,
    Rule,
    Verdict,
    compression_ratio,
    is_too_fast,
    says_twice,
    without_loop,
    without_repeated_syllables,
)
from host_stt.hallucinations import is_hallucination
from host_stt.loudness import loud_frames, loud_range
from host_stt.window_forms import WindowForm
from host_stt_common.likeness import normalised

FRAME_SAMPLES = 160
FRAMES_FULL = WINDOW_SAMPLES_MAX // FRAME_SAMPLES
SHORT_FRAMES = (1000, 1500, 2000, FRAMES_FULL)  # 10, 15, 20, 30 s
SHORTEST_FRAMES = (500, 600, 700, 800, 1000, 1200, 1500, 2000, FRAMES_FULL)
FINAL_FRAMES_MIN = 800
"""The shortest padded length of a final. With 5 s base wrote more short sentences twice, and with 7 s it was
less right in noise (docs/explanation/windows.md).
"""
SHORT_SOUND_SAMPLES = 2 * SAMPLE_RATE
"""A final with less audio is padded to 10 s. It may be a cough or a sneeze, and the limits of the rules for
these were measured with 10 s.
"""
SLACK_FRAMES = 250
"""Silence that must follow the speech in a short window; otherwise even models tuned for it repeat
themselves.
"""
BEAM_CAREFUL = 5
UNSURE_LOGPROB = -0.4
"""A greedy final with a lower average log probability is decoded with a wider search. Above it, a wider
search gains next to nothing (docs/explanation/windows.md).
"""
NOISY_LOGPROB = -0.2
"""A final of noisy audio with a lower average log probability is also decoded with less noise. In noise the
model is too sure of wrong texts: with the limit above, a third of the English words that this restores would
stay wrong (docs/explanation/noise.md).
"""
DOUBTFUL_LOGPROB = -0.3
"""A final with a lower average log probability is read a second time (docs/explanation/windows.md)."""
TEMPERATURE = 0.4
"""Temperature of the decode by sampling: one step of OpenAI's ladder from 0.2 to 1.0."""
SAMPLES_DRAWN = 5  # results sampled at that temperature; the likeliest is used, as OpenAI does
SEGMENT_PAUSE_SAMPLES = SAMPLE_RATE
"""A pause of 1 s between words begins a new segment."""

WORDS_SAMPLES_MIN = 5 * SAMPLE_RATE // 2
"""An interim of 2.5 s or more gets words, because words of long speech can become final early. On a processor
the alignment takes a tenth of the decode (base, one thread, 2026-11-29).
"""

Guesses = tuple[tuple[str, float], ...]
"""(code, probability) of each language that may be detected; empty if none was detected."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a row is decoded: first as its window requires, then more carefully, and a final at last by
    sampling.
    """

    beam_size: int
    is_careful: bool = False  # a second decode: repeated text is kept once
    temperature: float = 0.0
    is_last: bool = False  # no other decode follows, whatever the guards say
    has_timestamps: bool = False  # the model also writes times of sentences; then it skips less speech


@dataclass(frozen=True, slots=True)
class Row:
    index: int  # among the windows of the call
    window: Window
    samples: Float32Array
    previous: tuple[int, ...]  # prompt tokens
    frames: int  # padded length
    plan: Plan
    instead: Decoded | None = None  # used if this result is rejected too
    echo: Decoded | None = None  # an earlier result that only repeated its prompt
    language: str = ""  # chosen after a doubtful detection; empty: the window's, or detected
    others: tuple[str, ...] = ()  # languages that are still to be tried
    tried: tuple[Decoded, ...] = ()  # the results in other languages so far
    guesses: Guesses = ()  # language probabilities of the first result
    has_less_noise: bool = False  # `samples` are not the window's own, but these with less noise

    @property
    def gets_words(self) -> bool:
        """True for finals and long interims. Alignment takes time, and short interims do not need it."""
        return self.window.priority.is_final or len(self.samples) >= WORDS_SAMPLES_MIN

    @property
    def may_search_again(self) -> bool:
        """True for a final that no guard has rejected yet."""
        return self.window.priority.is_final and not self.plan.is_careful

    @property
    def key(self) -> tuple[int, int, int, float, bool]:
        plan = self.plan
        return self.frames, len(self.previous), plan.beam_size, plan.temperature, plan.has_timestamps


@dataclass(frozen=True, slots=True)
class Decoded:
    row: Row
    result: DecodeResult
    language: str
    language_probability: float
    words: tuple[Word, ...] = ()
    guesses: Guesses = ()


SHORTENED_SAMPLES = SHORT_FRAMES[0] * FRAME_SAMPLES - SLACK_FRAMES * FRAME_SAMPLES
"""The longest window that fits the shortest padding."""


def padded_frames(form: WindowForm, samples: int, *, is_final: bool) -> int:
    """The padded length of a window with this many samples: the shortest one of the form that leaves the
    required silence behind them.
    """
    if form is WindowForm.FULL:
        return FRAMES_FULL
    needed = -(-samples // FRAME_SAMPLES) + SLACK_FRAMES
    if form is WindowForm.SHORT or (is_final and samples < SHORT_SOUND_SAMPLES):
        return next((frames for frames in SHORT_FRAMES if frames >= needed), FRAMES_FULL)
    needed = max(needed, FINAL_FRAMES_MIN if is_final else 0)
    return next((frames for frames in SHORTEST_FRAMES if frames >= needed), FRAMES_FULL)


def more_carefully(row: Row) -> Row:
    """The second decode: in a longer window, without the prompt, because loops feed on it, and with a wider
    search to leave a loop.
    """
    is_final = row.window.priority.is_final
    # 10 s end nearly all loops that a shorter window begins. 30 s are slow: 0.7 s for the encoder alone.
    short = padded_frames(WindowForm.SHORT, len(row.samples), is_final=is_final)
    frames = short if row.frames < short else FRAMES_FULL
    plan = replace(row.plan, beam_size=BEAM_CAREFUL if is_final else 1, is_careful=True, is_last=not is_final)
    return replace(row, previous=(), frames=frames, plan=plan)


def by_sampling(careful: Decoded) -> Row:
    """The third decode, only for finals, in a full window: random tokens can leave a loop that every search
    enters.
    """
    plan = replace(careful.row.plan, beam_size=1, temperature=TEMPERATURE, is_last=True)
    return replace(careful.row, frames=FRAMES_FULL, plan=plan, instead=careful)


def next_decode(decoded: Decoded) -> Row | None:
    """The next decode of a row that a guard rejected; None if it has had all of its decodes."""
    plan = decoded.row.plan
    if plan.is_last:
        return None
    return by_sampling(decoded) if plan.is_careful else more_carefully(decoded.row)


def with_verdict(decoded: Decoded, rule: Rule | None) -> Decoded:
    if rule is None or rule.verdict is not Verdict.NO_SPEECH:
        return decoded
    return replace(decoded, result=replace(decoded.result, text="", tokens=()), words=())


def without_repetition(decoded: Decoded) -> Decoded:
    """Text with a loop that no decode avoided: each repeated syllable and word is kept once."""
    words = [replace(word, text=without_repeated_syllables(word.text)) for word in decoded.words]
    kept = len(without_loop([normalised(word.text) for word in words]))
    if not words:
        text = without_repeated_syllables(decoded.result.text)
        return replace(decoded, result=replace(decoded.result, text=text))
    text = _joined(words[:kept])
    return replace(decoded, result=replace(decoded.result, text=text), words=tuple(words[:kept]))


def without_false_copy(decoded: Decoded) -> Decoded:
    """The output; of a text that comes twice, only the first half if the audio is too short for both."""
    words, texts = decoded.words, decoded.result.text.split()
    seconds = len(decoded.row.samples) / SAMPLE_RATE
    if not says_twice(decoded.result.text) or not is_too_fast(decoded.result.text, seconds):
        return decoded
    text = " ".join(texts[: len(texts) // 2])
    return replace(decoded, result=replace(decoded.result, text=text), words=words[: len(words) // 2])


def transcript_of(decoded: Decoded, model: str) -> Transcript:
    result, window, samples = decoded.result, decoded.row.window, decoded.row.samples
    language = window.text_language(decoded.language)
    segments = tuple(
        segment
        for segment in _segments(decoded)
        if not is_hallucination(segment, language, samples, window.start_sample)
    )
    return Transcript(
        id=window.id,
        segments=segments,
        language=decoded.language,
        language_probability=decoded.language_probability,
        avg_logprob=result.avg_logprob,
        no_speech_prob=result.no_speech_prob,
        compression_ratio=result.compression_ratio,
        end_reason=_end_reason(result) if segments else EndReason.NO_SPEECH,
        model=model,
        has_less_noise=decoded.row.has_less_noise,
    )


def no_speech_result(window: Window, language: str, model: str) -> Transcript:
    """The result for a window that is too quiet to decode. language: used if the window's language is
    auto.
    """
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


def _end_reason(result: DecodeResult) -> EndReason:
    return EndReason.TOKEN_CAP if result.is_capped else EndReason.COMPLETE


def _segments(decoded: Decoded) -> tuple[Segment, ...]:
    """Split the text at pauses if there are word times; else one segment from the first to the last loud
    frame.
    """
    result, window = decoded.result, decoded.row.window
    if not result.text:
        return ()
    if not decoded.words:
        start, end = loud_range(0, len(window.samples), loud_frames(decoded.row.samples), pause_frames=None)
        first = window.start_sample
        text, ratio = result.text, compression_ratio(result.text)
        figures = result.avg_logprob, result.no_speech_prob, ratio
        return (Segment(text, first + start, first + end, *figures),)
    return segments_of(decoded.words, result.avg_logprob, result.no_speech_prob)


def segments_of(words: Sequence[Word], avg_logprob: float, no_speech_prob: float) -> tuple[Segment, ...]:
    """The words (at least one) as segments: a pause of SEGMENT_PAUSE_SAMPLES begins a new one."""
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
