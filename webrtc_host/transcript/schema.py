"""The tables of the record, for SQLite and PostgreSQL.

This module has names, columns and keys. The migrations (`migrations/versions`) make the tables of a database;
a test checks that both are equal. To change a table, add a migration; never edit a released one. Times are
whole milliseconds since the session's t = 0 (`_ms`), since 1970 in UTC (`_wall_ms`), or 16 kHz samples.
Invariant: everything except `resumes`, `audit`, `suggestions` and `meta` can be derived from `events`, whose
`data` is the same JSON that watchers got. Which audio is archived is known from the files.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import postgresql, sqlite

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)

# SQLite numbers the rows of an INTEGER PRIMARY KEY by itself, but not those of a BIGINT one.
_Counted = BigInteger().with_variant(Integer, "sqlite")


def _of_session() -> ForeignKeyConstraint:
    """Rows are deleted with their session. SQLite does that only with foreign keys on (`sqlite_database`)."""
    return ForeignKeyConstraint(["session"], ["sessions.id"], ondelete="CASCADE")


sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("t0_wall_ms", BigInteger, nullable=False),  # the wall clock at t = 0
    Column("ended_wall_ms", BigInteger),  # NULL: not ended
    Column("is_current", Boolean, nullable=False),  # the session for callers who name none; at most one
    Column("is_held", Boolean, nullable=False),  # legal hold: none of its text and audio is removed
    Column("head_seq", BigInteger, nullable=False),  # newest stored event
    Column("alive_ms", BigInteger, nullable=False),  # session time at which the server was last known to run
)

channels = Table(
    "channels",
    metadata,
    Column("session", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("label", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("first_opened_ms", BigInteger, nullable=False),  # where its coverage begins
    Column("is_held", Boolean, nullable=False),  # legal hold of this channel only
    Column("glossary", Text),  # JSON list of its own terms; NULL: only the server's glossary
    _of_session(),
)

feeds = Table(
    "feeds",  # which connection fed a channel, and when: one row for each opening
    metadata,
    Column("session", Text, primary_key=True),
    Column("opened_seq", BigInteger, primary_key=True),  # of its channel.opened
    Column("channel", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("door", Text, nullable=False),
    Column("opened_ms", BigInteger, nullable=False),
    Column("closed_ms", BigInteger),  # NULL: open
    Column("reason", Text),
    _of_session(),
    Index(None, "session", "channel"),
)

events = Table(
    "events",
    metadata,
    Column("session", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("type", Text, nullable=False),
    Column("channel", Text),  # NULL: of the whole session
    Column("data", Text, nullable=False),  # JSON, as on the wire
    _of_session(),
    sqlite_with_rowid=False,
)

segments = Table(
    "segments",  # finals
    metadata,
    Column("id", Text, primary_key=True),
    Column("session", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("channel", Text, nullable=False),
    Column("utterance", Text, nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("wall_ms", BigInteger, nullable=False),  # when it was emitted
    Column("text", Text, nullable=False),  # corrected
    Column("raw", Text, nullable=False),  # as decoded by the engine
    Column("language", Text),
    Column("conf", Float),  # mean log probability
    Column("words", Text, nullable=False),  # JSON list, as on the wire
    Column("edits", Text, nullable=False),  # JSON list, as on the wire
    Column("glossary_version", Integer),
    Column("latency_ms", BigInteger),
    Column("revision", Integer),  # number of the segment.revised that `text` is from; NULL: none
    Column("revised_seq", BigInteger),  # seq of that event
    _of_session(),
    Index(None, "session", "seq"),
    Index(None, "session", "channel", "start_ms"),
)

coverage = Table(
    "coverage",  # the present runs of each channel; they never overlap, neighbours with one state are one run
    metadata,
    Column("session", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("from_ms", BigInteger, primary_key=True),
    Column("to_ms", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    _of_session(),
)

resumes = Table(
    "resumes",  # valid resume tokens: a client with the token gets these channels again
    metadata,
    Column("token_hash", Text, primary_key=True),  # SHA-256, hexadecimal; the token itself is not stored
    Column("session", Text, nullable=False),
    Column("channels", Text, nullable=False),  # JSON list
    Column("connection", Text, nullable=False),  # the newest connection with this token
    Column("closed_wall_ms", BigInteger),  # when that connection ended; NULL: it is open
    _of_session(),
)

audit = Table(
    "audit",  # who exported, deleted, listened; its lines stay when a session is removed
    metadata,
    Column("id", _Counted, primary_key=True, autoincrement=True),
    Column("wall_ms", BigInteger, nullable=False),
    Column("who", Text, nullable=False),  # name of the token, never the token
    Column("remote", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("session", Text),
    Column("channel", Text),
    Column("detail", Text),
    Index(None, "wall_ms"),
)

suggestions = Table(
    "suggestions",  # for the glossary; they stay when a session is removed
    metadata,
    Column("id", _Counted, primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False),  # of the same suggestion: its normalised text, and its term
    Column("text", Text, nullable=False),  # the spelling or the word
    Column("term", Text),  # the canonical form that `text` is an alias of; NULL: a word without a term
    Column("state", Text, nullable=False),  # counting, open, accepted, dismissed
    Column("times", BigInteger, nullable=False),  # lines that have it
    Column("first_wall_ms", BigInteger, nullable=False),
    Column("last_wall_ms", BigInteger, nullable=False),
    Column("channel", Text),  # of the newest line
    Column("segment", Text),  # the newest line
    Column("who", Text),  # name of the token that corrected a line, accepted or dismissed
    UniqueConstraint("key"),
)

meta = Table(
    "meta",  # single facts about the whole record
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)


def insert_of(dialect: str, table: Table) -> Any:
    """An INSERT that can have ON CONFLICT. Both databases support it, SQLAlchemy only per database."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
