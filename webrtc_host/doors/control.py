"""Text messages on an audio socket: JSON objects with a known `type`. Pure.

A message that cannot be read gets an error, and the feed continues: a keep-alive in the format of another
service must not cost audio. Only a client that sends many of them is disconnected.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection
from typing import Any

from webrtc_host.errors import RequestError

UNREADABLE_MAX = 20
UNREADABLE_WITHIN_S = 10.0
"""More unreadable messages than UNREADABLE_MAX within this time end the connection."""
FLOOD = "too_many_bad_messages"
CLOSE_FLOOD = 1008
SHOWN_CHARS = 40


class Unreadable:
    """Counts the messages of one connection that could not be read."""

    def __init__(self) -> None:
        self._at_s: deque[float] = deque()

    def note(self, now_s: float) -> None:
        """Count one. Raises RequestError when there are too many."""
        times = self._at_s
        times.append(now_s)
        while times[0] <= now_s - UNREADABLE_WITHIN_S:
            times.popleft()
        if len(times) > UNREADABLE_MAX:
            raise RequestError(
                FLOOD,
                f"more than {UNREADABLE_MAX} messages that cannot be read within {UNREADABLE_WITHIN_S:g} s",
                400,
            )


class Controls:
    """The text messages of one connection."""

    def __init__(self, known: Collection[str], chars_max: int) -> None:
        """known: the accepted values of `type`."""
        self._known = known
        self._chars_max = chars_max
        self._unreadable = Unreadable()

    def read(self, text: str) -> dict[str, Any]:
        """The message; its `type` is a known one. Raises RequestError 400 `bad_message`."""
        body: Any = None
        if len(text) <= self._chars_max:
            try:
                body = json.loads(text)
            except (ValueError, RecursionError):
                body = None
        kind = body.get("type") if isinstance(body, dict) else None
        if not isinstance(kind, str) or kind not in self._known:
            examples = " or ".join(f'{{"type":"{name}"}}' for name in self._known)
            raise RequestError(
                "bad_message", f"a text message must be {examples}, not {_shown(text)}; it was ignored", 400
            )
        return dict(body)

    def note_unreadable(self, now_s: float) -> None:
        """Count a message that `read` refused. Raises RequestError when there are too many."""
        self._unreadable.note(now_s)


def _shown(text: str) -> str:
    return repr(text) if len(text) <= SHOWN_CHARS else repr(text[:SHOWN_CHARS]) + "…"
