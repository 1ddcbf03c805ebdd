"""Costs of models that a test sets, written to the file where the engine stores measured costs.

So a test of the model choice runs the engine's own code, and the machine's speed does not matter.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from host_stt.config import EngineConfig
from host_stt.machine import decoding_conditions
from host_stt.measured_costs import MeasuredCosts, key_of
from host_stt.model_cost import ModelCost
from host_stt.models import STARTER_FOLDER, add_model


def add_starter_as(name: str, models_dir: Path, scratch: Path) -> Path:
    """Add the starter model under another name, with one byte more in its weights, so that they differ."""
    folder = scratch / f"weights-of-{name.replace('/', '-')}"
    shutil.copytree(STARTER_FOLDER, folder)
    with (folder / "model.bin").open("ab") as weights:
        weights.write(name.encode())
    return add_model(folder, models_dir, name)


def remember_cost(config: EngineConfig, folder: Path, final_s: float) -> ModelCost:
    """Store a cost as if it was measured on this machine. final_s: for a window of 6 s of speech."""
    costs = MeasuredCosts(config.models_dir)
    conditions = decoding_conditions(config)
    key = key_of(costs.weights_sha256(folder / "model.bin"), conditions)
    cost = ModelCost(final_s, final_s, 6.0)
    costs.keep(key, folder.name, conditions, cost)
    return cost
