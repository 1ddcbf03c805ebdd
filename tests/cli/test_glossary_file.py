"""config/glossary.yaml, the glossary of a new installation, and the worked example beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from host_stt_cli.config import packaged
from webrtc_host.glossary import schema
from webrtc_host.glossary.schema import GlossaryList, keys_of
from webrtc_host.glossary.yaml_file import parse_yaml, read_file

FILE = packaged("glossary.yaml")
TEXT = FILE.read_text(encoding="utf-8")
EXAMPLE = packaged("glossary.example.yaml")
PARTS = (schema.GlossaryList, schema.Term, schema.Pattern, schema.Defaults, schema.Post)


def test_it_is_the_empty_glossary() -> None:
    assert read_file(FILE).entries() == ()


def test_its_examples_are_valid() -> None:
    lines = [
        line.removeprefix("#") for line in TEXT.splitlines() if re.match(r"#   ( |-)|(terms|patterns):", line)
    ]
    found = parse_yaml("\n".join(line.replace(": []", ":") for line in lines))
    assert [entry.canonical for entry in found.entries()] == ["Alpha-1", *(f"Blue-{i}" for i in range(1, 10))]


def test_the_example_is_valid_and_bilingual() -> None:
    entries = {entry.canonical: entry for entry in read_file(EXAMPLE).entries()}
    assert len(entries) == 5 + 18 + 4
    assert entries["Alpha-1"].active == (360, 1080)
    assert (entries["Red-3"].display_ko, entries["본부"].display_en) == ("레드쓰리", "HQ")
    assert {"red tree", "레드 3", "레드삼"} <= set(entries["Red-3"].aliases)


def _keys() -> Iterator[tuple[type[BaseModel], str]]:
    for part in PARTS:
        yield from ((part, key) for key in keys_of(part))


@pytest.mark.parametrize(("part", "key"), list(_keys()), ids=lambda value: getattr(value, "__name__", value))
def test_the_example_has_every_key(part: type[BaseModel], key: str) -> None:
    assert re.search(rf"\b{key}: ?", EXAMPLE.read_text(encoding="utf-8")), f"{part.__name__}.{key}"


def test_the_example_says_the_defaults() -> None:
    assert read_file(EXAMPLE).defaults == GlossaryList().defaults
