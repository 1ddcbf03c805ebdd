"""Changes of lines: people correct and mark them and write notes; the review gives them new text.

Each change is an event, so it reaches every desk, is in the record, and is there after a restart. The text
before a correction stays in the record. Invariants: two people who correct the same text at the same time do
not overwrite each other: the second one gets the text of the first one. A redacted line is not changed.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from host_stt_common.names import one_line
from webrtc_host.errors import RequestError, StoreError
from webrtc_host.events import Edit, NoteAdded, SegmentMarked, TimedWord, segment_revised
from webrtc_host.seams import EventType, Mark
from webrtc_host.services.session_logs import SessionLogs
from webrtc_host.services.suggestions import Suggestions
from webrtc_host.transcript import line_rows
from webrtc_host.transcript.line_rows import Extras
from webrtc_host.transcript.storable import storable
from webrtc_host.transcript.store import Store

logger = logging.getLogger(__name__)

NOTES_MAX = 100
"""Of one line."""


@dataclass(frozen=True, slots=True)
class LineKey:
    session: str
    segment: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it is now."""

    row: Row[Any]
    extras: Extras

    @property
    def revision(self) -> int:
        """0: the text was not corrected."""
        return int(self.row.revision or 0)

    @property
    def is_redacted(self) -> bool:
        return self.row.redacted_seq is not None


@dataclass(frozen=True, slots=True)
class NewText:
    """The text of a revision. The other fields are those of `segment.revised`."""

    text: str
    raw: str | None = None
    words: tuple[TimedWord, ...] | None = None
    edits: tuple[Edit, ...] = ()
    glossary_version: int | None = None


class LineConflict(RequestError):
    """Another person has changed the line. current: the line as it is now."""

    def __init__(self, current: Line, given: int) -> None:
        text = (
            f"the line was changed by another person: it has revision {current.revision}, not {given}; "
            "look at the new text, and correct it once more if you still want to"
        )
        super().__init__("line_changed", text, 412)
        self.current = current


class LineChanges:
    """One per process."""

    def __init__(self, store: Store, logs: SessionLogs, suggestions: Suggestions) -> None:
        """suggestions: learn from corrections."""
        self._store, self._logs, self._suggestions = store, logs, suggestions
        # One change at a time: between reading a revision and writing the next one, nothing may change it.
        self._lock = asyncio.Lock()

    async def find(self, key: LineKey) -> Line:
        """Raises RequestError 404, StoreError."""
        line = await self._store.read(lambda connection: _line(connection, key))
        if line is None:
            message = f"session {key.session[:40]} has no line {key.segment[:40]!r}"
            raise RequestError("unknown_segment", message, 404)
        return line

    async def history(self, line: Line) -> list[dict[str, Any]]:
        """The corrections of a line, oldest first: their stored events."""
        row = line.row
        names = (row.session, row.id, row.channel, row.seq, EventType.SEGMENT_REVISED.value)
        found = await self._store.read(lambda connection: line_rows.events_of_line(connection, *names))
        return [json.loads(one) for one in found]

    async def marked(self, line: Line) -> list[dict[str, Any]]:
        """Who set the present marks of a line, and when; the oldest first."""
        return await self._store.read(lambda connection: line_rows.marks_of(connection, line.row.id))

    async def correct(self, key: LineKey, text: str, base: int, who: str) -> tuple[Line, list[str]]:
        """Give a line another text. base: the revision that the person saw.

        Returns the line, and the words that the glossary now suggests. An empty text means: nothing was said.
        Raises RequestError 404, 409 (redacted), LineConflict 412, StoreError.
        """
        line, corrected = await self.revise(key, NewText(one_line(text)), base, who)
        return corrected, [] if corrected is line else await self._learn(line, corrected.row.text, who)

    async def revise(self, key: LineKey, new: NewText, base: int, who: str) -> tuple[Line, Line]:
        """Give a line another text. Returns the line before and after; twice the same if the text is equal.

        base: the revision that `who` started from. Raises RequestError 404, 409 (redacted), LineConflict 412,
        StoreError.
        """
        async with self._lock:
            line = await self._changeable(key)
            if line.revision != base:
                raise LineConflict(line, base)
            if new.text == line.row.text:
                return line, line
            log = await self._logs.of(key.session)
            log.emit(
                segment_revised(
                    line.row.channel,
                    key.segment,
                    base + 1,
                    old_text=line.row.text,
                    text=new.text,
                    by=who,
                    raw=new.raw,
                    words=new.words,
                    edits=new.edits,
                    glossary_version=new.glossary_version,
                )
            )
            await log.settled()
            return line, await self.find(key)

    async def mark(self, key: LineKey, mark: Mark, is_set: bool, reason: str | None, who: str) -> Line:
        """Set or clear a mark; a second person who does the same changes nothing.

        Raises RequestError 404 and 409, StoreError.
        """
        async with self._lock:
            line = await self._changeable(key)
            if (mark.value in line.extras.marks) == is_set and not reason:
                return line
            log = await self._logs.of(key.session)
            log.emit(
                SegmentMarked(
                    channel=line.row.channel,
                    segment=key.segment,
                    mark=mark,
                    is_set=is_set,
                    reason=one_line(reason) or None if reason else None,
                    by=who,
                )
            )
            await log.settled()
            return await self.find(key)

    async def note(self, key: LineKey, note: str, who: str) -> Line:
        """Raises RequestError 404, 409 (redacted, or too many notes) and 422, StoreError."""
        note = one_line(note)
        if not note:
            raise RequestError("empty_note", "the note has no text; write at least one word", 422)
        async with self._lock:
            line = await self._changeable(key)
            if len(line.extras.notes) >= NOTES_MAX:
                message = f"the line has {NOTES_MAX} notes already, which is the limit"
                raise RequestError("too_many_notes", message, 409)
            log = await self._logs.of(key.session)
            log.emit(NoteAdded(channel=line.row.channel, segment=key.segment, note=note, by=who))
            await log.settled()
            return await self.find(key)

    async def _changeable(self, key: LineKey) -> Line:
        if self._store.state.is_degraded:
            reason = f"the record cannot be written now ({self._store.state.reason}), so nothing was changed"
            raise StoreError(reason)
        line = await self.find(key)
        if line.is_redacted:
            message = "the text of this line was redacted, so it cannot be changed any more"
            raise RequestError("line_redacted", message, 409)
        return line

    async def _learn(self, line: Line, text: str, who: str) -> list[str]:
        """What the glossary could learn from the correction, which is saved already."""
        row = line.row
        try:
            return await self._suggestions.note_correction(
                row.text, text, channel=row.channel, segment=row.id, who=who
            )
        except StoreError as error:
            logger.warning("the glossary learns nothing from the correction of %s: %s", row.id, error)
            return []


def _line(connection: Connection, key: LineKey) -> Line | None:
    row = line_rows.line(connection, storable(key.session[:100]), storable(key.segment[:40]))
    if row is None:
        return None
    return Line(row, line_rows.extras_of(connection, [row.id]).get(row.id, Extras()))
