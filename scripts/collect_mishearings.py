"""Collect what the model writes for glossary terms: synthetic voices, clean, telephone and radio audio.

  export PYTHONPATH=DIR_WITH_HIBARI_TTS
  python scripts/collect_mishearings.py --language en --model /models/base --out FILE.tsv

Needs hibari-tts, scipy and the program espeak-ng. Each row of FILE has: id, language, condition, voice, the
text that was said, the terms in it (canonical, separated by `|`), what the engine wrote without any glossary,
and the probability of each word in percent. A second run adds the rows that are missing.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.mishearings.phrases import Phrase, phrases  # noqa: E402
from bench.mishearings.speaking import (  # noqa: E402
    CONDITIONS,
    VOICES,
    Audio,
    speak,
    worsen,
)
from host_stt.contract import Priority, Transcript, Window  # noqa: E402
from host_stt.engines.options import WhisperOptions  # noqa: E402
from host_stt.engines.whisper import WhisperEngine  # noqa: E402
from host_stt.window_forms import WindowForm  # noqa: E402
from webrtc_host.speech.words import text_of, words_of  # noqa: E402

COLUMNS = ("id", "language", "condition", "voice", "said", "terms", "wrote", "sure")
BATCH = 8
HISTORY = {
    "en": "",
    # Without text before it, base writes much of this accented Korean in Latin letters, and it is rejected.
    "ko": "여기는 상황실입니다. 현재 위치를 보고하세요. 수신 양호, 지금 이동하겠습니다.",
}
"""Text before the window, as in a running conversation."""


def main() -> int:
    options = _options()
    done = _ids_in(options.out)
    engine = WhisperEngine.from_folder(
        options.model, options.model.name, WhisperOptions(final_window=WindowForm.SHORT), cpu_threads=1
    )
    waiting = [
        (number, phrase)
        for number, phrase in enumerate(phrases(options.phrases, options.seed))
        if phrase.language == options.language and _id(number, phrase, options.seed) not in done
    ]
    with options.out.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        if not done:
            writer.writerow(COLUMNS)
        for first in range(0, len(waiting), BATCH):
            writer.writerows(_rows(engine, waiting[first : first + BATCH], options.seed))
            file.flush()
            print(f"{min(first + BATCH, len(waiting))} of {len(waiting)}", file=sys.stderr)
    return 0


def _rows(engine: WhisperEngine, batch: list[tuple[int, Phrase]], seed: int) -> list[list[str]]:
    made = [_spoken(number, phrase, seed) for number, phrase in batch]
    windows = [
        Window(
            f"w{number}", "C01", audio, 0, Priority.FINAL, phrase.language, history=HISTORY[phrase.language]
        )
        for (number, phrase), (_, _, audio) in zip(batch, made, strict=True)
    ]
    rows = []
    for (number, phrase), (condition, voice, _), answer in zip(
        batch, made, engine.decode(windows), strict=True
    ):
        if not isinstance(answer, Transcript):
            raise SystemExit(f"{phrase.text!r} was not decoded: {answer.message}")
        words = words_of(answer)
        sure = " ".join(str(round(100 * word.probability)) for word in words)
        name = _id(number, phrase, seed)
        terms = "|".join(phrase.terms)
        rows.append([name, phrase.language, condition, voice, phrase.text, terms, text_of(words), sure])
    return rows


def _spoken(number: int, phrase: Phrase, seed: int) -> tuple[str, str, Audio]:
    rng = random.Random(1000 * seed + number)
    voice = rng.choice(VOICES[phrase.language])
    condition = rng.choice(CONDITIONS[phrase.language])
    return (
        condition,
        voice,
        worsen(speak(phrase.text, voice, rng.choice((0.85, 0.95, 1.05))), condition, number),
    )


def _id(number: int, phrase: Phrase, seed: int) -> str:
    return f"{phrase.language}-{'trap' if phrase.is_trap else 'term'}-{number:04d}-{seed}"


def _ids_in(path: Path) -> set[str]:
    if not path.exists():
        return set()
    with path.open(encoding="utf-8", newline="") as file:
        return {row["id"] for row in csv.DictReader(file, delimiter="\t")}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of a CTranslate2 Whisper model")
    parser.add_argument("--out", type=Path, required=True, help="TSV file to write or to continue")
    parser.add_argument("--language", choices=("en", "ko"), required=True)
    parser.add_argument("--phrases", type=int, default=500, help="phrases with terms for each language")
    parser.add_argument("--seed", type=int, default=14, help="another number makes other phrases")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
