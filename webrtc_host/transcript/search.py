"""Search: finds finals by their words, in SQLite (FTS5) and PostgreSQL (tsvector) with the same results.

This module keeps the index beside the tables of the record, and runs the queries; `search_text.py` turns
texts into tokens. The index is derived data: when it is missing or has another version, the start makes it
again in steps. An error of the index costs search results, but never the record. Invariant: the words of a
query reach the database as data only, whatever they contain.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, TextClause, bindparam, select, text
from sqlalchemy.exc import DBAPIError

from webrtc_host.errors import StoreError
from webrtc_host.transcript import rows
from webrtc_host.transcript.meta import get_meta, put_meta
from webrtc_host.transcript.schema import segments
from webrtc_host.transcript.search_text import SEPARATOR, Phrase, phrases, tokens
from webrtc_host.transcript.store import Store

logger = logging.getLogger(__name__)

VERSION = "1"
"""Version of the tokens. With another version, the next start makes the index again."""
INDEX_VERSION = "search_version"  # keys of `meta`
INDEX_TO = "search_indexed_to"  # all finals up to this segment number are indexed
STEP = 500
RETRY_S = 5.0
HITS_MAX = 100


@dataclass(frozen=True, slots=True)
class TextSearch:
    """A search. words: as the person typed them. before: number of the last hit on the page before."""

    words: str
    session: str | None = None
    channels: frozenset[str] | None = None
    from_wall_ms: int | None = None
    to_wall_ms: int | None = None
    from_ms: int | None = None  # on the session's timeline
    to_ms: int | None = None
    term: str | None = None  # a glossary term that the text was corrected to
    conf_min: float | None = None
    language: str | None = None
    before: int | None = None
    limit: int = 50


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


class SearchIndex:
    """Call `start` when the store is open. Then each final is indexed in the transaction that saves it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._is_ready = False
        self._catching_up: asyncio.Task[None] | None = None
        self.failures = 0

    def start(self) -> None:
        """Make the index when there is none, and index older finals in the background."""
        self._store.writer.after_segments.append(self.add)
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

    def add(self, connection: Connection, new: rows.NewTexts) -> None:
        """Index new and revised finals, in the writer's thread and transaction.

        Does not raise for errors of the index.
        """
        if not self._is_ready:
            return  # the background task will index them
        try:
            with connection.begin_nested():
                _index(connection, new.finals)
                _remove(connection, new.revised)
                _index(connection, new.revised)
        except DBAPIError:
            # When the disk is full, the commit that follows fails too, and the writer reports it.
            self.failures += 1
            if self.failures == 1:
                count = len(new.finals) + len(new.revised)
                logger.exception("%s finals were not indexed; further ones are only counted", count)

    async def find(self, query: TextSearch) -> list[Hit]:
        """Find finals, newest first; one more than `limit` when there are more. No words: no results.

        Raises StoreError and Overloaded.
        """
        if not self._is_ready:
            raise StoreError("texts cannot be searched yet: the search index is being made")
        wanted = phrases(query.words)
        if not wanted:
            return []
        return await self._store.read(partial(_find, query=query, wanted=wanted))

    async def _catch_up(self) -> None:
        """Index everything; while the record cannot be written, try again after a while."""
        is_more = True
        while is_more:
            try:
                if not self._is_ready:
                    await self._store.write(_make)
                    self._is_ready = True
                is_more = await self._store.write(_index_step)
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


def _make(connection: Connection) -> None:
    if get_meta(connection, INDEX_VERSION) == VERSION:
        return
    for statement in _MAKING[connection.dialect.name]:
        connection.execute(text(statement))
    put_meta(connection, {INDEX_VERSION: VERSION, INDEX_TO: "0"})


_MAKING = {
    "sqlite": (
        "DROP TRIGGER IF EXISTS search_removed",
        "DROP TABLE IF EXISTS search",
        # `ascii` does not change our tokens. There is no ranking, so no column sizes are needed.
        "CREATE VIRTUAL TABLE search USING fts5(tokens, tokenize = 'ascii', columnsize = 0)",
        "CREATE TRIGGER search_removed AFTER DELETE ON segments BEGIN "
        "DELETE FROM search WHERE rowid = CAST(substr(old.id, 3) AS INTEGER); END",
    ),
    "postgresql": (
        "DROP TABLE IF EXISTS search",
        "CREATE TABLE search (number bigint PRIMARY KEY, "
        "segment text NOT NULL REFERENCES segments (id) ON DELETE CASCADE, tokens tsvector NOT NULL)",
        "CREATE INDEX search_tokens ON search USING gin (tokens)",
        "CREATE INDEX search_segment ON search (segment)",
    ),
}


def _index(connection: Connection, finals: Sequence[dict[str, Any]]) -> None:
    is_sqlite = connection.dialect.name == "sqlite"
    values = []
    for final in finals:
        number = rows.number_of(final["id"])  # ids have the form g_NUMBER
        if number:
            words = _tokens_of(final["text"], final["raw"])
            indexed = " ".join(words) if is_sqlite else _tsvector(words)
            values.append({"number": number, "segment": final["id"], "tokens": indexed})
    if values:
        connection.execute(_INSERTING[connection.dialect.name], values)


def _remove(connection: Connection, revised: Sequence[dict[str, Any]]) -> None:
    """Take texts out of the index that were replaced by others."""
    numbers = [{"number": rows.number_of(row["id"])} for row in revised]
    if numbers:
        connection.execute(_REMOVING[connection.dialect.name], numbers)


_REMOVING: dict[str, TextClause] = {
    "sqlite": text("DELETE FROM search WHERE rowid = :number"),
    "postgresql": text("DELETE FROM search WHERE number = :number"),
}
_INSERTING: dict[str, TextClause] = {
    # A final may be written twice, when the reply to a commit was lost; it is indexed once.
    "sqlite": text(
        "INSERT INTO search (rowid, tokens) SELECT :number, :tokens "
        "WHERE NOT EXISTS (SELECT 1 FROM search WHERE rowid = :number)"
    ),
    "postgresql": text(
        "INSERT INTO search (number, segment, tokens) "
        "VALUES (:number, :segment, CAST(:tokens AS tsvector)) ON CONFLICT DO NOTHING"
    ),
}


def _tokens_of(corrected: str, raw: str) -> list[str]:
    """The tokens of the corrected and of the raw text. A phrase cannot reach from one into the other."""
    words = tokens(corrected)
    return words if raw == corrected else [*words, SEPARATOR, *tokens(raw)]


def _tsvector(words: Sequence[str]) -> str:
    """PostgreSQL has positions up to 16383; a final has a few hundred words."""
    return " ".join(f"'{word}':{place}" for place, word in enumerate(words[:16_000], 1))


def _index_step(connection: Connection) -> bool:
    """Index some of the older finals; True when there may be more."""
    done = int(get_meta(connection, INDEX_TO) or 0)
    last = int(get_meta(connection, rows.SEGMENT_MAX) or 0)
    if done >= last:
        return False
    numbers = range(done + 1, min(done + STEP, last) + 1)
    query = select(segments.c.id, segments.c.text, segments.c.raw)
    found = connection.execute(query.where(segments.c.id.in_([f"g_{number}" for number in numbers])))
    _index(connection, [dict(row) for row in found.mappings()])
    put_meta(connection, {INDEX_TO: str(numbers[-1])})
    return True


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
_COLUMNS = (
    "segments.id AS segment, segments.session, sessions.name AS session_name, sessions.t0_wall_ms, "
    "segments.channel, coalesce(channels.label, segments.channel) AS label, segments.seq, "
    "segments.start_ms, segments.end_ms, segments.text, segments.raw, segments.language, segments.conf"
)
_JOINS = (
    "JOIN sessions ON sessions.id = segments.session "
    "LEFT JOIN channels ON channels.session = segments.session AND channels.channel = segments.channel"
)
_FILTERS = {
    "session": "segments.session = :session",
    "from_wall_ms": "sessions.t0_wall_ms + segments.end_ms > :from_wall_ms",
    "to_wall_ms": "sessions.t0_wall_ms + segments.start_ms < :to_wall_ms",
    "from_ms": "segments.end_ms > :from_ms",
    "to_ms": "segments.start_ms < :to_ms",
    "conf_min": "segments.conf >= :conf_min",
    "language": "segments.language = :language",
}


def _find(connection: Connection, *, query: TextSearch, wanted: Sequence[Phrase]) -> list[Hit]:
    is_sqlite = connection.dialect.name == "sqlite"
    values: dict[str, Any] = {
        "match": match_sqlite(wanted) if is_sqlite else match_postgresql(wanted),
        "limit": min(query.limit, HITS_MAX) + 1,
    }
    filters: list[str] = []
    for name, condition in _FILTERS.items():
        if (value := getattr(query, name)) is not None:
            filters.append(condition)
            values[name] = value
    if query.before is not None:
        filters.append("search.rowid < :before" if is_sqlite else "search.number < :before")
        values["before"] = query.before
    if query.channels is not None:
        filters.append("segments.channel IN :channels")
        values["channels"] = sorted(query.channels)
    if query.term is not None:
        filters.append("(segments.edits LIKE :edit ESCAPE '\\' OR segments.text LIKE :term ESCAPE '\\')")
        values["edit"] = f'%"term":"{_like(query.term)}"%'
        values["term"] = f"%{_like(query.term)}%"
    wheres = "".join(f" AND {condition}" for condition in filters)
    form = _FROM[connection.dialect.name]
    statement = text(form.format(columns=_COLUMNS, joins=_JOINS, filters=wheres))
    if query.channels is not None:
        statement = statement.bindparams(bindparam("channels", expanding=True))
    return [Hit(**row) for row in connection.execute(statement, values).mappings()]


def _like(text_of_it: str) -> str:
    """Escape a text for LIKE, so that it matches itself."""
    return text_of_it.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
