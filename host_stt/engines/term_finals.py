"""What became of finals with glossary terms, for the metrics."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol, runtime_checkable


class TermFinal(StrEnum):
    """Whether a final was decoded a second time, with the terms."""

    CHECKED = "checked"
    SURE = "sure"  # the text without them left no doubt


@runtime_checkable
class CountsTermFinals(Protocol):
    """An engine that checks glossary terms."""

    def term_finals(self) -> Mapping[TermFinal, int]:
        """Finals with terms and text since the model was loaded. Safe from any thread."""
