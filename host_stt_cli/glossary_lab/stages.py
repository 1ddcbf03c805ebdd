"""The stages that the lab compares: no glossary, the prompt alone, the text stage alone, and both."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from host_stt.contract import Word
from webrtc_host.glossary.entries import Snapshot
from webrtc_host.glossary.prompt import choose

NOON = 12 * 60
Correct = Callable[[str, tuple[Word, ...], str], str]
"""The text stage: text, words and language in, corrected text out."""


class Stage(StrEnum):
    NONE = "no glossary"
    PROMPT = "prompt"
    TEXT = "text stage"
    BOTH = "both"

    @property
    def has_prompt(self) -> bool:
        return self in (Stage.PROMPT, Stage.BOTH)

    @property
    def has_text_stage(self) -> bool:
        return self in (Stage.TEXT, Stage.BOTH)


def prompt_terms(snapshot: Snapshot, language: str) -> tuple[str, ...]:
    """The terms that the server sends for a channel with this language."""
    return choose(snapshot, "C01", language, NOON, {}).terms
