"""How much does the text of a phrase change when only the noise around it changes?

    python scripts/bench_edges.py --audio DIR --language en [--model base] [--kbps 24 32 48]

DIR holds recordings of 0.2 to 25 s with their words beside them, as for `host-stt loadtest --audio`. Each is
one final window after Opus, as over WebRTC, without context. What lies before and behind the speech differs
from column to column. The last column is what `engine.second_reading` does: a text that the model is not sure
of is compared with a second one, for which the speech stands 0.2 s later in the window. English error rates
need whisper-normalizer: pip install --no-deps -r bench/requirements.txt.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from bench.speech.final_windows import on_one_thread, read
from bench.speech.scoring import Errors, errors
from host_stt.contract import SAMPLE_RATE
from host_stt.engines.whisper import WhisperEngine
from host_stt_cli.errors import StartError
from host_stt_cli.loadtest import sounds

EDGES = {
    "silence 300, 300": (300, 300),
    "noise 300, 300": (300, 300),
    "noise 300, 200": (300, 200),
    "noise 100, 100": (100, 100),
    "noise 200, 300": (200, 300),
    "none": (0, 0),
}
"""Name to the milliseconds before and behind the speech."""
READ_TWICE = "noise 300, 200"
COLUMNS = (*EDGES, f"{READ_TWICE}, second reading")
AROUND_FRAMES = 25  # of noise before and behind each clip, of which the windows have a part


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--language", default="en")
    parser.add_argument("--model", default="base")
    parser.add_argument("--kbps", type=int, nargs="+", default=[24, 32, 48], help="of Opus, kbit/s")
    given = parser.parse_args()
    try:
        clips = sounds.given(given.audio, given.language)
        once, twice = engines(given.model)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"| kbit/s | {' | '.join(COLUMNS)} |")
    print("| --- |" + " --- |" * len(COLUMNS))
    sums = [Errors() for _ in COLUMNS]
    for kbps in given.kbps:
        found = [Errors() for _ in COLUMNS]
        for clip in clips:
            audio = windows(clip, kbps)
            texts = [read(once, audio[name], given.language, SAMPLE_RATE).text for name in EDGES]
            texts.append(read(twice, audio[READ_TWICE], given.language, SAMPLE_RATE).text)
            wrong = (errors(clip.text, text, given.language) for text in texts)
            found = [whole + part for whole, part in zip(found, wrong, strict=True)]
        print(row(str(kbps), found), flush=True)
        sums = [whole + part for whole, part in zip(sums, found, strict=True)]
    print(row("all", sums))
    return 0


def row(name: str, found: list[Errors]) -> str:
    return f"| {name} | " + " | ".join(f"{one.rate:.1%}" for one in found) + " |"


def windows(clip: sounds.Clip, kbps: int) -> dict[str, sounds.Sound]:
    """Of each of EDGES: (n,) int16 at 16 kHz."""
    around = np.resize(sounds.noise(), (AROUND_FRAMES, sounds.FRAME))
    packets = sounds.opus_packets(np.concatenate([around, clip.framed, around]), kbps)
    received = sounds.to_16k(sounds.opus_decoded(packets)).reshape(-1)
    start = AROUND_FRAMES * sounds.FRAME * SAMPLE_RATE // sounds.RATE
    end = start + clip.ms * SAMPLE_RATE // 1000
    found: dict[str, sounds.Sound] = {}
    for name, edges in EDGES.items():
        before, behind = (ms * SAMPLE_RATE // 1000 for ms in edges)
        samples = received[start - before : end + behind].copy()
        if name.startswith("silence"):
            samples[:before] = samples[len(samples) - behind :] = 0
        found[name] = samples
    return found


def engines(name: str) -> tuple[WhisperEngine, WhisperEngine]:
    """One model as two engines: without and with a second reading; both without noise reduction."""
    loaded, usual = on_one_thread(name)
    options = replace(usual, noise_reduction=False)
    once = WhisperEngine(loaded, name, replace(options, second_reading=False))
    return once, WhisperEngine(loaded, name, options)


if __name__ == "__main__":
    sys.exit(main())
