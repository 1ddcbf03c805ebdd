"""Count errors: edit distances, tallies, percentiles."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from training.grammar import Language, normalised


def edit_distance(reference: Sequence[str], heard: Sequence[str]) -> int:
    """Substitutions, deletions and insertions that turn one sequence into the other."""
    row = list(range(len(heard) + 1))
    for number, wanted in enumerate(reference, 1):
        diagonal, row[0] = row[0], number
        for column, got in enumerate(heard, 1):
            diagonal, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, diagonal + (wanted != got)),
            )
    return row[-1]


def units(text: str, language: Language) -> list[str]:
    """The counted units: words in English, characters without spaces in Korean."""
    plain = normalised(text)
    return plain.split() if language == "en" else list(plain.replace(" ", ""))


@dataclass(slots=True)
class Tally:
    """Number of errors in a number of units."""

    errors: int = 0
    total: int = 0

    def add(self, references: Sequence[str], heard: str, language: Language) -> int:
        """Add and return the errors against the closest reference; the first reference counts for the
        total.
        """
        got = units(heard, language)
        errors = min(edit_distance(units(reference, language), got) for reference in references)
        self.errors += errors
        self.total += len(units(references[0], language))
        return errors

    def __str__(self) -> str:
        share = 100 * self.errors / self.total if self.total else math.nan
        return f"{share:.1f} % ({self.errors} of {self.total})"


@dataclass(slots=True)
class Spread:
    """Differences in time."""

    milliseconds: list[float] = field(default_factory=list)

    def add(self, measured_s: float, true_s: float) -> None:
        self.milliseconds.append(1000 * (measured_s - true_s))

    def __str__(self) -> str:
        if not self.milliseconds:
            return "none"
        size = sorted(abs(value) for value in self.milliseconds)
        middle = sorted(self.milliseconds)[len(size) // 2]
        p50, p95 = size[len(size) // 2], size[min(len(size) - 1, math.ceil(0.95 * len(size)) - 1)]
        return f"median {middle:+.0f} ms, |error| p50 {p50:.0f} ms, p95 {p95:.0f} ms (n={len(size)})"
