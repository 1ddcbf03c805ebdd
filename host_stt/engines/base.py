"""What an engine is: something that reads windows. The seam between the pool and every model.

Owns the protocol and the error an engine raises; knows no model. Calls are blocking and come from one
thread at a time (the pool's); a window's answer depends on that window alone, never on its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from host_stt.contract import Answer, Window
from host_stt.planner import Group


class EngineError(Exception):
    """The engine failed on windows that were fine. The pool answers each with a retryable WindowError."""


@runtime_checkable
class Engine(Protocol):
    """A loaded model. Construction loads it; `close` frees it."""

    @property
    def model(self) -> str:
        """The name answers carry."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes it can be told to read, "en" first where it has it."""

    def decode(self, windows: Sequence[Window]) -> list[Answer]:
        """Read windows, blocking; one answer per window, in their order.

        A window that cannot be read (an unknown language) gets a WindowError of its own; an exception
        means that all of them failed.
        """

    def group(self, window: Window) -> Group:
        """What it must share with others to be decoded in one call. Cheap, and safe from any thread."""

    def shortened(self, window: Window) -> Window:
        """An interim as it is read under overload: its last seconds only, where that saves time."""

    def close(self) -> None:
        """Free the model. Idempotent; decode is not called afterwards."""


Early = Callable[[int, Answer], None]
"""Takes a row's answer before its call has ended. The row: its place among the windows."""


@runtime_checkable
class EarlyEngine(Protocol):
    """An engine that may read some rows of a call again, and need not hold the others up meanwhile."""

    def decode_early(self, windows: Sequence[Window], early: Early) -> list[Answer]:
        """As `Engine.decode`; answers that stand while other rows are read again go to `early` too, each
        once and from this thread.
        """
