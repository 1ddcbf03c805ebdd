"""What a test about words does when the real model cannot be had."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from host_stt.models import STARTER_FOLDER
from tests.support.base_model import base_model_or_report


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HOST_STT_BASE_MODEL", raising=False)


def test_without_an_index_the_test_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="package index cannot be reached .*HOST_STT_BASE_MODEL"):
        base_model_or_report()


def test_without_an_index_the_test_is_skipped_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="package index cannot be reached .*HOST_STT_BASE_MODEL"):
        base_model_or_report()


def test_a_model_folder_from_the_environment_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(STARTER_FOLDER, tmp_path / "mine")
    monkeypatch.setenv("HOST_STT_BASE_MODEL", str(tmp_path / "mine"))
    assert base_model_or_report() == tmp_path / "mine"
