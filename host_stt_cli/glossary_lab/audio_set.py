"""A folder of speech for the lab: WAV files and `manifest.jsonl`, one line for each clip.

A line has `audio` (file name), `language`, `kind`, `text` (as spoken), `terms` (canonical forms of the terms
in it), `voice` and `condition`. A folder of one's own recordings needs only NAME.wav (or .flac) with the
spoken words in NAME.txt, in folders named en and ko; its terms are then found in the text.
"""

from __future__ import annotations

import json
import wave
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from faster_whisper.audio import decode_audio

from host_stt.contract import SAMPLE_RATE, Float32Array
from host_stt_cli.errors import StartError
from host_stt_cli.glossary_lab.conditions import CONDITIONS, in_condition
from host_stt_cli.glossary_lab.phrases import (
    Kind,
    Phrase,
    english_phrases,
    korean_calls,
    korean_orders,
)
from host_stt_cli.glossary_lab.voices import Voice, voices
from host_stt_common.languages import read_language

MANIFEST = "manifest.jsonl"
SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a")
EDGE_SAMPLES = SAMPLE_RATE * 2 // 5  # silence in front of and behind each clip
PAUSE_SAMPLES = SAMPLE_RATE // 5  # between a spoken call sign and a recording
RECORDING_SECONDS_MAX = 8.0
"""Longer recordings are left out, so that a clip fits the shortest window."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One line of the manifest."""

    audio: str
    language: str
    kind: str
    text: str
    terms: tuple[str, ...] = ()
    voice: str = ""
    condition: str = ""


def write_set(folder: Path, recordings: Path | None = None, count: int = 160) -> list[Clip]:
    """Speak the phrases in all conditions and write the set. recordings: a folder with LANGUAGE/NAME.flac.

    count: phrases of each language. Raises StartError when no voice is installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clips: list[Clip] = []
    for number, (phrase, voice, samples) in enumerate(_spoken(recordings, count)):
        padded = np.pad(samples, EDGE_SAMPLES)
        for condition in CONDITIONS:
            name = f"{phrase.id}-{condition.replace(' ', '')}.wav"
            write_wav(folder / name, in_condition(padded, condition, seed=number))
            clips.append(
                Clip(name, phrase.language, phrase.kind, phrase.text, phrase.terms, voice, condition)
            )
    lines = [json.dumps(asdict(clip), ensure_ascii=False) for clip in clips]
    (folder / MANIFEST).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return clips


def _spoken(recordings: Path | None, count: int) -> Iterator[tuple[Phrase, str, Float32Array]]:
    english = _mixed(voices("en"))
    if not english:
        raise StartError("no voice is installed: install espeak-ng, or `pip install hibari-tts`.")
    for number, phrase in enumerate(english_phrases(count)):
        voice = english[number % len(english)]
        yield phrase, voice.name, voice.speak(phrase.text)
    for name, text, samples in _recordings(recordings, "en"):
        yield Phrase(f"en-rec-{name}", "en", Kind.NONE, text), "recording", samples
    korean = voices("ko")
    if korean:
        yield from _korean(korean, list(_recordings(recordings, "ko")), count)


def _mixed(found: list[Voice]) -> list[Voice]:
    """Two natural voices, then one of espeak-ng, and so on; the voices themselves if one kind is missing."""
    natural = [voice for voice in found if voice.name == "hibari"]
    formant = [voice for voice in found if voice.name != "hibari"]
    if not natural or not formant:
        return found
    count = 3 * len(natural) * len(formant)
    return [
        formant[number // 3 % len(formant)] if number % 3 == 2 else natural[number % len(natural)]
        for number in range(count)
    ]


def _korean(
    korean: list[Voice], recorded: list[tuple[str, str, Float32Array]], count: int
) -> Iterator[tuple[Phrase, str, Float32Array]]:
    """Call signs in front of recorded sentences, and the sentences alone; spoken sentences without them."""
    if not recorded:
        recorded = [
            (f"order{number}", text, korean[number % len(korean)].speak(text))
            for number, text in enumerate(korean_orders())
        ]
    for number, call in enumerate(korean_calls(count // 2)):
        voice = korean[number % len(korean)]
        _, text, order = recorded[number % len(recorded)]
        sign = voice.speak(call.text)
        level = float(np.abs(order).max() / max(np.abs(sign).max(), 1e-6))
        samples = np.concatenate([sign * level, np.zeros(PAUSE_SAMPLES, np.float32), order])
        yield Phrase(call.id, "ko", call.kind, f"{call.text}, {text}", call.terms), voice.name, samples
    for name, text, samples in recorded[: count - count // 2]:
        yield Phrase(f"ko-rec-{name}", "ko", Kind.NONE, text), "recording", samples


def _recordings(folder: Path | None, language: str) -> Iterator[tuple[str, str, Float32Array]]:
    """(name, spoken words, samples) of the recordings in a language that are short enough."""
    for path in sorted((folder / language).glob("*")) if folder is not None else ():
        words = path.with_suffix(".txt")
        if path.suffix.lower() not in SUFFIXES or not words.is_file():
            continue
        samples = read_audio(path)
        if len(samples) <= RECORDING_SECONDS_MAX * SAMPLE_RATE:
            yield path.stem, " ".join(words.read_text(encoding="utf-8").split()), samples


def read_set(folder: Path) -> list[Clip]:
    """The clips of a folder. Raises StartError when it has neither a manifest nor recordings."""
    manifest = folder / MANIFEST
    if manifest.is_file():
        clips = list(_manifest_lines(manifest))
    else:
        clips = list(_recordings_as_clips(folder))
    if not clips:
        raise StartError(
            f"{folder} has no {MANIFEST} and no recordings with words: put NAME.wav and NAME.txt into "
            f"{folder}/en or {folder}/ko, or make a set with `host-stt glossary speak {folder}`."
        )
    return clips


def _manifest_lines(manifest: Path) -> Iterable[Clip]:
    for number, line in enumerate(manifest.read_text(encoding="utf-8").splitlines(), 1):
        try:
            fields = json.loads(line)
            yield Clip(**{**fields, "terms": tuple(fields.get("terms", ()))})
        except (ValueError, TypeError) as error:
            raise StartError(f"{manifest}, line {number}: {error}.") from error


def _recordings_as_clips(folder: Path) -> Iterable[Clip]:
    for path in sorted(folder.rglob("*")):
        words, language = path.with_suffix(".txt"), read_language(path.parent.name)
        if path.suffix.lower() in SUFFIXES and words.is_file() and language is not None:
            text = " ".join(words.read_text(encoding="utf-8").split())
            yield Clip(str(path.relative_to(folder)), language, "", text, voice="recording")


def read_audio(path: Path) -> Float32Array:
    """(n,) float32 at 16 kHz."""
    samples: Float32Array = decode_audio(str(path), sampling_rate=SAMPLE_RATE)
    return samples


def write_wav(path: Path, samples: Float32Array) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
