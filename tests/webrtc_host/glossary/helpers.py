"""A small bilingual glossary for the tests of the text stage."""

from __future__ import annotations

from functools import cache
from typing import Any

from host_stt.contract import Word
from webrtc_host.glossary.correct import Corrected, correct
from webrtc_host.glossary.entries import Snapshot
from webrtc_host.glossary.index import Index, scope_of
from webrtc_host.glossary.schema import parse

NAMES = {
    **{
        "Alpha": "알파",
        "Bravo": "브라보",
        "Charlie": "찰리",
        "Delta": "델타",
        "Echo": "에코",
        "Tango": "탱고",
    },
    **{"Blue": "블루", "Red": "레드", "Gold": "골드", "Engine": "엔진", "Ladder": "래더", "Tower": "타워"},
    **{"Medic": "메딕", "Unit": "유닛", "Eagle": "이글", "Rescue": "레스큐", "Foxtrot": "폭스트롯"},
}
BODY: dict[str, Any] = {
    "terms": [
        {"canonical": "Yongsan Station", "display": {"ko": "용산역"}, "class": "place"},
        {"canonical": "Skyhook", "display": {"ko": "스카이훅"}, "aliases": ["sky hook"]},
        {"canonical": "Kim Minjun", "display": {"ko": "김민준"}, "class": "person"},
        {"canonical": "KP-7", "class": "code"},
        {"canonical": "Gate 12", "display": {"ko": "게이트 12"}},
        {"canonical": "Zulu-21", "display": {"ko": "줄루 21"}},
    ],
    "patterns": [
        {
            "class": "callsign",
            "base": {name: [korean] for name, korean in NAMES.items()},
            "number": "1-9",
            "never": ["알파원산지"],
            "sounds_like": {"Ladder": ["latter", "letter"], "Gold": ["goal"]},
        }
    ],
}


def index_of(body: dict[str, Any]) -> Index:
    found = parse(body)
    return Index.build(Snapshot(found.entries(), 3, found.defaults.plain()))


@cache
def usual() -> Index:
    return index_of(BODY)


def said(
    text: str,
    language: str = "en",
    *,
    p: float | None = None,
    index: Index | None = None,
    channel: str = "C01",
) -> Corrected:
    """The text after the stage. p: probability of every word; None: no words."""
    used = index or usual()
    words = (
        () if p is None else tuple(Word(w, 1000 * i, 1000 * i + 900, p) for i, w in enumerate(text.split()))
    )
    return correct(text, words, used, scope_of(used.entries, channel, language, 0), language)
