"""Regular expressions whose matching time grows linearly with the text, whatever the expression is.

They are RE2's: it has no backreferences and no lookaround, so no expression of an operator can hold up the
event loop (Python's `re` needs years for `(a+)+$` and 40 letters). Upper and lower case are equal.
"""

from __future__ import annotations

from typing import NamedTuple

import re2  # type: ignore[import-untyped]  # it has no types

PATTERN_CHARS_MAX = 500
MEMORY_MAX = 1 << 20
"""Bytes that one compiled expression and its caches may have. A larger expression is refused."""
SAMPLES = (
    "Alpha one, proceed to gate seven.",
    "알파원, 칠번 게이트로 이동하라.",
    "Copy.",
    "네, 알겠습니다.",
    "It is 12 degrees at the harbour",
    "구급차 두 대 출동 바랍니다",
)
"""Lines without anything in common. An expression that matches all of them matches nearly every line."""


class BadPattern(ValueError):
    """The expression cannot be used; the text says why."""


class Span(NamedTuple):
    """A match: text[start:end]."""

    start: int
    end: int


class Pattern:
    """One compiled expression. Any thread may use it. Raises BadPattern."""

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > PATTERN_CHARS_MAX:
            raise BadPattern(f"has {len(text)} characters; the limit is {PATTERN_CHARS_MAX}")
        options = re2.Options()
        options.case_sensitive = False
        options.log_errors = False
        options.max_mem = MEMORY_MAX
        try:
            self._compiled = re2.compile(text, options)
        except re2.error as error:
            raise BadPattern(_plain(error)) from error

    def find(self, text: str) -> Span | None:
        """The first match that is not empty; an empty one if there is no other."""
        first: Span | None = None
        for match in self._compiled.finditer(text):
            span = Span(*match.span())
            if span.end > span.start:
                return span
            first = first or span
        return first

    def matches_everything(self) -> bool:
        return self.find("") is not None or all(self.find(line) is not None for line in SAMPLES)


def literal(text: str) -> Pattern:
    """A pattern for the words of a text, with spaces or hyphens between them, also inside of words."""
    return Pattern(r"[\s-]*".join(re2.escape(word) for word in text.replace("-", " ").split()))


def _plain(error: BaseException) -> str:
    found = error.args[0] if error.args else "it cannot be read"
    text = found.decode(errors="replace") if isinstance(found, bytes) else str(found)
    if "pattern too large" in text:
        return "is too large when it is compiled; use smaller numbers of repetitions"
    if "invalid perl operator" in text:
        return f"has {text.rpartition(': ')[2]!r}, which needs unbounded time and is not supported"
    if "invalid escape sequence" in text:
        return f"has the unknown escape {text.rpartition(': ')[2]!r}; backreferences are not supported"
    return f"is no regular expression: {text}"
