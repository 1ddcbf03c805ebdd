"""Collects mis-hearings: what the engine writes when the voices of this machine speak a term.

Each term is spoken in front of known words; what stands before these words in the engine's text is what was
heard. A person decides which of these spellings become aliases: nothing is learnt here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from host_stt.engines.term_proposals import key_of, likeness
from host_stt_cli.errors import StartError
from host_stt_cli.glossary_lab.audio_set import EDGE_SAMPLES, Clip, write_wav
from host_stt_cli.glossary_lab.conditions import in_condition
from host_stt_cli.glossary_lab.reading import LabReader
from host_stt_cli.glossary_lab.voices import voices
from webrtc_host.glossary.entries import Entry, Snapshot

CONDITIONS = ("clean", "telephone", "radio 10 dB")
BEHIND = {"en": "stand by for further instructions", "ko": "현재 위치 확인 바랍니다"}
"""Words behind the term. The last one or two of them show where the term ends."""
ANCHORS = {"en": ("stand", "standby"), "ko": ("현재",)}
WORDS_MAX = 4
LIKENESS_MIN = 0.55
"""Less alike spellings are noise: as aliases they would match other words."""
IsCommon = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Heard:
    """A spelling that the engine wrote for a term. times: in how many clips."""

    canonical: str
    language: str
    text: str
    times: int
    refused: str = ""  # why it should not become an alias; empty: it can be accepted

    def as_json(self) -> dict[str, Any]:
        return {
            "canonical": self.canonical,
            "language": self.language,
            "alias": self.text,
            "times": self.times,
            "refused": self.refused,
        }


def spoken_clips(folder: Path, entries: Sequence[Entry], language: str, voices_max: int) -> list[Clip]:
    """Speak each term in all conditions, and write the clips. Raises StartError without a voice."""
    found = voices(language)[:voices_max]
    if not found:
        raise StartError(
            f"no voice speaks {language} on this machine: install espeak-ng (en) or `pip install hibari-tts`."
        )
    clips = []
    for number, entry in enumerate(entries):
        said = entry.shown(language).replace("-", " ")
        for voice in found:
            samples = np.pad(voice.speak(f"{said}, {BEHIND[language]}."), EDGE_SAMPLES)
            for condition in CONDITIONS:
                name = (
                    f"{number:04d}-{language}-{voice.name}-{voice.speed:g}-{condition.replace(' ', '')}.wav"
                )
                write_wav(folder / name, in_condition(samples, condition, seed=number))
                clips.append(
                    Clip(name, language, entry.canonical, said, (entry.canonical,), voice.name, condition)
                )
    return clips


def mishearings(
    reader: LabReader, folder: Path, clips: Sequence[Clip], snapshot: Snapshot, is_common: IsCommon
) -> Iterator[Heard]:
    """What was written for each term, the most frequent first."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for clip, read in reader.read(folder, clips, [()] * len(clips)):
        heard = text_of_term(read.text, clip.language)
        if heard:
            counts[clip.kind, clip.language][heard] += 1
    owners = _owners(snapshot.entries)
    by_name = {entry.canonical: entry for entry in snapshot.entries}
    for (canonical, language), texts in counts.items():
        for text, times in texts.most_common():
            if owners.get(key_of(text)) != canonical:
                refused = _reason_against(by_name[canonical], text, language, owners, is_common)
                yield Heard(canonical, language, text, times, refused)


def text_of_term(text: str, language: str) -> str:
    """The words in front of the known words; empty when these are not there, or the term has no words."""
    words = text.split()
    for index, word in enumerate(words):
        if key_of(word) in ANCHORS[language]:
            return " ".join(words[:index]).strip(" .,!?").casefold() if index <= WORDS_MAX else ""
    return ""


def _owners(entries: Sequence[Entry]) -> dict[str, str]:
    """The key of each known spelling, and the term that it belongs to."""
    return {
        key_of(text): entry.canonical
        for entry in entries
        for text in (*entry.never, *entry.aliases, entry.display_ko, entry.display_en, entry.canonical)
    }


def _reason_against(
    entry: Entry, text: str, language: str, owners: dict[str, str], is_common: IsCommon
) -> str:
    key = key_of(text)
    if key in {key_of(word) for word in entry.never}:
        return "it is in the term's list `never`"
    if key in owners:
        return f"it is a spelling of {owners[key]}"
    if is_common(key) or all(is_common(key_of(word)) or word.isdigit() for word in text.split()):
        return "it consists of ordinary words"
    if likeness(text.split(), entry.shown(language).split()) < LIKENESS_MIN:
        return "it does not sound like the term"
    return ""
