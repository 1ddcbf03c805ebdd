"""One key of the configuration changes; what a person wrote around it stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from host_stt_cli.config import FILE_NAME, load, packaged
from host_stt_cli.config_writer import config_to_change, with_model, write_model
from host_stt_cli.errors import StartError


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("engine:\n  model: auto  # ours\n", "engine:\n  model: base  # ours\n"),
        ("engine:\n  model: 'auto'\n  port: 1\n", "engine:\n  model: base\n  port: 1\n"),
        ("engine: {model: auto, port: 1}\n", "engine: {model: base, port: 1}\n"),
        (
            "engine:\n    # threads\n    cpu_threads: 2\n",
            "engine:\n    model: base\n    # threads\n    cpu_threads: 2\n",
        ),
        ("engine:\n", "engine:\n  model: base\n"),
        ("engine: # all\nmedia:\n  port: 1\n", "engine: # all\n  model: base\nmedia:\n  port: 1\n"),
        ("media:\n  port: 1", "media:\n  port: 1\nengine:\n  model: base\n"),
        ("# nothing yet\n", "# nothing yet\nengine:\n  model: base\n"),
        ("", "engine:\n  model: base\n"),
        ("# 모델\nengine:\n  model: auto\n", "# 모델\nengine:\n  model: base\n"),
    ],
)
def test_the_model_changes_and_everything_else_stays(before: str, after: str) -> None:
    assert with_model(before, "base") == after


@pytest.mark.parametrize(
    "text",
    [
        "engine: {port: 1}\n",  # nowhere to put a line
        "{}\n",
        "- engine\n",
        "engine: 3\n",
        "engine: [1]\n",
        "engine:\n  model: a\n  model: b\n",
        "a: &x\n  model: a\nengine: *x\n",  # the other key would change too
        "engine:\n  model: [\n",
    ],
)
def test_a_form_that_cannot_be_edited_is_left_alone(text: str) -> None:
    assert with_model(text, "base") is None


@pytest.mark.parametrize("name", ["org/name", "/srv/models/my whisper", "null", "1.5", "a: b", "#x", "크다"])
def test_any_name_is_read_back_as_it_was(tmp_path: Path, name: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("media:\n  port: 8090\n", encoding="utf-8")
    write_model(file, name)
    config = load(file).config
    assert (config.engine.model, config.media.port) == (name, 8090)


def test_the_packaged_file_changes_in_one_line() -> None:
    text = packaged(FILE_NAME).read_text(encoding="utf-8")
    changed = with_model(text, "base")
    assert changed is not None
    pairs = zip(text.splitlines(), changed.splitlines(), strict=True)
    assert [pair for pair in pairs if pair[0] != pair[1]] == [("  model: auto", "  model: base")]


def test_the_packaged_file_itself_is_never_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = config_to_change(packaged(FILE_NAME))
    write_model(file, "base")
    assert file == Path("config/host-stt.yaml")
    assert load().config.engine.model == "base"
    assert config_to_change(tmp_path / "mine.yaml") == tmp_path / "mine.yaml"


def test_a_file_that_cannot_be_edited_or_written_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("engine: {port: 1}\n")
    with pytest.raises(StartError, match="write engine.model: base into it by hand"):
        write_model(file, "base")
    assert file.read_text() == "engine: {port: 1}\n"
    with pytest.raises(StartError, match="cannot be written: Is a directory"):
        write_model(tmp_path, "base")
