"""A model that others can change on the way is warned of."""

from __future__ import annotations

import logging

import pytest

from host_stt.hub import warn_of_plain_http


@pytest.mark.parametrize(
    ("endpoint", "is_warned"),
    [
        ("http://mirror.example", True),
        ("http://user:secret@192.0.2.7:8000/hub", True),
        ("https://mirror.example", False),
        ("http://127.0.0.1:9", False),
        ("http://localhost:8000", False),
        ("http://[::1]:8000", False),
    ],
)
def test_plain_http_to_another_machine_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, endpoint: str, is_warned: bool
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    caplog.set_level(logging.WARNING)
    warn_of_plain_http()
    assert bool(caplog.messages) == is_warned
    assert "secret" not in caplog.text
