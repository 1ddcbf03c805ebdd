"""Reads the answer of a language model: removes its reasoning, finds the JSON, and takes its fields.

Pure. An answer is text from outside: it may be no JSON, have other fields, or hold anything that somebody
said into a microphone. Only the known fields are taken, as text of a limited length; `checking` then compares
the citations with the lines that were read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

TITLE_CHARS_MAX = 200
SENTENCE_CHARS_MAX = 1000
SENTENCES_MAX = 40
"""Of one section, and topics."""
CITES_MAX = 20
"""Of one sentence."""
KEYS = ("title", "summary", "topics")
"""An object without any of them is no summary."""
JSON_TRIES = 100
"""Opening braces of an answer at which its object may begin."""

_END_OF_REASONING = re.compile(r"</(?:think|thinking|reasoning)>", re.IGNORECASE)
_START_OF_REASONING = re.compile(r"<(?:think|thinking|reasoning)>", re.IGNORECASE)
_ID = re.compile(r"g_[0-9]{1,15}(?![0-9])")
_CITATION = re.compile(r"\s*[\[(]\s*g_[0-9]{1,15}(?:\s*[,;]\s*g_[0-9]{1,15})*\s*[\])]")
_SPACES = re.compile(r"\s+")


class NoAnswer(ValueError):
    """The answer has nothing that can be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of an answer with the ids that it cites, not checked yet."""

    text: str
    cites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """The fields of an answer, not checked yet."""

    title: str = ""
    summary: tuple[Claim, ...] = ()
    decisions: tuple[Claim, ...] = ()
    actions: tuple[Claim, ...] = ()
    topics: tuple[Claim, ...] = ()


def without_reasoning(answer: str) -> str:
    """The answer without the text that a model wrote while it reasoned.

    Everything before the last closing tag is reasoning, also without an opening tag, which some servers leave
    out. Reasoning that was cut off has no closing tag: everything after the opening tag is reasoning.
    """
    ends = list(_END_OF_REASONING.finditer(answer))
    text = answer[ends[-1].end() :] if ends else answer
    begin = _START_OF_REASONING.search(text)
    return (text if begin is None else text[: begin.start()]).strip()


def read_draft(answer: str) -> Draft:
    """The fields of an answer: from its JSON object, or from lines that cite ids in brackets.

    Raises NoAnswer.
    """
    text = without_reasoning(answer)
    if not text:
        raise NoAnswer("the model's answer is empty")
    body = json_object(text, KEYS)
    if body is None:
        claims = tuple(_claims_of_text(text))
        if not claims:
            raise NoAnswer("the model's answer is no JSON and cites no line")
        return Draft(summary=claims[:SENTENCES_MAX])
    return Draft(
        title=plain_text(body.get("title"), TITLE_CHARS_MAX),
        summary=_claims(body.get("summary"), "text"),
        decisions=_claims(body.get("decisions"), "text"),
        actions=_claims(body.get("actions"), "text"),
        topics=_claims(body.get("topics"), "title"),
    )


def json_object(text: str, keys: Iterable[str]) -> dict[str, Any] | None:
    """The first JSON object with one of the keys, in a text that may have other words around it."""
    known = frozenset(keys)
    decoder = json.JSONDecoder()
    for found in islice(re.finditer(r"\{", text), JSON_TRIES):
        try:
            body, _ = decoder.raw_decode(text, found.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(body, dict) and body.keys() & known:
            return body
    return None


def _claims(value: object, name: str) -> tuple[Claim, ...]:
    """The sentences of a section. One that is repeated is taken once, with all its citations."""
    entries = value if isinstance(value, list) else [value]
    claims: dict[str, Claim] = {}
    for entry in entries[:SENTENCES_MAX]:
        one = _claim(entry, name)
        if one is not None:
            key = one.text.casefold().rstrip(".!。")
            first = claims.get(key, one)
            claims[key] = Claim(first.text, _joined(first.cites, one.cites))
    return tuple(claims.values())


def _joined(*cites: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(cite for some in cites for cite in some))[:CITES_MAX]


def _claim(entry: object, name: str) -> Claim | None:
    """A sentence from an object, or from a text with its citations in brackets."""
    if isinstance(entry, dict):
        text, cites = entry.get(name, entry.get("text")), _ids_in(entry.get("cites"))
    else:
        text, cites = entry, ()
    if not isinstance(text, str):
        return None
    written = tuple(_ID.findall(" ".join(_CITATION.findall(text))))
    plain = plain_text(_CITATION.sub("", text), SENTENCE_CHARS_MAX)
    return Claim(plain, _joined(cites, written)) if plain else None


def _ids_in(value: object) -> tuple[str, ...]:
    """Ids in a list or a text. A number counts as an id: some models leave out the `g_`."""
    entries = value if isinstance(value, list) else [value]
    found: list[str] = []
    for entry in entries[: 10 * CITES_MAX]:
        if isinstance(entry, int) and not isinstance(entry, bool) and 0 <= entry < 10**15:
            found.append(f"g_{entry}")
        elif isinstance(entry, str):
            found += _ID.findall(entry[:2000])
    return tuple(found)


def _claims_of_text(text: str) -> Iterator[Claim]:
    for line in text.splitlines()[: 10 * SENTENCES_MAX]:
        if _CITATION.search(line):
            claim = _claim(line.strip(" \t-*•#"), "text")
            if claim is not None:
                yield claim


def plain_text(value: object, chars_max: int) -> str:
    """One line of printable text; anything but text counts as none."""
    if not isinstance(value, str):
        return ""
    text = "".join(letter if letter.isprintable() else " " for letter in value[: 4 * chars_max])
    text = _SPACES.sub(" ", text.encode(errors="replace").decode()).strip()
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"
