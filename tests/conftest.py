"""Fixtures that every test may ask for, and the order in which files are tried."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.support.base_model import base_model
from tests.support.log_levels import log_levels

__all__ = ["base_model", "log_levels"]

# Machines are busy: an example that takes long is no fault. Derandomized, so that a failure repeats.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

SLOW_MARKS = {"browser", "model", "net", "peer", "setup"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with slow tests first.

    `scripts/test` gives two processes a file at a time. When the files that are left at the end are short,
    both processes finish at nearly the same time.
    """
    slow = {item.path for item in items if any(item.get_closest_marker(mark) for mark in SLOW_MARKS)}
    items.sort(key=lambda item: item.path not in slow)
