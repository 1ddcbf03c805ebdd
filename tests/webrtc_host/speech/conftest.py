"""The bundled model for the tests of the whole pipeline."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from host_stt.config import EngineConfig
from host_stt.engines.configured import load_whisper
from host_stt.engines.whisper import WhisperEngine
from host_stt.resolving import resolve_model


@pytest.fixture(scope="module")
def engine() -> Iterator[WhisperEngine]:
    """As `host-stt serve` runs the starter model."""
    config = EngineConfig(model="starter")
    engine = load_whisper(config, resolve_model(config, None))
    yield engine
    engine.close()
