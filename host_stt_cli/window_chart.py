"""`host-stt doctor --windows`: how short may a window be for this model? Error rates for each window form.

Each recording is decoded alone, once and greedily, in every form. No guard and no second decode hides a loop.
A result is *flagged* if it reached the token limit or compresses more than 2.4 times; the engine decodes such
windows again at full length. Contains the forms, the measurement and the table.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from faster_whisper.audio import decode_audio

from host_stt.contract import SAMPLE_RATE, Float32Array
from host_stt.engines.loading import LoadedModel
from host_stt.engines.rows import FRAME_SAMPLES, FRAMES_FULL
from host_stt.guards import compression_ratio
from host_stt_cli.errors import StartError
from host_stt_cli.loadtest.measures import error_rate
from host_stt_common.languages import read_language

SECONDS_MAX = 27.0  # longer recordings are left out, because every form must contain the whole recording
TOKENS_PER_S, TOKENS_EXTRA = 8, 10
COMPRESSION_MAX = 2.4
_AUDIO = (".flac", ".wav", ".mp3", ".ogg", ".m4a")


class Padding(StrEnum):
    """What fills a window after its audio."""

    MEL = "log-mel zeros"  # as faster-whisper and the engine do
    AUDIO = "silent audio"
    FLOOR = "log-mel floor"  # the quietest value of the window


@dataclass(frozen=True, slots=True)
class Form:
    """A window of speech + slack_s, rounded up to 1 s, and at least least_s."""

    slack_s: float
    least_s: float

    def __str__(self) -> str:
        return "30 s" if self.least_s >= 30 else f"speech + {self.slack_s:g} s, at least {self.least_s:g} s"

    def frames(self, seconds: float) -> int:
        padded_s = min(30.0, max(self.least_s, float(np.ceil(seconds + self.slack_s))))
        return round(padded_s * SAMPLE_RATE) // FRAME_SAMPLES


FORMS = (Form(0, 30), Form(5, 10), Form(2.5, 10), Form(2.5, 5), Form(1, 5), Form(0, 1))


@dataclass(frozen=True, slots=True)
class Clip:
    name: str
    samples: Float32Array  # (n,) 16 kHz
    words: str
    language: str

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class ClipResult:
    text: str
    is_flagged: bool
    encode_s: float
    decode_s: float


@dataclass(frozen=True, slots=True)
class ChartRow:
    """One form and padding over all recordings of a language. Rates are shares; costs are seconds per
    recording.
    """

    form: Form
    padding: Padding
    rate: float
    unflagged_rate: float
    flagged: int
    clips: int
    encode_s: float
    decode_s: float


def clips_in(folder: Path, languages: Sequence[str]) -> dict[str, list[Clip]]:
    """Recordings below `folder` that have their text in NAME.txt, by language.

    The language is the name of the folder if that is a code or a name of a language, else the first of
    `languages`. Recordings in a language that the model does not have, and those over 27 s, are left out.
    Raises StartError if none is left.
    """
    found: dict[str, list[Clip]] = {}
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in _AUDIO):
        words = path.with_suffix(".txt")
        language = read_language(path.parent.name) or languages[0]
        if not words.is_file() or language not in languages:
            continue
        samples = decode_audio(str(path), sampling_rate=SAMPLE_RATE)
        clip = Clip(path.name, samples, words.read_text(encoding="utf-8"), language)
        if clip.seconds <= SECONDS_MAX:
            found.setdefault(language, []).append(clip)
    if not found:
        raise StartError(
            f"{folder} contains no recording of up to {SECONDS_MAX:g} s with its text: NAME.wav (or "
            f"flac, mp3, ogg, m4a) and NAME.txt, in a folder named after its language, such as en or ko."
        )
    return found


def chart(loaded: LoadedModel, clips: Sequence[Clip]) -> Iterator[ChartRow]:
    """A row for each form and padding. clips: all of one language."""
    for form in FORMS:
        for padding in Padding:
            results = [decode_alone(loaded, clip, form.frames(clip.seconds), padding) for clip in clips]
            yield _row(form, padding, clips, results)


def decode_alone(loaded: LoadedModel, clip: Clip, frames: int, padding: Padding) -> ClipResult:
    """One greedy decode without timestamps. frames: length of the window, 10 ms each."""
    features = _features(loaded, clip.samples, frames, padding)
    storage = ctranslate2.StorageView.from_array(np.ascontiguousarray(features[np.newaxis]))
    tokenizer = loaded.tokenizers[clip.language]
    prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
    cap = int(TOKENS_PER_S * clip.seconds) + TOKENS_EXTRA
    began = time.perf_counter()
    encoded = loaded.whisper.encode(storage)
    between = time.perf_counter()
    # With a short prompt CTranslate2 makes at most half of max_length, so request twice the limit.
    (result,) = loaded.whisper.generate(
        encoded, [prompt], beam_size=1, max_length=min(448, max(2 * cap, cap + len(prompt)))
    )
    ended = time.perf_counter()
    made: list[int] = result.sequences_ids[0]
    text = tokenizer.decode([token for token in made if token < tokenizer.eot]).strip()
    is_flagged = len(made) >= cap - 1 or compression_ratio(text) > COMPRESSION_MAX
    return ClipResult(text, is_flagged, between - began, ended - between)


def _features(loaded: LoadedModel, samples: Float32Array, frames: int, padding: Padding) -> Float32Array:
    """(n_mels, frames) float32."""
    if padding is Padding.AUDIO:
        samples = np.pad(samples, (0, max(0, frames * FRAME_SAMPLES - len(samples))))
    mel: Float32Array = loaded.features(samples)[:, : min(frames, FRAMES_FULL)]
    fill = float(mel.min()) if padding is not Padding.MEL else 0.0
    return np.pad(mel, ((0, 0), (0, frames - mel.shape[1])), constant_values=fill).astype(np.float32)


def _row(form: Form, padding: Padding, clips: Sequence[Clip], results: Sequence[ClipResult]) -> ChartRow:
    language = clips[0].language
    pairs = [(clip.words, result.text) for clip, result in zip(clips, results, strict=True)]
    kept = [pair for pair, result in zip(pairs, results, strict=True) if not result.is_flagged]
    return ChartRow(
        form,
        padding,
        _rate(pairs, language),
        _rate(kept, language),
        sum(result.is_flagged for result in results),
        len(results),
        sum(result.encode_s for result in results) / len(results),
        sum(result.decode_s for result in results) / len(results),
    )


def _rate(pairs: Sequence[tuple[str, str]], language: str) -> float:
    rate: Any = error_rate(pairs, language).get("rate", float("nan"))
    return float(rate)


def table(language: str, rows: Sequence[ChartRow], unit: str) -> str:
    """Markdown. unit: WER or CER. Costs are relative to the first row, the full window."""
    first = rows[0]
    lines = [
        f"| {language}: window | padded with | {unit} all / unflagged | flagged | encode | decode |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.form} | {row.padding} | {100 * row.rate:.1f} / {100 * row.unflagged_rate:.1f} % "
        f"| {row.flagged} of {row.clips} | {row.encode_s / first.encode_s:.2f} "
        f"| {row.decode_s / first.decode_s:.2f} |"
        for row in rows
    ]
    return "\n".join(lines)
