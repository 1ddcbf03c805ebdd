"""Chooses the lines of a summary that is made without a language model, with the best words at hand."""

from __future__ import annotations

from collections.abc import Sequence

from webrtc_host.summaries import korean_words
from webrtc_host.summaries.content import Content, Line
from webrtc_host.summaries.extract import extract
from webrtc_host.summaries.extract_words import by_rule

VERSION = 1
"""Increase it with every change of the rule or of the words: summaries are then chosen again."""


def choose_lines(lines: Sequence[Line], language: str) -> Content:
    """language: of the summary. Takes processor time: call it in a thread."""
    words = korean_words.analyser() if language == "ko" else None
    return extract(lines, words or by_rule)


def version_of_rule(language: str) -> str:
    """What decides which lines are chosen, such as `1/textrank+kiwi`."""
    words = "kiwi" if language == "ko" and korean_words.is_installed() else "rule"
    return f"{VERSION}/textrank+{words}"
