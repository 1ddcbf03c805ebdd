"""Fixtures that every test may ask for, the order in which files are tried, and the garbage collector."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.base_model import base_model
from tests.support.log_levels import log_levels

__all__ = ["base_model", "log_levels"]

# Machines are busy: an example that takes long is no fault. Derandomized, so that a failure repeats.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

SLOW_MARKS = {"browser", "model", "net", "peer", "setup", "slow"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with slow tests first.

    `scripts/test` gives each process a file at a time. When the files that are left at the end are short, all
    processes finish at nearly the same time. Browsers need much CPU time, and most other slow tests wait for
    real time: files of the two kinds alternate.
    """
    slow = _files_with(items, SLOW_MARKS)
    browser = _files_with(items, {"browser"})
    turns: dict[Path, tuple[int, int]] = {}
    for files in (browser, slow - browser):
        turns |= {path: (0, turn) for turn, path in enumerate(sorted(files))}
    items.sort(key=lambda item: turns.get(item.path, (1, 0)))


def pytest_collection_finish() -> None:
    """Exempt modules and collected tests from the garbage collector: they stay until the process ends."""
    gc.collect()
    gc.freeze()


def _files_with(items: list[pytest.Item], marks: set[str]) -> set[Path]:
    return {item.path for item in items if any(item.get_closest_marker(mark) for mark in marks)}
