"""Which window form `auto` means for a model folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from host_stt.models import STARTER_FOLDER
from host_stt.window_forms import SHORT_WORKS, MeasuredWeights, WindowForm, settled


def test_auto_is_short_for_the_bundled_model() -> None:
    assert settled(WindowForm.AUTO, STARTER_FOLDER, is_starter=True, is_cpu=True) is WindowForm.SHORT


def test_auto_is_full_for_weights_that_were_not_measured(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"other weights")
    assert settled(WindowForm.AUTO, tmp_path, is_starter=False, is_cpu=True) is WindowForm.FULL


@pytest.mark.parametrize("measured", SHORT_WORKS, ids=lambda measured: measured.name)
def test_auto_is_full_for_other_weights_of_the_same_size(tmp_path: Path, measured: MeasuredWeights) -> None:
    with (tmp_path / "model.bin").open("wb") as file:
        file.truncate(measured.size_bytes)
    assert settled(WindowForm.AUTO, tmp_path, is_starter=False, is_cpu=True) is WindowForm.FULL


@pytest.mark.parametrize(("is_cpu", "form"), [(True, WindowForm.SHORTEST), (False, WindowForm.SHORT)])
def test_auto_for_base(base_model: Path, is_cpu: bool, form: WindowForm) -> None:
    assert settled(WindowForm.AUTO, base_model, is_starter=False, is_cpu=is_cpu) is form


@pytest.mark.parametrize("form", [WindowForm.SHORTEST, WindowForm.SHORT, WindowForm.FULL])
def test_the_configured_window_form_is_used_for_any_model(tmp_path: Path, form: WindowForm) -> None:
    assert settled(form, tmp_path, is_starter=False, is_cpu=True) is form
