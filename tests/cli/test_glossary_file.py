"""config/glossary.yaml, the glossary that a new installation begins with."""

from __future__ import annotations

import re

import yaml

from host_stt_cli.config import packaged
from webrtc_host.speech.glossary import Defaults, GlossaryList, Pattern, Term, parse, read_file

FILE = packaged("glossary.yaml")
TEXT = FILE.read_text(encoding="utf-8")


def test_it_is_the_empty_glossary() -> None:
    assert read_file(FILE) == GlossaryList(defaults=Defaults())


def test_its_examples_are_valid() -> None:
    examples = "\n".join(line.removeprefix("#") for line in TEXT.splitlines() if re.match(r"#   ( |-)", line))
    found = parse({"terms": yaml.safe_load(examples)[:1], "patterns": yaml.safe_load(examples)[1:]})
    assert found.terms[0].canonical == "Alpha-1"
    assert found.patterns[0].number == "1-9"


def test_every_key_of_a_term_is_shown() -> None:
    for model in (Term, Pattern):
        for name, field in model.model_fields.items():
            assert re.search(rf"\b{field.alias or name}: ", TEXT), name
