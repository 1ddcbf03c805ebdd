"""The command for an extra: by the project's name where it is installed, else by its source folder."""

from __future__ import annotations

from importlib import metadata

import pytest

from host_stt_common.extras import install_command
from tests.support.server import ROOT


def test_the_command_names_the_source_folder_where_the_project_is_only_linked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    assert install_command("capture").endswith(f"-m pip install -e '{ROOT}[capture]'")


def test_the_command_names_the_project_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "distribution", lambda name: object())
    assert install_command("capture").endswith("-m pip install 'host-stt[capture]'")
