"""What a model gains when the tokens of languages that a site does not use are removed.

    python scripts/bench_trimmed_model.py MODEL_FOLDER [--rounds 20]

The last operation of each decoder step computes a score for each token of the vocabulary (51,865 for
Whisper). This script writes copies of a CTranslate2 folder with fewer tokens, decodes the engine's measuring
clip with each of them in turn, on one thread, and prints the processor time of a decode without the encoder.
The copies are removed afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import struct
import tempfile
import time
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import ctranslate2
import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor

from host_stt.measure_process import CLIP

FRAMES = 1000  # of 10 ms: the input is padded to 10 s
TEXT_TOKENS = 50257  # the ids from here on are special tokens; they all stay
PROMPT = ("<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>")
COMMON = 12000
"""Tokens with lower ids were found earlier when the vocabulary was built: they are more frequent. Words that
need others are spelled in more tokens.
"""
HANGUL = re.compile("[가-힣]")
HANGUL_PART = re.compile(rb"[\x80-\xbf]*([\xea-\xed][\x80-\xbf]{0,2})*")
"""UTF-8 of Hangul: tokens may begin or end within a character."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", type=Path, help="a CTranslate2 folder with vocabulary.txt")
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()
    tokens = (given.model / "vocabulary.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    site = [
        index for index, token in enumerate(tokens) if index >= TEXT_TOKENS or is_english_or_korean(token)
    ]
    kept = {
        "all tokens": list(range(len(tokens))),
        "Latin without accents, and Hangul": site,
        f"of these, the first {COMMON:,}": [i for i in site if i < COMMON or i >= TEXT_TOKENS],
    }
    with tempfile.TemporaryDirectory() as folder:
        models = {}
        for number, (name, ids) in enumerate(kept.items()):
            copy = Path(folder) / str(number)
            write_trimmed(given.model, copy, tokens, ids)
            models[name] = ctranslate2.models.Whisper(str(copy), compute_type="int8", intra_threads=1)
        times_ms, words = measure(
            models, {name: ids.index for name, ids in kept.items()}, tokens, given.rounds
        )
    for name, values in times_ms.items():
        print(
            f"{name}: {len(kept[name]):,} tokens, decode {min(values):.1f} ms least, "
            f"{statistics.median(values):.1f} ms median of {len(values)}, {words[name]} tokens of text"
        )


def is_english_or_korean(token: str) -> bool:
    """Whether a token of GPT-2's byte alphabet may be part of English or Korean text. Single bytes may."""
    data = bytes(BYTES[letter] for letter in token)
    if len(data) == 1 or data.isascii() or HANGUL.search(data.decode("utf-8", "ignore")):
        return True
    return HANGUL_PART.fullmatch(data.strip(b" ")) is not None


def write_trimmed(source: Path, target: Path, tokens: Sequence[str], kept: Sequence[int]) -> None:
    """Copy a model without the other tokens. kept: ids in ascending order."""
    target.mkdir()
    new_ids = {old: new for new, old in enumerate(kept)}
    config = json.loads((source / "config.json").read_text())
    for name in ("suppress_ids", "suppress_ids_begin", "lang_ids"):
        config[name] = [new_ids[old] for old in config.get(name, ()) if old in new_ids]
    (target / "config.json").write_text(json.dumps(config))
    (target / "vocabulary.txt").write_text("\n".join(tokens[i] for i in kept) + "\n", encoding="utf-8")
    with (source / "model.bin").open("rb") as old, (target / "model.bin").open("wb") as new:
        _copy_variables(old, new, len(tokens), kept)


def _copy_variables(old: BinaryIO, new: BinaryIO, rows: int, kept: Sequence[int]) -> None:
    """The binary format of CTranslate2's model_spec.py: version, name, revision, variables, aliases."""
    new.write(old.read(4))
    _copy_text(old, new)
    head = old.read(8)
    new.write(head)
    for _ in range(struct.unpack("<II", head)[1]):
        _copy_text(old, new)
        (rank,) = old.read(1)
        shape = list(struct.unpack(f"<{rank}I", old.read(4 * rank)))
        dtype, size = struct.unpack("<BI", old.read(5))
        values = old.read(size)
        if shape and shape[0] == rows:
            width = size // rows
            values = b"".join(values[i * width : (i + 1) * width] for i in kept)
            shape[0] = len(kept)
        new.write(struct.pack(f"<B{rank}IBI", rank, *shape, dtype, len(values)) + values)
    new.write(old.read())


def _copy_text(old: BinaryIO, new: BinaryIO) -> None:
    size = old.read(2)
    new.write(size + old.read(struct.unpack("<H", size)[0]))


def measure(
    models: dict[str, ctranslate2.models.Whisper],
    new_id: dict[str, Callable[[int], int]],
    tokens: Sequence[str],
    rounds: int,
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Processor times in ms by model, and the number of tokens that each writes. One round is not counted."""
    features = clip_features()
    times_ms: dict[str, list[float]] = {name: [] for name in models}
    written = {}
    for turn in range(rounds + 1):
        for name, model in models.items():
            encoded = model.encode(ctranslate2.StorageView.from_array(features))
            prompt = [new_id[name](tokens.index(token)) for token in PROMPT]
            start_s = time.process_time()
            [result] = model.generate(encoded, [prompt], beam_size=1, max_length=60)
            if turn:
                times_ms[name].append((time.process_time() - start_s) * 1000)
            written[name] = len(result.sequences_ids[0])
    return times_ms, written


def clip_features() -> np.ndarray:
    """(1, 80, FRAMES): the log-mel spectrum of the engine's measuring clip, padded with silence."""
    with wave.open(str(CLIP)) as clip:
        samples = np.frombuffer(clip.readframes(clip.getnframes()), np.int16).astype(np.float32) / 32768
    padded = np.pad(samples, (0, max(0, FRAMES * 160 - len(samples))))
    return np.ascontiguousarray(FeatureExtractor()(padded)[None, :, :FRAMES], np.float32)


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's alphabet: printable bytes stand for themselves, the others for characters from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


BYTES = _byte_alphabet()

if __name__ == "__main__":
    main()
