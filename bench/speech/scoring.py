"""Scores of a group of recordings: error rates, joins, times, lines per utterance, and invented lines.

Pure, but for the detector that gives reference times. Each figure's definition is its docstring.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jiwer
from faster_whisper.vad import VadOptions, get_speech_timestamps

from bench.speech.clips import Recording
from bench.speech.normalise import Normalise, normaliser
from bench.speech.played import Played
from host_stt.guards import has_letters
from host_stt_cli.loadtest.measures import UNSPACED, off_by, percentiles

NEAR_WORDS = 3
"""A missing or doubled word so close to a join is counted as the join's."""
UNBROKEN_MS = 5000.0
"""Words of utterances that are longer than this are words of unbroken speech."""
SAMPLES_PER_MS = 16


@dataclass(frozen=True, slots=True)
class Errors:
    substituted: int = 0
    deleted: int = 0
    inserted: int = 0
    units: int = 0  # words or characters of the reference

    @property
    def rate(self) -> float:
        wrong = self.substituted + self.deleted + self.inserted
        return wrong / self.units if self.units else float("nan")

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.substituted + other.substituted,
            self.deleted + other.deleted,
            self.inserted + other.inserted,
            self.units + other.units,
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "rate": round(self.rate, 4),
            "substituted": self.substituted,
            "deleted": self.deleted,
            "inserted": self.inserted,
            "of": self.units,
        }


def errors(said: str, read: str, language: str, *, with_spaces: bool = False) -> Errors:
    """Word errors; for languages whose spacing is a matter of taste (Korean) character errors.

    with_spaces: characters of such languages count with their spaces.
    """
    normalise = normaliser(language)
    reference, hypothesis = normalise(said), normalise(read)
    if language in UNSPACED and not with_spaces:
        reference, hypothesis = reference.replace(" ", ""), hypothesis.replace(" ", "")
    if not reference:
        return Errors()
    process = jiwer.process_characters if language in UNSPACED else jiwer.process_words
    out = process(reference, hypothesis)
    return Errors(
        out.substitutions,
        out.deletions,
        out.insertions,
        out.hits + out.substitutions + out.deletions,
    )


@dataclass(frozen=True, slots=True)
class Joins:
    """Words at the places where two windows were joined."""

    count: int = 0
    lost: int = 0  # words of the reference that are missing within NEAR_WORDS of a join
    doubled: int = 0  # words beyond the reference near a join that repeat a word near them


def joins(played: Played) -> Joins:
    normalise = normaliser(played.recording.language)
    places, read = _join_places(played, normalise)
    reference = normalise(played.recording.words)
    if not places or not reference:
        return Joins(len(places))
    words = read.split()
    out = jiwer.process_words(reference, read)
    lost = doubled = 0
    for chunk in out.alignments[0]:
        first, end = chunk.hyp_start_idx, chunk.hyp_end_idx
        if chunk.type == "delete" and _is_near(first, places):
            lost += chunk.ref_end_idx - chunk.ref_start_idx
        elif chunk.type == "insert" and _is_near(first, places):
            around = [*words[max(0, first - NEAR_WORDS) : first], *words[end : end + NEAR_WORDS]]
            doubled += sum(word in around for word in words[first:end])
    return Joins(len(places), lost, doubled)


def _join_places(played: Played, normalise: Normalise) -> tuple[list[int], str]:
    """Numbers of words in front of each join, and the whole text, both in the compared form."""
    texts: list[str] = []
    places: list[int] = []
    for before, group in pairwise([[], *played.commits]):
        if before and before[-1].utterance == group[0].utterance:
            places.append(sum(len(text.split()) for text in texts))
        texts.append(normalise(" ".join(line.text for line in group)))
    return places, " ".join(text for text in texts if text)


def _is_near(place: int, joins: Sequence[int]) -> bool:
    return any(abs(place - one) <= NEAR_WORDS for one in joins)


def speech_bounds_ms(recording: Recording) -> tuple[float, float] | None:
    """Where the speech of a recording begins and ends, by faster-whisper's Silero detector at 0.5."""
    spans = get_speech_timestamps(recording.samples, VadOptions(speech_pad_ms=0, min_silence_duration_ms=100))
    return (spans[0]["start"] / SAMPLES_PER_MS, spans[-1]["end"] / SAMPLES_PER_MS) if spans else None


def time_errors(all_played: Sequence[Played]) -> dict[str, dict[str, float]]:
    """How far the first line's start and the last one's end are from the detector's, in milliseconds."""
    starts: list[float] = []
    ends: list[float] = []
    for played in all_played:
        bounds = speech_bounds_ms(played.recording)
        if bounds and played.lines:
            starts.append(played.lines[0].start_ms - bounds[0])
            ends.append(max(line.end_ms for line in played.lines) - bounds[1])
    return {"start_ms": off_by(starts), "end_ms": off_by(ends)}


def waits_ms(all_played: Sequence[Played], *, is_unbroken: bool) -> dict[str, float]:
    """From the end of a word to its final text, over all words; or over those of long utterances only."""
    waits: list[float] = []
    for played in all_played:
        lengths = {one.id: one.end_ms - one.start_ms for one in played.utterances}
        for line in played.lines:
            if not is_unbroken or lengths.get(line.utterance, 0.0) > UNBROKEN_MS:
                waits += [line.at_ms - end for end in line.word_ends_ms]
    return percentiles(waits)


def ghosts(played: Played) -> list[str]:
    """Lines with words on a recording in which nothing is said."""
    return [line.text for line in played.lines if has_letters(line.text)]


def languages(all_played: Sequence[Played]) -> dict[str, int]:
    """How many recordings were taken for which language; by the most of their lines."""
    found: Counter[str] = Counter()
    for played in all_played:
        votes = Counter(line.language for line in played.lines)
        found[votes.most_common(1)[0][0] if votes else "none"] += 1
    return dict(found)


def group_scores(all_played: Sequence[Played], offline: Sequence[dict[str, str]]) -> dict[str, Any]:
    """All figures of the recordings of one group. offline: of each recording, its text by decoder name."""
    count, seconds = len(all_played), sum(one.recording.seconds for one in all_played)
    figures: dict[str, Any] = {"recordings": count, "seconds": round(seconds, 1)}
    if all_played[0].recording.is_speech:
        figures |= _rates(all_played, offline) | _shape(all_played)
    else:
        texts = [text for one in all_played for text in ghosts(one)]
        figures |= {"ghosts": len(texts), "ghost_texts": texts}
    return figures | {
        "languages": languages(all_played),
        "late": sum(one.late for one in all_played),
        "failed": sum(one.failed for one in all_played),
        "unheard_s": round(sum(one.unheard_ms for one in all_played) / 1000, 1),
    }


def _rates(all_played: Sequence[Played], offline: Sequence[dict[str, str]]) -> dict[str, Any]:
    language = all_played[0].recording.language
    is_by_character = language in UNSPACED
    texts = {"live": [one.text for one in all_played]}
    if any(line.reviewed for one in all_played for line in one.lines):
        texts["after review"] = [one.reviewed_text for one in all_played]
    for name in sorted({name for each in offline for name in each}):
        texts[name] = [each[name] for each in offline]
    said = [one.recording.words for one in all_played]
    rates: dict[str, Any] = {"unit": "CER" if is_by_character else "WER"}
    for name, read in texts.items():
        pairs = list(zip(said, read, strict=True))
        rates[name] = sum((errors(a, b, language) for a, b in pairs), Errors()).as_json()
        if is_by_character:
            spaced = sum((errors(a, b, language, with_spaces=True) for a, b in pairs), Errors())
            rates[f"{name}, with spaces"] = spaced.as_json()
    return {"rates": rates}


def _shape(all_played: Sequence[Played]) -> dict[str, Any]:
    found = [joins(one) for one in all_played]
    utterances = sum(len(one.utterances) for one in all_played)
    lines = sum(len(one.lines) for one in all_played)
    return {
        "joins": {
            "count": sum(one.count for one in found),
            "lost_words": sum(one.lost for one in found),
            "doubled_words": sum(one.doubled for one in found),
        },
        "utterances": utterances,
        "lines": lines,
        "lines_per_utterance": round(lines / utterances, 2) if utterances else None,
        "without_text": sum(not one.lines for one in all_played),
        "word_final_ms": waits_ms(all_played, is_unbroken=False),
        "unbroken_word_final_ms": waits_ms(all_played, is_unbroken=True),
    } | time_errors(all_played)
