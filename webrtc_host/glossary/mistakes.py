"""Mistakes in a glossary: where each one is, in which term, and how to correct it.

Pure. `schema.py` and `yaml_file.py` find the mistakes; the file's reader adds the line numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

KeyPath = tuple[str | int, ...]
"""Where a value is: ("terms", 0, "aliases", 2)."""
SHOWN_MAX = 5
"""Mistakes in the text of one error. `GlossaryError.mistakes` has all of them."""


@dataclass(frozen=True, slots=True)
class Mistake:
    path: KeyPath
    message: str
    term: str = ""
    """The canonical form of the term that the mistake is in; empty outside of terms."""
    line: int | None = None
    """Line of the file, from 1; None when the list did not come from a file."""

    def __str__(self) -> str:
        place = dotted(self.path)
        if self.term:
            place = f"{place} (term {self.term!r})" if place else f"term {self.term!r}"
        return f"{place}: {self.message}" if place else self.message


class GlossaryError(ValueError):
    """The glossary is invalid. mistakes: at least one. file: the file they are in; None: a request."""

    def __init__(self, mistakes: Sequence[Mistake], file: Path | None = None) -> None:
        self.mistakes = tuple(mistakes)
        self.file = file
        shown = [self._sentence(mistake) for mistake in self.mistakes[:SHOWN_MAX]]
        if (more := len(self.mistakes) - SHOWN_MAX) > 0:
            shown.append(f"and {more} more")
        super().__init__("; ".join(shown))

    def _sentence(self, mistake: Mistake) -> str:
        if self.file is None:
            return str(mistake)
        return f"{self.file}:{mistake.line}: {mistake}" if mistake.line else f"{self.file}: {mistake}"

    def in_file(self, file: Path, lines: Mapping[KeyPath, int]) -> GlossaryError:
        """The same mistakes with the lines of a file. lines: of every key and list item."""
        return GlossaryError([replace(one, line=_line(one.path, lines)) for one in self.mistakes], file)


def _line(path: KeyPath, lines: Mapping[KeyPath, int]) -> int:
    """The line of the value, or of the nearest part around it."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def dotted(path: KeyPath) -> str:
    """("terms", 0, "aliases", 2) as "terms[0].aliases[2]"."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
