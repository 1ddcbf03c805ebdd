"""The transcript of a recording in its output formats: OpenAI's JSON, subtitles, plain text.

Pure. Defines line lengths and where cues are split; `host_stt_common.subtitles` writes the cues. Input times
are samples; output times are seconds or subtitle stamps. Invariant: subtitles come in order, none is empty,
none begins before the previous one has ended, and no text ends a cue early.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from host_stt.contract import SAMPLE_RATE, Segment, Task, Transcript, Unread, Word
from host_stt_common.audio_facts import AudioFacts
from host_stt_common.languages import WITHOUT_SPACES, name_of
from host_stt_common.names import one_line
from host_stt_common.subtitles import VTT_HEAD, srt_cue, vtt_cue

CUE_CHARS_MAX = 84
"""Two lines of 42 characters, the usual limit of subtitles."""
CUE_S_MAX = 7.0
_LINE_CHARS_MAX = 42
_CUE_S_MIN = 0.2
_MEL_SAMPLES = 160
_SENTENCE_ENDS = tuple(".?!。？！")


class Format(StrEnum):
    """The values of `response_format`."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VERBOSE_JSON = "verbose_json"
    VTT = "vtt"


@dataclass(frozen=True, slots=True)
class Part:
    """One segment, and the start of its window."""

    segment: Segment
    language: str  # that is spoken
    window_start_sample: int
    task: Task = Task.TRANSCRIBE

    @property
    def is_without_spaces(self) -> bool:
        """True if its text has no spaces between words."""
        return self.task is Task.TRANSCRIBE and self.language in WITHOUT_SPACES


@dataclass(frozen=True, slots=True)
class Recording:
    """All results in order. Times are samples from the recording's start."""

    parts: tuple[Part, ...]
    duration_samples: int
    facts: AudioFacts | None = None  # of the file; None until all of it is decoded
    unread: tuple[Unread, ...] = ()  # speech that has no words, in order; not known of a translation
    task: Task = Task.TRANSCRIBE

    @property
    def text(self) -> str:
        return "".join(joint + part.segment.text.strip() for joint, part in joined(self.parts))

    @property
    def languages(self) -> list[str]:
        """The codes of the languages that are spoken, the one with the most speech first."""
        spoken: dict[str, int] = {}
        for part in self.parts:
            length = part.segment.end_sample - part.segment.start_sample
            spoken[part.language] = spoken.get(part.language, 0) + length
        return sorted(spoken, key=lambda code: -spoken[code])

    @property
    def language(self) -> str:
        """The language with the most speech; English if there is no speech, and for a translation."""
        return "en" if self.task is Task.TRANSLATE else next(iter(self.languages), "en")

    @property
    def duration_s(self) -> float:
        return self.duration_samples / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle."""

    text: str
    start_s: float
    end_s: float


def parts_of(transcript: Transcript, window_start_sample: int, task: Task = Task.TRANSCRIBE) -> list[Part]:
    return [
        Part(segment, transcript.language, window_start_sample, task)
        for segment in transcript.segments
        if segment.text.strip()
    ]


def joined(parts: Sequence[Part]) -> Iterator[tuple[str, Part]]:
    """Each part, with the separator between it and the part before."""
    before: Part | None = None
    for part in parts:
        yield joint(before, part), part
        before = part


def joint(before: Part | None, part: Part) -> str:
    if before is None or (before.is_without_spaces and part.is_without_spaces):
        return ""
    return " "


# --- JSON -----------------------------------------------------------------------------------------


def json_body(recording: Recording) -> dict[str, Any]:
    """The JSON of `json`, and of the last event of a stream."""
    return {
        "text": recording.text,
        "languages": [{"code": code} for code in recording.languages],
        "usage": _usage(recording),
        **_facts(recording),
    }


def verbose_body(recording: Recording, granularities: frozenset[str]) -> dict[str, Any]:
    """The verbose JSON. granularities: "segment", "word" or both; none means segments, as with OpenAI."""
    body: dict[str, Any] = {
        "task": recording.task.value,
        "language": name_of(recording.language),
        "duration": round(recording.duration_s, 3),
        "text": recording.text,
    }
    if "word" in granularities:
        body["words"] = [
            {
                "word": word.text,
                "start": _seconds(word.start_sample),
                "end": _seconds(word.end_sample),
                "probability": round(word.probability, 4),
            }
            for part in recording.parts
            for word in part.segment.words
        ]
    if "segment" in granularities or not granularities:
        body["segments"] = [_segment_body(i, part) for i, part in enumerate(recording.parts)]
    if recording.task is Task.TRANSLATE:
        body["languages"] = [{"code": code} for code in recording.languages]
    else:
        body["unread"] = _unread(recording)
    return {**body, "usage": _usage(recording), **_facts(recording)}


def _unread(recording: Recording) -> list[dict[str, Any]]:
    return [
        {"start": _seconds(u.start_sample), "end": _seconds(u.end_sample), "reason": u.reason.value}
        for u in recording.unread
    ]


def _segment_body(number: int, part: Part) -> dict[str, Any]:
    """One segment. `tokens` is empty, because engines only return text."""
    segment = part.segment
    return {
        "id": number,
        "seek": part.window_start_sample // _MEL_SAMPLES,
        "start": _seconds(segment.start_sample),
        "end": _seconds(segment.end_sample),
        "text": segment.text.strip(),
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": round(segment.avg_logprob, 4),
        "compression_ratio": round(segment.compression_ratio, 4),
        "no_speech_prob": round(segment.no_speech_prob, 6),
        "language": name_of(part.language),
    }


def _facts(recording: Recording) -> dict[str, Any]:
    return recording.facts.body() if recording.facts else {}


def _usage(recording: Recording) -> dict[str, Any]:
    return {"type": "duration", "seconds": -(-recording.duration_samples // SAMPLE_RATE)}


def _seconds(sample: int) -> float:
    return round(sample / SAMPLE_RATE, 3)


# --- subtitles ------------------------------------------------------------------------------------


def cues(recording: Recording) -> list[Cue]:
    """Subtitles that are short enough to read: split between words, preferably after a sentence."""
    found = [cue for part in recording.parts for cue in _cues_of(part.segment) if cue.text]
    for i, cue in enumerate(found):
        start_s = max(cue.start_s, found[i - 1].end_s if i else 0.0)
        found[i] = replace(cue, start_s=start_s, end_s=max(cue.end_s, start_s + _CUE_S_MIN))
    return found


def _cues_of(segment: Segment) -> Iterator[Cue]:
    if not segment.words:
        yield Cue(one_line(segment.text), _seconds(segment.start_sample), _seconds(segment.end_sample))
        return
    held: list[Word] = []
    for word in segment.words:
        if held and (_is_full([*held, word]) or _ends_well(held)):
            yield _cue(held)
            held = []
        held.append(word)
    yield _cue(held)


def _is_full(words: Sequence[Word]) -> bool:
    too_long = words[-1].end_sample - words[0].start_sample > CUE_S_MAX * SAMPLE_RATE
    return words[-1].leading_space and (too_long or len(_text_of(words)) > CUE_CHARS_MAX)


def _ends_well(words: Sequence[Word]) -> bool:
    """True at the end of a sentence, if at least one line is full."""
    return len(_text_of(words)) >= _LINE_CHARS_MAX and words[-1].text.endswith(_SENTENCE_ENDS)


def _cue(words: Sequence[Word]) -> Cue:
    return Cue(_folded(words), _seconds(words[0].start_sample), _seconds(words[-1].end_sample))


def _text_of(words: Sequence[Word]) -> str:
    return one_line("".join((" " if word.leading_space else "") + word.text for word in words))


def _folded(words: Sequence[Word]) -> str:
    """The text in two lines if one line is too long, split at the space closest to the middle."""
    text = _text_of(words)
    spaces = [i for i, character in enumerate(text) if character == " "]
    if len(text) <= _LINE_CHARS_MAX or not spaces:
        return text
    at = min(spaces, key=lambda i: abs(i - len(text) // 2))
    return f"{text[:at]}\n{text[at + 1 :]}"


def srt(recording: Recording) -> str:
    return "".join(
        srt_cue(number, _ms(cue.start_s), _ms(cue.end_s), cue.text)
        for number, cue in enumerate(cues(recording), start=1)
    )


def vtt(recording: Recording) -> str:
    return VTT_HEAD + "".join(vtt_cue(_ms(cue.start_s), _ms(cue.end_s), cue.text) for cue in cues(recording))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


# --- all of them ----------------------------------------------------------------------------------


def written(recording: Recording, form: Format, granularities: frozenset[str] = frozenset()) -> str:
    """The whole response in this format."""
    bodies: dict[Format, Callable[[], str]] = {
        Format.JSON: lambda: _dumped(json_body(recording)),
        Format.VERBOSE_JSON: lambda: _dumped(verbose_body(recording, granularities)),
        Format.TEXT: lambda: one_line(recording.text) + "\n",
        Format.SRT: lambda: srt(recording),
        Format.VTT: lambda: vtt(recording),
    }
    return bodies[form]()


def _dumped(body: dict[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False)
