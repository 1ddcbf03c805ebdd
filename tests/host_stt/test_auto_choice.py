"""What `auto` chooses from the models that are here, by what they cost on this machine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from host_stt.config import EngineConfig
from host_stt.models import ResolvedModel
from host_stt.resolving import resolve_model
from tests.support.hub import FakeHub
from tests.support.model_costs import add_starter_as, remember_cost

HubOf = Callable[..., FakeHub]
FAST_S, SLOW_S, SLOWER_S = 0.2, 1.5, 3.0


@pytest.fixture
def config(tmp_path: Path) -> EngineConfig:
    return EngineConfig(device="cpu", models_dir=tmp_path / "models", hub_probe_s=2, index_probe_s=5)


@pytest.fixture
def here(config: EngineConfig, tmp_path: Path) -> Callable[[str, float], Path]:
    """Put a model with a stated cost here."""

    def add(name: str, final_s: float) -> Path:
        folder = add_starter_as(name, config.models_dir, tmp_path)
        remember_cost(config, folder, final_s)
        return folder

    return add


Here = Callable[[str, float], Path]


def test_the_most_accurate_model_that_is_fast_enough_is_chosen(here: Here, config: EngineConfig) -> None:
    here("tiny", FAST_S)
    here("base", FAST_S)
    here("small", SLOW_S)
    model = resolve_model(config)
    assert model.name == "base"
    assert model.reason == (
        "auto: base is the most accurate model here that is fast enough: a window of 6.0 s takes 0.20 s; "
        "final text of 4 channels within 0.40 s at p95 (estimate)"
    )


def test_more_channels_lead_to_a_smaller_model(here: Here, config: EngineConfig) -> None:
    here("base", 0.05)
    here("small", 0.3)
    assert resolve_model(config).name == "small"
    assert resolve_model(config.model_copy(update={"channels_expected": 24})).name == "base"


def test_the_fastest_model_is_chosen_when_none_is_fast_enough_and_the_reason_says_so(
    here: Here, config: EngineConfig
) -> None:
    here("base", SLOW_S)
    here("small", SLOWER_S)
    model = resolve_model(config)
    assert model.name == "base"
    assert "no model here keeps text within 1 s at p95, and base is the fastest" in model.reason


def test_every_model_here_is_listed_with_its_cost_and_logged(
    here: Here, config: EngineConfig, caplog: pytest.LogCaptureFixture
) -> None:
    here("base", FAST_S)
    here("small", SLOW_S)
    here("tiny.en", FAST_S)
    here("mine", FAST_S)
    with caplog.at_level(logging.INFO):
        model = resolve_model(config)
    assert [(one.name, one.is_chosen, one.note != "") for one in model.available] == [
        ("small", False, False),
        ("base", True, False),
        ("tiny.en", False, True),
        ("mine", False, True),
    ]
    assert all(one.cost for one in model.available)
    lines = [record.message for record in caplog.records if record.message.startswith("model ")]
    assert lines[0].startswith("model small (available): a window of 6.0 s takes 1.50 s; ")
    assert lines[0].endswith("over the limit of 1 s")
    assert lines[1].startswith("model base (chosen): ") and len(lines) == 4


def test_an_english_model_is_for_sites_that_speak_english_alone(here: Here, config: EngineConfig) -> None:
    here("base", FAST_S)
    here("small.en", FAST_S)
    assert resolve_model(config).name == "base"
    english = config.model_copy(update={"auto_languages": ("en",)})
    assert resolve_model(english).name == "small.en"


def test_a_model_of_unknown_accuracy_is_never_chosen_by_auto(here: Here, config: EngineConfig) -> None:
    here("mine", FAST_S)
    model = resolve_model(config)
    assert model.is_starter  # nothing can be fetched here
    assert [(one.name, one.is_chosen) for one in model.available] == [("mine", False)]


def test_a_named_model_is_used_also_when_it_is_too_slow(here: Here, config: EngineConfig) -> None:
    here("base", FAST_S)
    here("small", SLOWER_S)
    model = resolve_model(config.model_copy(update={"model": "small"}))
    assert (model.name, model.reason) == ("small", "chosen in the config (engine.model: small)")
    assert [(one.name, one.is_chosen) for one in model.available] == [("small", True), ("base", False)]


def test_a_named_folder_elsewhere_is_listed_too(here: Here, config: EngineConfig, tmp_path: Path) -> None:
    here("base", FAST_S)
    folder = tmp_path / "weights-of-base"
    model = resolve_model(config.model_copy(update={"model": str(folder)}))
    assert [(one.path == folder, one.is_chosen) for one in model.available] == [(False, False), (True, True)]


def test_an_installed_model_is_measured_at_the_first_start_only(config: EngineConfig, tmp_path: Path) -> None:
    add_starter_as("base", config.models_dir, tmp_path)
    seen: list[str] = []
    first = resolve_model(config, None, seen.append)
    assert (first.name, seen) == ("base", ["base"])
    assert resolve_model(config, None, seen.append) == first
    assert seen == ["base"]


def test_a_model_that_cannot_be_measured_is_not_chosen_when_another_one_can(
    here: Here, config: EngineConfig, tmp_path: Path
) -> None:
    here("base", FAST_S)
    small = add_starter_as("small", config.models_dir, tmp_path)
    (small / "model.bin").write_bytes(b"no weights")
    model = resolve_model(config)
    assert model.name == "base"
    assert [one.note.startswith("small cannot be measured: ") for one in model.available] == [True, False]


def test_the_only_installed_model_is_used_without_a_measured_cost(
    config: EngineConfig, tmp_path: Path
) -> None:
    small = add_starter_as("small", config.models_dir, tmp_path)
    (small / "model.bin").write_bytes(b"no weights")
    model: ResolvedModel = resolve_model(config)
    assert model.name == "small"
    assert "auto: small is here, and its speed could not be measured: " in model.reason
