"""What noise reduction is worth: recordings in noise, decoded as they are and with less noise.

    python scripts/bench_noise.py --audio DIR --model base [--languages en ko] [--rounds 3]

DIR is as for `evaluate_speech.py`: LANGUAGE/NAME.flac with the words in NAME.txt. Recordings of up to 12.5 s
are used, without those that have noise already. Each is one final window, without context. Columns: the
audio as it is; always with less noise; and as `engine.noise_reduction` does it, which uses the text with less
noise where the model is surer of it. The first DIR/nonspeech/*noise* is mixed in, too, if there is one.
English error rates need whisper-normalizer: pip install --no-deps -r bench/requirements.txt.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from faster_whisper.audio import decode_audio

from bench.speech.clips import NONSPEECH, Recording, recordings_in
from bench.speech.final_windows import on_one_thread, read
from bench.speech.scoring import Errors, errors
from host_stt.contract import SAMPLE_RATE, Float32Array, Transcript
from host_stt.engines.whisper import WhisperEngine
from host_stt.noise import with_less_noise
from host_stt_cli.errors import StartError
from host_stt_cli.glossary_lab.conditions import in_condition

LONGEST_S = 12.5  # longer recordings do not fit into a short window
NOISY_NAMES = ("noisy", "overlap", "radiosim")
PEAK = 0.9

InNoise = Callable[[Float32Array, int], Float32Array]
"""Samples and a seed to samples."""


COLUMNS = ("as it is", "always less noise", "as the engine does it")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--model", default="base")
    parser.add_argument("--languages", nargs="+", default=["en", "ko"])
    parser.add_argument(
        "--rounds", type=int, default=3, help="so many mixtures of each recording. Default 3."
    )
    parser.add_argument("--texts", type=Path, help="file to write each text to, one line of JSON a window")
    given = parser.parse_args()
    try:
        recordings = [one for one in recordings_in(given.audio) if is_usable(one, given.languages)]
        readers = Readers(given.model)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"| language | condition | windows | {' | '.join(COLUMNS)} |")
    print("| --- | --- | --- | --- | --- | --- |")
    lines: list[str] = []
    for language in given.languages:
        chosen = [one for one in recordings if one.language == language]
        for condition, in_noise in conditions(given.audio).items():
            rounds = 1 if condition == "clean" else given.rounds
            sums = [Errors() for _ in COLUMNS]
            for seed, one in enumerate(chosen * rounds):
                texts = readers.texts(in_noise(one.samples, seed), language)
                wrong = [errors(one.words, text, language) for text in texts]
                sums = [whole + part for whole, part in zip(sums, wrong, strict=True)]
                lines.append(json.dumps([condition, one.name, one.words, *texts], ensure_ascii=False))
            rates = (f"{e.rate:.1%} ({e.substituted}, {e.deleted}, {e.inserted})" for e in sums)
            print(f"| {language} | {condition} | {len(chosen) * rounds} | {' | '.join(rates)} |", flush=True)
    print("Seconds of decoding: " + ", ".join(f"{n} {s:.1f}" for n, s in readers.seconds.items()))
    if given.texts:
        given.texts.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


class Readers:
    """One model as two engines: without and with noise reduction."""

    def __init__(self, name: str) -> None:
        loaded, options = on_one_thread(name)
        self._plain = WhisperEngine(loaded, name, replace(options, noise_reduction=False))
        self._reducing = WhisperEngine(loaded, name, replace(options, noise_reduction=True))
        self.seconds = dict.fromkeys(COLUMNS, 0.0)

    def texts(self, samples: Float32Array, language: str) -> list[str]:
        """One text for each of COLUMNS."""
        ways: tuple[Callable[[], Transcript], ...] = (
            lambda: read(self._plain, samples, language),
            lambda: read(self._plain, with_less_noise(samples), language),
            lambda: read(self._reducing, samples, language),
        )
        found: list[str] = []
        for name, way in zip(COLUMNS, ways, strict=True):
            start = time.perf_counter()
            found.append(way().text)
            self.seconds[name] += time.perf_counter() - start
        return found


def is_usable(one: Recording, languages: Sequence[str]) -> bool:
    is_clean = not any(name in one.name for name in NOISY_NAMES)
    return one.is_speech and one.language in languages and is_clean and one.seconds <= LONGEST_S


def conditions(folder: Path) -> dict[str, InNoise]:
    """Name of a condition to what makes it."""
    found: dict[str, InNoise] = {
        name: partial(_on_channel, name) for name in ("clean", "radio 20 dB", "radio 10 dB", "radio 4 dB")
    }
    found["pink noise 10 dB"] = in_pink_noise
    for path in sorted((folder / NONSPEECH).glob("*noise*"))[:1]:
        noise: Float32Array = decode_audio(str(path), sampling_rate=SAMPLE_RATE)
        found[f"{path.stem} 5 dB"] = partial(_in_recorded_noise, noise)
    return found


def _on_channel(condition: str, samples: Float32Array, seed: int) -> Float32Array:
    return in_condition(samples, condition, seed)


def mixed(samples: Float32Array, noise: Float32Array, snr_db: float) -> Float32Array:
    """The samples with noise of as many samples, whose power is snr_db below theirs."""
    power = float((samples**2).mean())
    gain = np.sqrt(power / (float((noise**2).mean()) + 1e-12) / 10 ** (snr_db / 10))
    noisy = samples + gain * noise
    scale = min(1.0, PEAK / float(np.abs(noisy).max()))
    mixture: Float32Array = (noisy * scale).astype(np.float32)
    return mixture


def in_pink_noise(samples: Float32Array, seed: int) -> Float32Array:
    """10 dB. The power of the noise falls with the frequency, from 30 bins on."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(len(samples)))
    noise = np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 30.0), len(samples))
    return mixed(samples, noise.astype(np.float32), 10)


def _in_recorded_noise(noise: Float32Array, samples: Float32Array, seed: int) -> Float32Array:
    """5 dB. The noise begins at a random place and is repeated as often as needed."""
    start = int(np.random.default_rng(seed).integers(len(noise)))
    part = np.take(noise, np.arange(start, start + len(samples)), mode="wrap")
    return mixed(samples, part.astype(np.float32), 5)


if __name__ == "__main__":
    sys.exit(main())
