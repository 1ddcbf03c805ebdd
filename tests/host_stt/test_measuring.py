"""What a model costs here: real decodes of the bundled clip."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from filelock import FileLock

from host_stt.config import EngineConfig
from host_stt.contract import Answer, Window, WindowError
from host_stt.engines.fake import FakeEngine
from host_stt.errors import ModelDamaged, ModelError
from host_stt.machine import decoding_conditions
from host_stt.measure_process import CLIP, COMMAND, MeasurementEnded, measure, measured_in_child
from host_stt.measured_costs import LOCK_NAME, MeasuredCosts, key_of
from host_stt.measuring import ModelMeter
from host_stt.models import STARTER_FOLDER, ResolvedModel, clip_window
from tests.support.model_costs import remember_cost

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
    assert cost.searched_s > 0, "a final that is searched again is measured too"
    assert cost.termed_s > 0 and not cost.has_terms
    with_terms = ModelMeter(config.model_copy(update={"terms_expected": True}), seen.append)
    assert with_terms.cost(STARTER) == with_terms.remembered(STARTER) == cost.with_terms()
    assert seen == ["starter"], "one measurement has both"
    later = ModelMeter(config, seen.append)
    assert (later.remembered(STARTER), later.cost(STARTER)) == (cost, cost)
    assert seen == ["starter"]


@pytest.mark.model
def test_a_model_is_measured_again_when_asked_or_under_other_conditions(config: EngineConfig) -> None:
    seen: list[str] = []
    stored = remember_cost(config, STARTER_FOLDER, final_s=0.1)
    assert ModelMeter(config, seen.append).cost(STARTER) == stored
    assert seen == []
    assert ModelMeter(config, seen.append).cost(STARTER, again=True) != stored
    ModelMeter(config.model_copy(update={"beam_size": 2}), seen.append).cost(STARTER)
    assert seen == ["starter"] * 2


@pytest.mark.model
@pytest.mark.long
def test_a_real_model_has_a_cost_of_its_own(config: EngineConfig, base_model: Path) -> None:
    base = ResolvedModel(base_model, "base", "test")
    meter = ModelMeter(config)
    costs = [meter.cost(base), remember_cost(config, STARTER_FOLDER, final_s=0.1)]
    assert costs[0] != costs[1]
    assert [meter.remembered(base), meter.remembered(STARTER)] == costs


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
    with pytest.raises(ModelError, match="did not end in order 2 times; host-stt model list --measure"):
        ModelMeter(config).cost(STARTER)


@pytest.mark.model
def test_a_measurement_that_waits_for_another_program_says_so(config: EngineConfig) -> None:
    said: list[str] = []
    other = FileLock(config.models_dir / LOCK_NAME)
    config.models_dir.mkdir(parents=True, exist_ok=True)
    other.acquire()

    def on_waiting() -> None:
        said.append("waiting")
        other.release()

    assert ModelMeter(config, on_waiting=on_waiting).cost(STARTER).final_s > 0
    assert said == ["waiting"]


@pytest.mark.model
def test_a_model_that_failed_twice_is_measured_when_a_person_requests_it(config: EngineConfig) -> None:
    costs = MeasuredCosts(config.models_dir)
    conditions = decoding_conditions(config)
    with costs.locked():
        key = key_of(costs.weights_sha256(STARTER_FOLDER / "model.bin"), conditions)
        for _ in range(2):
            costs.begin(key, "starter", conditions)
    assert ModelMeter(config).cost(STARTER, again=True).final_s > 0


def test_a_process_that_is_killed_while_it_measures_is_one_sentence(config: EngineConfig) -> None:
    code = "import os, sys; sys.stdin.readline(); os.kill(os.getpid(), 9)"
    with pytest.raises(MeasurementEnded, match=r"ended with signal 9\. The memory may be too small"):
        measured_in_child(config, STARTER, (sys.executable, "-c", code))


def test_a_measurement_that_takes_too_long_is_ended(config: EngineConfig) -> None:
    code = "import sys, time; sys.stdin.readline(); time.sleep(600)"
    with pytest.raises(MeasurementEnded, match="took more than 0.2 s"):
        measured_in_child(config, STARTER, (sys.executable, "-c", code), within_s=0.2)


@pytest.mark.model
def test_a_measuring_process_ends_when_its_parent_is_gone() -> None:
    request = {
        "config": {"device": "cpu"},
        "model": {"path": str(STARTER_FOLDER), "name": "starter", "is_starter": True},
    }
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.close()  # as the system does for a parent that was killed
        assert process.stdout.read() == b""
        assert process.wait(60) == 1


def test_a_model_that_answers_the_clip_with_an_error_is_damaged() -> None:
    class Refuses(FakeEngine):
        def decode(self, windows: Sequence[Window]) -> list[Answer]:
            if windows[0].id != CLIP.stem:
                return super().decode(windows)
            return [WindowError(windows[0].id, "engine_failed", "it cannot")]

    with pytest.raises(ModelDamaged, match="cannot decode the measuring clip: it cannot"):
        measure(Refuses())
