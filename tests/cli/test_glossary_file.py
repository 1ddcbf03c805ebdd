"""config/glossary.yaml, the glossary that a new installation begins with."""

from __future__ import annotations

import re

import yaml

from host_stt_cli.config import packaged
from webrtc_host.speech.glossary import GlossaryList, Term, parse, read_file

FILE = packaged("glossary.yaml")
TEXT = FILE.read_text(encoding="utf-8")


def test_it_is_the_empty_glossary() -> None:
    assert read_file(FILE) == GlossaryList()


def test_its_examples_are_valid() -> None:
    examples = "\n".join(line.removeprefix("#") for line in TEXT.splitlines() if re.match(r"#   ( |-)", line))
    found = parse({"terms": yaml.safe_load(examples)})
    assert [term.canonical for term in found.terms] == ["Alpha-1"]


def test_every_key_of_a_term_is_shown() -> None:
    for name in Term.model_fields:
        assert re.search(rf"\b{name}: ", TEXT), name
