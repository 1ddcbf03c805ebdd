"""What a summary is about: a session, a channel or a time of it, or a room; with template and language.

The id of a summary is made from its scope: who asks for the same scope again gets the same summary.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass
from typing import Any

from sqlalchemy import Row

from webrtc_host.summaries.templates import DEFAULT_TEMPLATE

AUTO = "auto"
"""In place of a language: the language of most of the text."""
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Scope:
    """channel: None for all. last_ms: the newest part of this length, in place of from_ms and to_ms."""

    session: str
    channel: str | None = None
    from_ms: int = 0
    to_ms: int | None = None
    last_ms: int | None = None
    template: str = DEFAULT_TEMPLATE
    language: str = AUTO

    @property
    def id(self) -> str:
        return _id_of(self)

    @property
    def owner(self) -> str:
        """What its summary belongs to, and is deleted with."""
        return self.session

    def range_at(self, now_ms: int) -> tuple[int, int]:
        """(from_ms, to_ms) at a time of the session.

        A window that moves begins at a full minute: so its first lines stay the same for a minute.
        """
        if self.last_ms is not None:
            return max(0, now_ms - self.last_ms) // MINUTE_MS * MINUTE_MS, now_ms
        to_ms = now_ms if self.to_ms is None else min(self.to_ms, now_ms)
        return min(self.from_ms, to_ms), to_ms

    def values(self) -> dict[str, Any]:
        """The columns of its row, without the session and the id."""
        return {
            "channel": self.channel,
            "from_ms": self.from_ms,
            "to_ms": self.to_ms,
            "last_ms": self.last_ms,
            "template": self.template,
            "language": self.language,
        }


@dataclass(frozen=True, slots=True)
class RoomScope:
    """All text of a room; a room has one summary."""

    room: str
    template: str = DEFAULT_TEMPLATE
    language: str = AUTO

    @property
    def id(self) -> str:
        return _id_of(self)

    @property
    def owner(self) -> str:
        return self.room

    def values(self) -> dict[str, Any]:
        """The columns of its row that say what was asked for."""
        return {"template": self.template, "language": self.language}


AnyScope = Scope | RoomScope


def scope_of(row: Row[Any]) -> Scope:
    """The scope of a row of `summaries`."""
    return Scope(row.session, row.channel, row.from_ms, row.to_ms, row.last_ms, row.template, row.language)


def room_scope_of(row: Row[Any]) -> RoomScope:
    """The scope of a row of `rooms`."""
    return RoomScope(row.id, row.template, row.language)


def _id_of(scope: AnyScope) -> str:
    text = json.dumps(astuple(scope), ensure_ascii=False)
    return "y_" + hashlib.sha256(text.encode()).hexdigest()[:16]
