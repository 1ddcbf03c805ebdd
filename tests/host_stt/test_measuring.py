"""What a model costs here: real decodes of the bundled clip."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from host_stt.config import EngineConfig
from host_stt.contract import Answer, Window, WindowError
from host_stt.engines.fake import FakeEngine
from host_stt.errors import ModelDamaged, ModelError
from host_stt.machine import decoding_conditions
from host_stt.measured_costs import MeasuredCosts, key_of
from host_stt.measuring import CLIP, ModelMeter, measure
from host_stt.models import STARTER_FOLDER, ResolvedModel, clip_window

STARTER = ResolvedModel(STARTER_FOLDER, "starter", "test", is_starter=True)


@pytest.fixture
def config(tmp_path: Path) -> EngineConfig:
    return EngineConfig(device="cpu", models_dir=tmp_path / "models")


def test_the_clip_is_one_window_of_speech_that_fits_the_short_form() -> None:
    seconds = len(clip_window(CLIP).samples) / 16_000
    assert 6.0 < seconds <= 7.5  # 10 s with 2.5 s of silence


@pytest.mark.model
def test_a_measured_cost_is_remembered(config: EngineConfig) -> None:
    seen: list[str] = []
    meter = ModelMeter(config, seen.append)
    assert meter.remembered(STARTER) is None
    cost = meter.cost(STARTER)
    assert cost.speech_s == pytest.approx(6.61, abs=0.01)
    assert seen == ["starter"]
    later = ModelMeter(config, seen.append)
    assert (later.remembered(STARTER), later.cost(STARTER)) == (cost, cost)
    assert seen == ["starter"]


@pytest.mark.model
def test_a_model_is_measured_again_when_asked_or_under_other_conditions(config: EngineConfig) -> None:
    seen: list[str] = []
    ModelMeter(config, seen.append).cost(STARTER)
    ModelMeter(config, seen.append).cost(STARTER, again=True)
    ModelMeter(config.model_copy(update={"beam_size": 2}), seen.append).cost(STARTER)
    assert seen == ["starter"] * 3


@pytest.mark.model
def test_base_costs_more_than_the_starter(config: EngineConfig, base_model: Path) -> None:
    meter = ModelMeter(config)
    base = meter.cost(ResolvedModel(base_model, "base", "test"))
    assert base.final_s > 2 * meter.cost(STARTER).final_s


@pytest.mark.model
def test_a_model_that_cannot_be_loaded_is_one_sentence_and_is_tried_again(
    config: EngineConfig, tmp_path: Path
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(STARTER_FOLDER, folder)
    (folder / "model.bin").write_bytes(b"no weights")
    broken = ResolvedModel(folder, "broken", "test")
    meter = ModelMeter(config)
    for _ in range(3):  # not counted as measurements that ended the process
        with pytest.raises(ModelError, match="broken cannot be measured: "):
            meter.cost(broken)


def test_a_model_whose_measurement_ended_the_process_twice_is_left_alone(config: EngineConfig) -> None:
    costs = MeasuredCosts(config.models_dir)
    conditions = decoding_conditions(config)
    with costs.locked():
        key = key_of(costs.weights_sha256(STARTER_FOLDER / "model.bin"), conditions)
        for _ in range(2):
            costs.begin(key, "starter", conditions)
    with pytest.raises(ModelError, match="ended the process 2 times; host-stt model list --measure"):
        ModelMeter(config).cost(STARTER)


@pytest.mark.model
def test_such_a_model_is_measured_when_a_person_asks(config: EngineConfig) -> None:
    costs = MeasuredCosts(config.models_dir)
    conditions = decoding_conditions(config)
    with costs.locked():
        key = key_of(costs.weights_sha256(STARTER_FOLDER / "model.bin"), conditions)
        for _ in range(2):
            costs.begin(key, "starter", conditions)
    assert ModelMeter(config).cost(STARTER, again=True).final_s > 0


def test_a_model_that_answers_the_clip_with_an_error_is_damaged() -> None:
    class Refuses(FakeEngine):
        def decode(self, windows: Sequence[Window]) -> list[Answer]:
            if windows[0].id != CLIP.stem:
                return super().decode(windows)
            return [WindowError(windows[0].id, "engine_failed", "it cannot")]

    with pytest.raises(ModelDamaged, match="cannot decode the measuring clip: it cannot"):
        measure(Refuses())
