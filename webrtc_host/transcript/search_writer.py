"""Writes the search index, which is kept beside the tables of the record.

`SearchWriter.add` runs in the writer's thread of the record, in the transaction that saves the finals. The
index is derived data: when it is missing or has another version, `make_index` and `index_step` make it again
in steps. Invariant: an error of the index costs search results, but never the record.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, TextClause, select, text
from sqlalchemy.exc import DBAPIError

from webrtc_host.transcript import rows
from webrtc_host.transcript.meta import get_meta, put_meta
from webrtc_host.transcript.schema import segments
from webrtc_host.transcript.search_text import SEPARATOR, tokens

logger = logging.getLogger(__name__)

VERSION = "1"
"""Version of the tokens. With another version, the next start makes the index again."""
INDEX_VERSION = "search_version"  # keys of `meta`
INDEX_TO = "search_indexed_to"  # all finals up to this segment number are indexed
STEP = 500
"""Older finals that one transaction indexes: small, because events wait behind it."""


class SearchWriter:
    """Indexes finals while they are saved. The store gets `add` when it is made."""

    def __init__(self) -> None:
        self._is_ready = False
        self.failures = 0

    @property
    def is_ready(self) -> bool:
        """Whether the index exists, so that `add` writes to it."""
        return self._is_ready

    def begin(self) -> None:
        """The index exists now. Finals that are saved from now on are indexed with them."""
        self._is_ready = True

    def add(self, connection: Connection, new: rows.NewTexts) -> None:
        """Index new and revised finals, in the writer's thread and transaction.

        Does not raise for errors of the index.
        """
        if not self._is_ready:
            return  # the background task will index them
        try:
            # A savepoint: without it, an error of the index would undo the finals of this transaction, too.
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


def make_index(connection: Connection) -> None:
    """Make an empty index, unless there is one of this version."""
    if get_meta(connection, INDEX_VERSION) == VERSION:
        return
    for statement in _MAKING[connection.dialect.name]:
        connection.execute(text(statement))
    put_meta(connection, {INDEX_VERSION: VERSION, INDEX_TO: "0"})


def forget_old_words(connection: Connection) -> None:
    """Remove from SQLite's index the words of texts that are no longer there.

    FTS5 only marks them as removed; they stay on disk until its parts are merged.
    """
    if connection.dialect.name == "sqlite" and get_meta(connection, INDEX_VERSION) is not None:
        connection.execute(text("INSERT INTO search(search) VALUES('optimize')"))


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


def index_step(connection: Connection) -> bool:
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
