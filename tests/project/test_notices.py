"""THIRD_PARTY_NOTICES.md names the weights that host-stt downloads, their origin and their licence."""

from __future__ import annotations

from pathlib import Path

import pytest

from host_stt.index_models import INDEX_MODELS, IndexModel
from host_stt.resolving import AUTO_MODELS, AUTO_WITHOUT_HUB

ROOT = Path(__file__).parents[2]
NOTICES = (ROOT / "THIRD_PARTY_NOTICES.md").read_text(encoding="utf-8")


def row_of(name: str) -> str:
    """The model's line of the table."""
    (row,) = (line for line in NOTICES.splitlines() if line.startswith(f"| `{name}` |"))
    return row


@pytest.mark.parametrize("name", [*AUTO_MODELS.values(), AUTO_WITHOUT_HUB])
def test_every_model_that_auto_downloads_is_named_with_its_licence(name: str) -> None:
    assert f"OpenAI Whisper {name}, MIT, copyright 2022 OpenAI" in row_of(name)


@pytest.mark.parametrize("model", INDEX_MODELS.values(), ids=lambda model: model.name)
def test_every_model_of_the_package_index_is_named_with_its_wheels(model: IndexModel) -> None:
    row = row_of(model.name)
    assert model.repository in row
    for wheel in model.wheels:
        # The second half of a pair is written as its ending.
        assert f"`{wheel.project}`" in row or f"`-{wheel.project.rsplit('-', 1)[-1]}`" in row, wheel.project
        assert wheel.version in row
    assert "(MIT)" in row


def test_the_audio_that_is_included_is_named() -> None:
    for folder in ("host_stt", "demo"):
        for path in (ROOT / folder).rglob("*.wav"):
            assert path.relative_to(ROOT).as_posix() in NOTICES, path
