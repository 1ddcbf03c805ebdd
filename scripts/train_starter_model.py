"""Make the starter model: synthesise the phrases, train, export.

    python scripts/train_starter_model.py --work build/starter --out host_stt/starter

Needs espeak-ng and flite, and torch, faster-whisper, tokenizers, scipy and av (`training/requirements.txt`).
The same seed and steps give the same corpus and the same batches on every machine; the weights differ in the
last digits between processors. A stopped training continues from its last checkpoint.
"""

import argparse
import logging
import os
from functools import partial
from pathlib import Path

# Set before torch and numpy are loaded, which read these: cores are shared, so waiting threads must sleep.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import torch

from training.clips import BatchDataset
from training.corpus import Corpus, make_corpus
from training.export import export
from training.model import Learner, Shape
from training.train import STEPS, Plan, train
from training.vocabulary import learn_vocabulary, load_vocabulary

SEED = 20261121
SHARDS = 28


def make_dataset(work: Path, seed: int) -> BatchDataset:
    corpus = Corpus(work / "corpus")
    return BatchDataset(corpus, load_vocabulary(work / "bpe.json"), corpus.characters(), seed)


def train_model(work: Path, steps: int, seed: int) -> None:
    """Train from the corpus in `work`; the checkpoint is written to `work`."""
    torch.manual_seed(seed)
    characters = Corpus(work / "corpus").characters()
    vocabulary = learn_vocabulary(seed)
    vocabulary.bpe.save(str(work / "bpe.json"))
    learner = Learner(Shape(), len(vocabulary), vocabulary.first_stamp, len(characters))
    train(learner, Plan(steps, work, {"characters": characters}), partial(make_dataset, work, seed))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("build/starter"), help="corpus, checkpoint; 6 GB")
    parser.add_argument("--out", type=Path, default=Path("host_stt/starter"), help="the finished model")
    parser.add_argument("--stage", choices=("all", "corpus", "train", "export"), default="all")
    parser.add_argument("--steps", type=int, default=STEPS, help="fewer only for a trial")
    parser.add_argument("--shards", type=int, default=SHARDS, help="number of shards of 2,500 phrases")
    parser.add_argument("--seed", type=int, default=SEED)
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if chosen.stage in ("all", "corpus"):
        make_corpus(chosen.work / "corpus", chosen.shards, chosen.seed, processes=2)
    if chosen.stage in ("all", "train"):
        train_model(chosen.work, chosen.steps, chosen.seed)
    if chosen.stage in ("all", "export"):
        export(chosen.work / "checkpoint.pt", load_vocabulary(chosen.work / "bpe.json"), chosen.out)


if __name__ == "__main__":
    main()
