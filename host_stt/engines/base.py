"""The protocol of an engine: it decodes windows. The seam between the pool and every model.

Defines the protocol and the error that an engine raises; no model. Calls are blocking and come from one
pool thread at a time. A window's result depends on that window alone, never on others in the same call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from host_stt.contract import Answer, Window
from host_stt.tickets import Group


class EngineError(Exception):
    """The engine failed on valid windows. The pool turns it into a retryable WindowError for each window."""


@runtime_checkable
class Engine(Protocol):
    """A loaded model. Construction loads it; `close` frees it."""

    @property
    def model(self) -> str:
        """The model's name in results."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages it can decode; "en" is first if it is among them."""

    @property
    def can_translate(self) -> bool:
        """True if it decodes windows with the task `translate`."""

    def decode(self, windows: Sequence[Window]) -> list[Answer]:
        """Decode windows, blocking; one result per window, in the same order.

        A window that cannot be decoded (an unknown language) gets its own WindowError. An exception means
        that all windows failed.
        """

    def group(self, window: Window) -> Group:
        """What the windows of one call must have in common. Cheap, and safe from any thread."""

    def shortened(self, window: Window) -> Window:
        """An interim for an overloaded engine: only its last seconds, if that saves time."""

    def close(self) -> None:
        """Free the model. Idempotent; `decode` is not called after it."""


Early = Callable[[int, Answer], None]
"""Receives the result of a row (index of the window) before the call has ended."""

Between = Callable[[], None]
"""Called between two steps of a call that is not urgent. It may decode other windows with the same engine."""


def nothing_between() -> None:
    """A `Between` for a call that is not interrupted."""


@runtime_checkable
class EarlyEngine(Protocol):
    """An engine whose calls have several steps: it returns results early, and lets urgent windows between."""

    def decode_early(
        self, windows: Sequence[Window], early: Early, between: Between = nothing_between
    ) -> list[Answer]:
        """Like `Engine.decode`. Results that are ready while other rows are decoded again also go to `early`,
        each once and from this thread. `between` is called before rows are decoded again, and inside calls
        of background windows; it may call this method once more, in this thread.
        """
