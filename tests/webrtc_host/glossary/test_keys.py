"""No key of the glossary is accepted and then ignored: each one changes what the server does."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from pydantic import BaseModel

from webrtc_host.desk.glossary_api import shown_term
from webrtc_host.glossary import schema
from webrtc_host.glossary.prompt import ChannelPrompts, HeardTerms
from webrtc_host.glossary.schema import keys_of
from webrtc_host.glossary.store import Glossary
from webrtc_host.speech.final_text import FinalText
from webrtc_host.speech.glossary_stage import GlossaryStage

NIGHT = datetime(2026, 11, 30, 3, 0)
TERM: dict[str, Any] = {"canonical": "Tower"}
NAMES: dict[str, Any] = {"base": {"Blue": ["블루"]}, "number": "1-2"}


def texts(body: dict[str, Any], line: str, language: str | None = "en", channel: str = "C01") -> str:
    """The line after the text stage at three in the morning."""
    glossary = Glossary()
    stage = GlossaryStage(glossary, now=lambda: NIGHT)
    glossary.replace(body)
    return stage(FinalText(channel, "u_1", 0, 16_000, line, line, language, -0.3, (), 1)).text


def prompt(body: dict[str, Any], language: str = "en") -> tuple[str, ...]:
    """The terms of a channel's prompt at three in the morning."""
    glossary = Glossary()
    glossary.replace(body)
    prompts = ChannelPrompts(lambda: glossary.snapshot, HeardTerms(lambda: 0.0), lambda: NIGHT.hour * 60)
    return prompts.prompt_for("C01", language).terms


def pages(body: dict[str, Any]) -> list[dict[str, object]]:
    """The terms as the pages get them."""
    return [shown_term(entry) for entry in schema.parse(body).entries()]


def term(**keys: Any) -> dict[str, Any]:
    return {"terms": [{**TERM, **keys}]}


def post(**keys: Any) -> dict[str, Any]:
    return {"defaults": {"post": keys}, "terms": [{"canonical": "Kowalski", "class": "place"}]}


def pattern(**keys: Any) -> dict[str, Any]:
    return {"patterns": [{**NAMES, **keys}]}


SHIFT = {"from": "06:00", "to": "18:00"}
EFFECTS: dict[str, tuple[Any, Any]] = {
    # What the server does without the key or with another value, and with the key.
    "Term.canonical": (texts({}, "the tower is here"), texts(term(), "the tower is here")),
    "Term.display": (
        texts(term(), "to Tower", "ko"),
        texts(term(display={"ko": "관제탑"}), "to Tower", "ko"),
    ),
    "Term.aliases": (texts(term(), "to the towel"), texts(term(aliases=["towel"]), "to the towel")),
    "Term.sounds_like": (texts(term(), "to towah"), texts(term(sounds_like=["towah"]), "to towah")),
    "Term.never": (
        texts(term(aliases=["turm"]), "to turm eins"),
        texts(term(aliases=["turm"], never=["turm eins"]), "to turm eins"),
    ),
    "Term.class": (pages(term()), pages(term(**{"class": "place"}))),
    "Term.channels": (texts(term(), "to tower"), texts(term(channels=["C02"]), "to tower")),
    "Term.active": (prompt(term()), prompt(term(active=SHIFT))),
    "Term.boost": (
        prompt({"terms": [{"canonical": "A1"}, {"canonical": "B1"}]}),
        prompt({"terms": [{"canonical": "A1"}, {"canonical": "B1", "boost": 5}]}),
    ),
    "Term.alert": (pages(term()), pages(term(alert={"level": "critical"}))),
    "Term.language": (texts(term(), "to tower"), texts(term(language="ko"), "to tower")),
    "Pattern.base": (texts(pattern(), "red one"), texts(pattern(base={"Red": []}), "red one")),
    "Pattern.number": (texts(pattern(), "blue seven"), texts(pattern(number="1-9"), "blue seven")),
    "Pattern.join": (texts(pattern(), "blue one"), texts(pattern(join=" "), "blue one")),
    "Pattern.never": (
        texts(pattern(), "blue one bottle"),
        texts(pattern(never=["blue one bottle"]), "blue one bottle"),
    ),
    "Pattern.sounds_like": (
        texts(pattern(), "bloop one over"),
        texts(pattern(sounds_like={"Blue": ["bloop"]}), "bloop one over"),
    ),
    "Pattern.class": (pages(pattern()), pages(pattern(**{"class": "callsign"}))),
    "Pattern.channels": (texts(pattern(), "blue one"), texts(pattern(channels=["C02"]), "blue one")),
    "Pattern.active": (prompt(pattern()), prompt(pattern(active=SHIFT))),
    "Pattern.boost": (
        prompt({**term(), **pattern()}),
        prompt({**term(), **pattern(boost=5)}),
    ),
    "Pattern.alert": (pages(pattern()), pages(pattern(alert={"level": "critical"}))),
    "Pattern.language": (texts(pattern(), "blue one"), texts(pattern(language="ko"), "blue one")),
    "Defaults.boost": (
        prompt({"terms": [{"canonical": "A1"}, {"canonical": "B1", "boost": 2}]}),
        prompt({"defaults": {"boost": 3}, "terms": [{"canonical": "A1"}, {"canonical": "B1", "boost": 2}]}),
    ),
    "Post.min_similarity": (texts(post(), "to kowalsky"), texts(post(min_similarity=1.0), "to kowalsky")),
    "Post.min_jamo": (texts(post(), "to kowalsky"), texts(post(min_jamo=20), "to kowalsky")),
    "Post.margin": (
        texts({"terms": [{"canonical": "Kowalski"}, {"canonical": "Kawasaki"}]}, "to kowalsky"),
        texts(
            {**post(margin=0.5), "terms": [{"canonical": "Kowalski"}, {"canonical": "Kawasaki"}]},
            "to kowalsky",
        ),
    ),
}
PARTS: tuple[type[BaseModel], ...] = (schema.Term, schema.Pattern, schema.Defaults, schema.Post)
ELSEWHERE = {"Defaults.post", "Defaults.echo_guard"}
"""`post` has keys of its own; the echo guard works on windows and has its tests there."""


def test_every_key_has_an_effect_here() -> None:
    known = {f"{part.__name__}.{key}" for part in PARTS for key in keys_of(part)}
    assert known - ELSEWHERE == EFFECTS.keys()


@pytest.mark.parametrize("key", EFFECTS)
def test_a_key_changes_what_the_server_does(key: str) -> None:
    without, with_key = EFFECTS[key]
    assert without != with_key
