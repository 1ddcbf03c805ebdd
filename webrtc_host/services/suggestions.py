"""Suggestions for the glossary: counts unknown words of finals, and carries out what a person decides.

The words of finals are counted in memory and written to the record every few seconds. Invariant: the glossary
changes only when a person accepts a suggestion.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from webrtc_host.errors import RequestError, StoreError
from webrtc_host.events import SegmentFinal
from webrtc_host.glossary.entries import Entry
from webrtc_host.glossary.learning import IsCommon, offers_of_correction, unknown_words
from webrtc_host.glossary.mistakes import GlossaryError
from webrtc_host.glossary.schema import parse
from webrtc_host.glossary.spelling import key_of
from webrtc_host.glossary.store import Glossary, GlossaryConflict
from webrtc_host.transcript import suggestions
from webrtc_host.transcript.event_log import LoggedEvent
from webrtc_host.transcript.store import Store
from webrtc_host.transcript.suggestions import Seen

logger = logging.getLogger(__name__)

OPEN_FROM = 3
"""Lines that a word must be in before it is suggested."""
FLUSH_S = 5.0
WAITING_MAX = 2_000
"""Words that wait to be written; further ones are not counted."""
TRIES = 5
"""Attempts to change a glossary that others change at the same time."""


class Suggestions:
    """One per process; `run` is one of the server's start steps."""

    def __init__(
        self, store: Store, glossary: Glossary, is_common: IsCommon, flush_s: float = FLUSH_S
    ) -> None:
        self._store = store
        self._glossary = glossary
        self._is_common = is_common
        self._flush_s = flush_s
        self._seen: dict[str, Seen] = {}
        self._known: tuple[int, frozenset[str]] = (-1, frozenset())

    def observe(self, logged: LoggedEvent) -> None:
        """A listener of the event log: counts the unknown words of a final."""
        event = logged.event
        if not isinstance(event, SegmentFinal):
            return
        known = self._spellings()
        for word in unknown_words(event.text, self._is_common):
            if key_of(word) not in known:
                self._count(word, None, event.channel, event.segment)

    async def note_correction(
        self, old: str, new: str, *, channel: str | None = None, segment: str | None = None, who: str = ""
    ) -> list[str]:
        """Keep what a person's correction of a line offers. Returns the texts of the suggestions.

        Raises StoreError.
        """
        offers = offers_of_correction(old, new, self._glossary.snapshot.entries)
        wall_ms = int(time.time() * 1000)
        seen = [
            Seen(_key(one.text, one.term), one.text, one.term, 1, wall_ms, channel, segment, who or None)
            for one in offers
        ]
        if seen:
            await self._store.write(lambda connection: suggestions.count(connection, seen, 1))
        return [one.text for one in offers]

    async def accept(self, number: int, who: str, term: str | None = None) -> tuple[Row[Any], int]:
        """Add the suggestion to the glossary. Returns it with the new version of the glossary.

        term: the canonical form that its text becomes an alias of; None: that of the suggestion, or the text
        becomes a term of its own. Raises RequestError, StoreError, OSError.
        """
        row = await self._open(number)
        version = await asyncio.to_thread(self._add, row.text, term or row.term, who)
        await self._decide(number, "accepted", who)
        return row, version

    async def dismiss(self, number: int, who: str) -> Row[Any]:
        """Raises RequestError 404 or 409, StoreError."""
        row = await self._open(number)
        await self._decide(number, "dismissed", who)
        return row

    async def run(self) -> None:
        """Write the counts every few seconds. A step of the server; cancelled at its stop."""
        while True:
            await asyncio.sleep(self._flush_s)
            await self.flush()

    async def flush(self) -> None:
        seen, self._seen = list(self._seen.values()), {}
        if not seen:
            return
        try:
            await self._store.write(lambda connection: suggestions.count(connection, seen, OPEN_FROM))
        except StoreError as error:
            logger.warning("the counts of %s unknown words are lost: %s", len(seen), error)

    def _count(self, text: str, term: str | None, channel: str | None, segment: str | None) -> None:
        key = _key(text, term)
        if key not in self._seen and len(self._seen) >= WAITING_MAX:
            return
        times = self._seen[key].times + 1 if key in self._seen else 1
        self._seen[key] = Seen(key, text, term, times, int(time.time() * 1000), channel, segment)

    def _spellings(self) -> frozenset[str]:
        """The normalised spellings and their single words, of the glossary in use."""
        snapshot = self._glossary.snapshot
        if self._known[0] != snapshot.version:
            self._known = (snapshot.version, frozenset(_all_spellings(snapshot.entries)))
        return self._known[1]

    async def _open(self, number: int) -> Row[Any]:
        row = await self._store.read(lambda connection: suggestions.find(connection, number))
        if row is None:
            raise RequestError("unknown_suggestion", f"there is no suggestion {number}", 404)
        if row.state in ("accepted", "dismissed"):
            message = f"the suggestion {row.text!r} was {row.state} already, by {row.who or 'somebody'}"
            raise RequestError("already_decided", message, 409)
        return row

    async def _decide(self, number: int, state: suggestions.State, who: str) -> None:
        await self._store.write(lambda connection: suggestions.decide(connection, number, state, who))

    def _add(self, text: str, term: str | None, who: str) -> int:
        for _ in range(TRIES):
            body, snapshot = self._glossary.state()
            try:
                return self._glossary.replace_list(
                    parse(_with(body, snapshot.entries, text, term)), base_version=snapshot.version, by=who
                )
            except GlossaryConflict:
                continue
            except GlossaryError as error:
                raise RequestError("bad_suggestion", f"{text!r} cannot be added: {error}", 409) from error
        message = "others change the glossary at this moment; accept the suggestion once more"
        raise RequestError("glossary_changed", message, 409)


def _key(text: str, term: str | None) -> str:
    return key_of(text) if term is None else f"{key_of(text)} {key_of(term)}"


def _all_spellings(entries: Sequence[Entry]) -> set[str]:
    texts = {
        text
        for entry in entries
        for text in (entry.canonical, *entry.aliases, *entry.sounds_like, *entry.never)
    }
    return {key_of(part) for text in texts for part in (text, *text.split())}


def _with(body: dict[str, Any], entries: Sequence[Entry], text: str, term: str | None) -> dict[str, Any]:
    """The list with `text` as an alias of `term`, or as a term of its own."""
    terms = [dict(one) for one in body.get("terms", [])]
    canonical = text if term is None else term
    found = next((one for one in terms if one["canonical"] == canonical), None)
    if found is None:
        entry = next((one for one in entries if one.canonical == canonical), None)
        found = {"canonical": canonical} if entry is None else _refining(entry)
        terms.append(found)
    if term is not None:
        found["aliases"] = [*found.get("aliases", []), text]
    return {**body, "terms": terms}


def _refining(entry: Entry) -> dict[str, Any]:
    """A term with the keys of an entry that a pattern expands to; it gets the spoken forms of the pattern."""
    term: dict[str, Any] = {"canonical": entry.canonical}
    if entry.kind is not None:
        term["class"] = entry.kind
    if entry.channels is not None:
        term["channels"] = sorted(entry.channels)
    if entry.active is not None:
        first, end = (f"{minute // 60:02d}:{minute % 60:02d}" for minute in entry.active)
        term["active"] = {"from": first, "to": end}
    if entry.boost != 1.0:
        term["boost"] = entry.boost
    if entry.alert is not None:
        term["alert"] = {"level": entry.alert}
    if entry.language is not None:
        term["language"] = entry.language
    return {**term, "display": {"en": entry.display_en, "ko": entry.display_ko}}
