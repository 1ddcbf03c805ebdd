"""Search: finds finals by their words, in SQLite (FTS5) and PostgreSQL (tsvector) with the same results.

This module runs the queries. `search_writer.py` writes the index, and `search_text.py` turns texts into
tokens. Invariant: the words of a query reach the database as data only, whatever they contain.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import Connection, bindparam, text

from webrtc_host.errors import StoreError
from webrtc_host.transcript.line_rows import Extras, extras_of, talkers_of
from webrtc_host.transcript.search_text import Phrase, names_patterns, phrases
from webrtc_host.transcript.search_writer import SearchWriter, index_step, make_index
from webrtc_host.transcript.store import Store

logger = logging.getLogger(__name__)

RETRY_S = 5.0
HITS_MAX = 100


@dataclass(frozen=True, slots=True)
class TextSearch:
    """A search. words: as the person typed them. before: number of the last hit on the page before."""

    words: str
    session: str | None = None
    room: str | None = None
    channels: frozenset[str] | None = None
    from_wall_ms: int | None = None
    to_wall_ms: int | None = None
    from_ms: int | None = None  # on the session's timeline
    to_ms: int | None = None
    term: str | None = None  # a glossary term that the text was corrected to
    conf_min: float | None = None
    language: str | None = None
    marked: frozenset[str] = frozenset()  # of `MARKED`: lines that have each of them
    talker: str | None = None  # words of the name, or the number, of a radio that was heard
    length_min_ms: int | None = None
    before: int | None = None
    limit: int = 50

    @property
    def works_without_words(self) -> bool:
        return bool(self.marked) or self.talker is not None or self.length_min_ms is not None


@dataclass(frozen=True, slots=True)
class Hit:
    """A final that was found."""

    number: int  # of the segment; later finals have higher numbers
    segment: str
    session: str
    session_name: str
    t0_wall_ms: int
    channel: str
    label: str
    seq: int
    start_ms: int
    end_ms: int
    text: str
    raw: str
    language: str | None
    conf: float | None
    revision: int  # 0: the text was not corrected
    is_redacted: bool
    extras: Extras = Extras()
    talkers: tuple[dict[str, Any], ...] = ()  # {id, start_ms, label}, as on the wire


class SearchIndex:
    """Call `start` when the store is open. Then every final can be found, as soon as it is saved."""

    def __init__(self, store: Store, writer: SearchWriter) -> None:
        """writer: the one that the store calls for each saved final."""
        self._store, self._writer = store, writer
        self._catching_up: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Make the index when there is none, and index older finals in the background."""
        self._catching_up = asyncio.create_task(self._catch_up(), name="search index")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """One of the server's start steps."""
        self.start()
        try:
            yield
        finally:
            await self.close()

    async def close(self) -> None:
        if self._catching_up is not None:
            self._catching_up.cancel()
            await asyncio.wait((self._catching_up,))

    async def caught_up(self) -> None:
        """Wait until all finals that were there at the start are indexed."""
        if self._catching_up is not None:
            await asyncio.wait((self._catching_up,))

    async def find(self, query: TextSearch) -> list[Hit]:
        """Find finals, newest first; one more than `limit` when there are more.

        No words: the lines that its marks, talker and length let through; none when it has none of these.

        Raises StoreError and Overloaded.
        """
        if not self._writer.is_ready:
            raise StoreError("texts cannot be searched yet: the search index is being made")
        wanted = phrases(query.words)
        if not wanted and not query.works_without_words:
            return []
        return await self._store.read(partial(_find, query=query, wanted=wanted))

    async def among(self, query: TextSearch, segments: Sequence[str]) -> list[Hit]:
        """Those of these finals that the filters of the query let through; its words do not matter."""
        if not segments:
            return []
        return await self._store.read(partial(_find, query=query, wanted=(), among=segments))

    async def _catch_up(self) -> None:
        """Index everything; while the record cannot be written, try again after a while."""
        is_more = True
        while is_more:
            try:
                if not self._writer.is_ready:
                    await self._store.write(make_index)
                    self._writer.begin()
                is_more = await self._store.write(index_step)
            except StoreError as error:
                logger.warning("the search index waits: %s", error)
                await asyncio.sleep(RETRY_S)


def match_sqlite(wanted: Sequence[Phrase]) -> str:
    """The phrases in FTS5's query language: letters and digits in quotes only."""
    return " ".join(f'"{" ".join(one.tokens)}"{" *" if one.is_open else ""}' for one in wanted)


def match_postgresql(wanted: Sequence[Phrase]) -> str:
    """The phrases as a tsquery: <-> means "next to", :* means a prefix."""
    ands = [
        " <-> ".join(f"'{token}'" for token in one.tokens) + (":*" if one.is_open else "") for one in wanted
    ]
    return " & ".join(f"({one})" for one in ands)


_FROM = {
    "sqlite": (
        "SELECT search.rowid AS number, {columns} FROM search "
        "JOIN segments ON segments.id = 'g_' || search.rowid {joins} "
        "WHERE search MATCH :match {filters} ORDER BY search.rowid DESC LIMIT :limit"
    ),
    "postgresql": (
        "SELECT search.number AS number, {columns} FROM search "
        "JOIN segments ON segments.id = search.segment {joins} "
        "WHERE search.tokens @@ CAST(:match AS tsquery) {filters} ORDER BY search.number DESC LIMIT :limit"
    ),
}
_WORDLESS_FROM = (
    "SELECT CAST(substr(segments.id, 3) AS BIGINT) AS number, {columns} FROM segments {joins} "
    "WHERE segments.id IN (SELECT segments.id FROM segments WHERE 1 = 1 {filters} "
    "ORDER BY length(segments.id) DESC, segments.id DESC LIMIT :limit) ORDER BY number DESC"
)
"""A search without words, in both databases. The inner query reads the newest finals in the order of the
index `ix_segments_newest` until enough of them pass the filters; for a length it needs only this index, and
for a radio only `ix_segments_radios`.
"""
_COLUMNS = (
    "segments.id AS segment, segments.session, sessions.name AS session_name, sessions.t0_wall_ms, "
    "segments.channel, coalesce(channels.label, segments.channel) AS label, segments.seq, "
    "segments.start_ms, segments.end_ms, segments.text, segments.raw, segments.language, segments.conf, "
    "coalesce(segments.revision, 0) AS revision, segments.redacted_seq IS NOT NULL AS is_redacted"
)
_JOINS = (
    "JOIN sessions ON sessions.id = segments.session "
    "LEFT JOIN channels ON channels.session = segments.session AND channels.channel = segments.channel"
)
_T0 = "(SELECT t0_wall_ms FROM sessions WHERE sessions.id = segments.session)"
_FILTERS = {
    # Of `segments` alone, because a search without words joins no other table to find its hits.
    "session": "segments.session = :session",
    "room": (
        "EXISTS (SELECT 1 FROM room_members LEFT JOIN jobs "
        "ON room_members.kind = 'job' AND jobs.id = room_members.id "
        "WHERE room_members.room = :room "
        "AND coalesce(room_members.session, jobs.session) = segments.session "
        "AND (room_members.channel IS NULL OR room_members.channel = segments.channel) "
        "AND segments.end_ms > coalesce(room_members.from_ms, 0) "
        "AND (room_members.to_ms IS NULL OR segments.start_ms < room_members.to_ms))"
    ),
    "from_wall_ms": f"{_T0} + segments.end_ms > :from_wall_ms",
    "to_wall_ms": f"{_T0} + segments.start_ms < :to_wall_ms",
    "from_ms": "segments.end_ms > :from_ms",
    "to_ms": "segments.start_ms < :to_ms",
    "conf_min": "segments.conf >= :conf_min",
    "language": "segments.language = :language",
    "length_min_ms": "segments.end_ms - segments.start_ms >= :length_min_ms",
}


MARKED = {
    "star": "segments.id IN (SELECT segment FROM marks WHERE mark = 'star' AND is_set)",
    "report": "segments.id IN (SELECT segment FROM marks WHERE mark = 'report' AND is_set)",
    "not_said": "segments.id IN (SELECT segment FROM marks WHERE mark = 'not_said' AND is_set)",
    "note": "segments.id IN (SELECT segment FROM notes)",
    "alert": "segments.id IN (SELECT segment FROM alerts WHERE segment IS NOT NULL AND state <> 'withdrawn')",
}
"""What people and alert rules add to lines, and lines can be searched by."""


def _find(
    connection: Connection,
    *,
    query: TextSearch,
    wanted: Sequence[Phrase],
    among: Sequence[str] | None = None,
) -> list[Hit]:
    """among: the only finals that may be hits; None: all."""
    is_sqlite = connection.dialect.name == "sqlite"
    values: dict[str, Any] = {"limit": min(query.limit, HITS_MAX) + 1 if among is None else len(among)}
    if wanted:
        values["match"] = match_sqlite(wanted) if is_sqlite else match_postgresql(wanted)
    filters = [MARKED[name] for name in sorted(query.marked)]
    for name, condition in _FILTERS.items():
        if (value := getattr(query, name)) is not None:
            filters.append(condition)
            values[name] = value
    if query.before is not None:
        column = "CAST(substr(segments.id, 3) AS BIGINT)"
        if wanted:
            column = "search.rowid" if is_sqlite else "search.number"
        filters.append(f"{column} < :before")
        values["before"] = query.before
    if query.channels is not None:
        filters.append("segments.channel IN :channels")
        values["channels"] = sorted(query.channels)
    if among is not None:
        filters.append("segments.id IN :among")
        values["among"] = list(among)
    if query.term is not None:
        filters.append("(segments.edits LIKE :edit ESCAPE '\\' OR segments.text LIKE :term ESCAPE '\\')")
        values["edit"] = f'%"term":"{_like(query.term)}"%'
        values["term"] = f"%{_like(query.term)}%"
    if query.talker is not None:
        patterns = names_patterns(query.talker)
        filters.append("segments.talkers IS NOT NULL")  # the condition of the index `ix_segments_radios`
        filters += [f"segments.talkers LIKE :talker{at}" for at in range(len(patterns))] or ["1 = 0"]
        values |= {f"talker{at}": pattern for at, pattern in enumerate(patterns)}
    wheres = "".join(f" AND {condition}" for condition in filters)
    form = _FROM[connection.dialect.name] if wanted else _WORDLESS_FROM
    statement = text(form.format(columns=_COLUMNS, joins=_JOINS, filters=wheres))
    if query.channels is not None:
        statement = statement.bindparams(bindparam("channels", expanding=True))
    if among is not None:
        statement = statement.bindparams(bindparam("among", expanding=True))
    found = [Hit(**row) for row in connection.execute(statement, values).mappings()]
    ids = [hit.segment for hit in found]
    extras, talkers = extras_of(connection, ids), talkers_of(connection, ids)
    return [
        replace(hit, extras=extras.get(hit.segment, hit.extras), talkers=talkers.get(hit.segment, ()))
        for hit in found
    ]


def _like(text_of_it: str) -> str:
    """Escape a text for LIKE, so that it matches itself."""
    return text_of_it.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
