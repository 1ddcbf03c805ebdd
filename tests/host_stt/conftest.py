from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from host_stt.config import EngineConfig
from host_stt.models import STARTER_FOLDER
from tests.support.hub import FakeHub, serving
from tests.support.model_costs import remember_cost
from tests.support.server import NO_MODEL_SOURCES

SMALL = "Systran/faster-whisper-small"


@pytest.fixture(autouse=True)
def no_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing here reaches the real hub or index, or finds a model that the developer happens to have."""
    for name, value in NO_MODEL_SOURCES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))


@pytest.fixture
def hub_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FakeHub]]:
    """Start a hub that serves the starter's files as `small` (or as `repositories`), and make it the
    endpoint.
    """
    with ExitStack() as stack:

        def start(**ways: Any) -> FakeHub:
            ways.setdefault("folder", STARTER_FOLDER)
            ways.setdefault("repositories", (SMALL,))
            hub = stack.enter_context(serving(FakeHub(**ways)))
            monkeypatch.setenv("HF_ENDPOINT", hub.url)
            return hub

        yield start


@pytest.fixture
def known_cost(tmp_path: Path) -> None:
    """Store a cost for the starter's weights under `tmp_path / "models"`, so that no process measures them.

    For tests about where `auto` finds a model: the served models have the starter's weights. That `auto`
    measures a model, and how, is tested in test_auto_choice.py and test_measuring.py.
    """
    remember_cost(EngineConfig(device="cpu", models_dir=tmp_path / "models"), STARTER_FOLDER, final_s=0.1)
