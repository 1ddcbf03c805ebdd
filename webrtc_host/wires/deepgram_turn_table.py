"""The states of a turn in Deepgram v2, and the moves between them. Pure."""

from __future__ import annotations

from enum import StrEnum


class Turn(StrEnum):
    NONE = "none"
    OPEN = "open"
    EAGER = "eager"


class Move(StrEnum):
    """The values of `event`."""

    START = "StartOfTurn"
    UPDATE = "Update"
    EAGER = "EagerEndOfTurn"
    RESUMED = "TurnResumed"
    END = "EndOfTurn"


TABLE: dict[tuple[Turn, Move], Turn] = {
    (Turn.NONE, Move.START): Turn.OPEN,
    (Turn.OPEN, Move.UPDATE): Turn.OPEN,
    (Turn.OPEN, Move.EAGER): Turn.EAGER,
    (Turn.OPEN, Move.END): Turn.NONE,
    (Turn.EAGER, Move.RESUMED): Turn.OPEN,
    (Turn.EAGER, Move.END): Turn.NONE,
}
"""A pair that is not in the table is a fault of this module and raises KeyError."""
