"""Measure the starter model on phrases outside its training data, and print the figures as a table.

    python scripts/evaluate_starter_model.py --model host_stt/starter --count 200

The four parts can be run separately (`--part`). `--heads 1.0,2.0` tries other alignment heads than the
model's.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from training.evaluate import (
    Bench,
    measure_cuts,
    measure_glossary,
    measure_silence,
    measure_times,
    measure_words,
)
from training.memory import keep_freed_memory

PARTS = {
    "words": measure_words,
    "cuts": measure_cuts,
    "glossary": measure_glossary,
    "times": measure_times,
    "silence": lambda bench, count: measure_silence(bench),
}
SEED = 2026


def with_heads(model: Path, heads: str, folder: Path) -> Path:
    """A copy of the model whose alignment heads are `heads`, as `layer.head,layer.head`."""
    copy = folder / "model"
    shutil.copytree(model, copy)
    config = json.loads((copy / "config.json").read_text())
    config["alignment_heads"] = [[int(part) for part in head.split(".")] for head in heads.split(",")]
    (copy / "config.json").write_text(json.dumps(config))
    return copy


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=Path("host_stt/starter"))
    parser.add_argument("--count", type=int, default=200, help="phrases of each group")
    parser.add_argument("--part", choices=PARTS, nargs="*", default=list(PARTS))
    parser.add_argument("--heads", help="alignment heads to try, such as 1.0,2.0")
    chosen = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        model = with_heads(chosen.model, chosen.heads, Path(folder)) if chosen.heads else chosen.model
        bench = Bench(model, SEED)
        for part in chosen.part:
            sys.stdout.write(f"\n| {part} | |\n|---|---|\n")
            for name, figure in PARTS[part](bench, chosen.count).items():
                sys.stdout.write(f"| {name} | {figure} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
