"""Restore the logging configuration after each test.

`host_stt_cli.logs.set_up` changes the root logger and the levels of some loggers for the whole process, as a
command of the product must. Without this fixture, a test that calls `set_up` changes what later tests find in
`caplog`: in CI an access log was missing for that reason.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from host_stt_cli.logs import QUIET, StrikeSecrets


@pytest.fixture(autouse=True)
def log_levels() -> Iterator[None]:
    """Restore all levels that `set_up` may change, and remove the handler that it adds."""
    levels = {name: logging.getLogger(name).level for name in (None, *QUIET)}
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    root = logging.getLogger()
    root.handlers[:] = [h for h in root.handlers if not isinstance(h.formatter, StrikeSecrets)]
