"""config/host-stt.yaml is the manual: it says every key, at its default, with a comment."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from host_stt_cli.config import DERIVED, Config, load, packaged
from host_stt_cli.schema import key_paths
from host_stt_cli.yaml_source import KeyPath, dotted, read_yaml
from webrtc_host.config import IceServer

FILE = packaged("host-stt.yaml")
TEXT = FILE.read_text(encoding="utf-8")
KEYS = sorted(path for path in key_paths(Config) if path not in DERIVED)
LINES = read_yaml(TEXT, "file", {}, lambda _: False).lines
"""The number of the line of each key, from 1."""


def test_the_file_an_empty_one_and_the_code_are_equal(tmp_path: Path) -> None:
    empty = tmp_path / "empty.yaml"
    empty.write_text("", encoding="utf-8")
    assert load(FILE).config == load(empty).config == Config()


def test_every_key_of_the_code_stands_in_the_file_and_no_other() -> None:
    keys = [path for path in LINES if not any(isinstance(part, int) for part in path)]  # not list elements
    assert sorted(keys) == KEYS


@pytest.mark.parametrize("path", KEYS, ids=dotted)
def test_every_key_has_a_comment_above_it(path: KeyPath) -> None:
    lines = TEXT.splitlines()
    line = LINES[path] - 1
    above = lines[line - 1].strip()
    # A pair of keys, such as a minimum and a maximum, may share one comment.
    assert above.startswith("#") or lines[line - 2].strip().startswith("#"), dotted(path)


def test_keys_inside_lists_are_shown_in_a_comment() -> None:
    for name in IceServer.model_fields:
        assert re.search(rf"#.*\b{name}: ", TEXT), name


def test_every_comment_line_is_readable() -> None:
    assert max(len(line) for line in TEXT.splitlines()) <= 118


def test_models_move_with_the_data_folder() -> None:
    config = load(FILE, ["data.dir=/elsewhere"]).config
    assert config.engine_in_force().models_dir == Path("/elsewhere/models")
