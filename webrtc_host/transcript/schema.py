"""The tables of the record, for SQLite and PostgreSQL alike.

Owns names, columns and keys; what is in force in a database is the migrations' (`migrations/versions`), and a
test holds both equal. A change is a new migration, never an edit of one that was released. Times are whole
milliseconds since the session's t = 0 (`_ms`), since 1970 in UTC (`_wall_ms`), or 16 kHz samples since t = 0.
Invariant: everything but `resumes`, `audit` and `meta` can be told from `events`, whose `data` is the very
JSON that watchers got. What sound there is, its files tell.
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

# SQLite counts an INTEGER PRIMARY KEY by itself, a BIGINT one it does not.
_Counted = BigInteger().with_variant(Integer, "sqlite")


def _of_session() -> ForeignKeyConstraint:
    """Rows go with their session; SQLite heeds it because `store` switches foreign keys on."""
    return ForeignKeyConstraint(["session"], ["sessions.id"], ondelete="CASCADE")


sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("t0_wall_ms", BigInteger, nullable=False),  # the wall clock at t = 0
    Column("ended_wall_ms", BigInteger),  # NULL: goes on
    Column("is_current", Boolean, nullable=False),  # the one for everyone who names none; one at most
    Column("is_held", Boolean, nullable=False),  # legal hold: no text and no sound of it is removed
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
    Column("is_held", Boolean, nullable=False),  # legal hold of this channel alone
    Column("glossary", Text),  # JSON list of its own terms; NULL: the glossary of the server
    _of_session(),
)

feeds = Table(
    "feeds",  # who fed a channel, and when: one row for each time a connection opened it
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
    Column("channel", Text),  # NULL concerns the whole session
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
    Column("raw", Text, nullable=False),  # as the engine read it
    Column("language", Text),
    Column("conf", Float),  # mean log probability
    Column("words", Text, nullable=False),  # JSON list, as on the wire
    Column("edits", Text, nullable=False),  # JSON list, as on the wire
    Column("glossary_version", Integer),
    Column("latency_ms", BigInteger),
    _of_session(),
    Index(None, "session", "seq"),
    Index(None, "session", "channel", "start_ms"),
)

coverage = Table(
    "coverage",  # each channel's present runs: they never overlap, neighbours of one state are one run
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
    "resumes",  # resume tokens that hold: who has one is given these channels again
    metadata,
    Column("token_hash", Text, primary_key=True),  # SHA-256, hexadecimal; the token itself is not kept
    Column("session", Text, nullable=False),
    Column("channels", Text, nullable=False),  # JSON list
    Column("connection", Text, nullable=False),  # the newest one that carried it
    Column("closed_wall_ms", BigInteger),  # when that ended; NULL: it had not
    _of_session(),
)

audit = Table(
    "audit",  # who exported, deleted, listened; outlives the sessions it speaks of
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

meta = Table(
    "meta",  # single facts of the whole record; the names are `MetaKey`
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)


def insert_of(dialect: str, table: Table) -> Any:
    """An INSERT that can have ON CONFLICT: both databases know it, SQLAlchemy has it for each apart."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
