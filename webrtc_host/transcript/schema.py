"""The tables of the record, for SQLite and PostgreSQL.

This module has names, columns and keys. The migrations (`migrations/versions`) make the tables of a database;
a test checks that both are equal. To change a table, add a migration; never edit a released one. Times are
whole milliseconds since the session's t = 0 (`_ms`), since 1970 in UTC (`_wall_ms`), or 16 kHz samples.
Invariant: everything except `resumes`, `shares`, `audit`, `suggestions`, `jobs`, `webhooks`, `deliveries`,
`summaries`, `summary_parts`, `meanings`, `user_settings` and `meta` can be derived from `events`, whose
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
    func,
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
    Column("redacted_seq", BigInteger),  # seq of the range.redacted that removed the text; NULL: none
    Column("talkers", Text),  # words of the names of its radios, as `search_text.names_key`; NULL: none
    _of_session(),
    Index(None, "session", "seq"),
    Index(None, "session", "channel", "start_ms"),
)
# The order of the numbers in the ids (g_9 before g_10), with what the length of a line is computed from: a
# search for long lines reads this index alone, newest first. SQLAlchemy does not see such an index in SQLite:
# a migration that makes the table anew must make this index anew, too.
Index(
    "ix_segments_newest",
    *(func.length(segments.c.id), segments.c.id, segments.c.start_ms, segments.c.end_ms),
)
# The finals with radios, in the same order: a search for a radio that no line has reads this index alone.
Index(
    "ix_segments_radios",
    *(func.length(segments.c.id), segments.c.id, segments.c.talkers),
    sqlite_where=segments.c.talkers.is_not(None),
    postgresql_where=segments.c.talkers.is_not(None),
)

marks = Table(
    "marks",  # the present marks of finals
    metadata,
    Column("segment", Text, primary_key=True),
    Column("mark", Text, primary_key=True),  # star, report, not_said
    Column("session", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),  # of the newest segment.marked
    Column("is_set", Boolean, nullable=False),
    Column("reason", Text),
    Column("who", Text, nullable=False),  # name of the token
    Column("wall_ms", BigInteger, nullable=False),
    _of_session(),
)

notes = Table(
    "notes",  # what people wrote about finals
    metadata,
    Column("session", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),  # of its note.added
    Column("segment", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("who", Text, nullable=False),  # name of the token
    Column("wall_ms", BigInteger, nullable=False),
    _of_session(),
    Index(None, "segment"),
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

usual_points = Table(
    "usual_points",  # figures of each channel for five minutes; those of the last 24 hours
    metadata,
    Column("channel", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("wall_ms", BigInteger, primary_key=True),  # where the five minutes begin
    Column("words", Float, nullable=False),  # per minute of audio
    Column("delay_ms", Float),  # median; NULL: no live line
    Column("confidence", Float),  # mean, 0 to 1; NULL: no line
    Column("level_db", Float, nullable=False),  # mean, dBFS
    Index(None, "wall_ms"),
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

shares = Table(
    "shares",  # links for people without a token of the configuration: to a range, or to the wall
    metadata,
    Column("id", _Counted, primary_key=True, autoincrement=True),
    Column("token_hash", Text, nullable=False),  # SHA-256, hexadecimal; the token itself is not stored
    Column("kind", Text, nullable=False),  # range, wall
    Column("name", Text, nullable=False),  # what it is for, as its maker wrote it
    Column("session", Text),  # of a range; NULL: the wall, which follows the current session
    Column("channels", Text),  # JSON list; NULL: all
    Column("from_ms", BigInteger),
    Column("to_ms", BigInteger),
    Column("has_audio", Boolean, nullable=False),
    Column("who", Text, nullable=False),  # name of the token that made it
    Column("made_wall_ms", BigInteger, nullable=False),
    Column("expires_wall_ms", BigInteger, nullable=False),
    Column("revoked_wall_ms", BigInteger),  # NULL: not revoked
    Column("revoked_by", Text),
    Column("used_wall_ms", BigInteger),  # NULL: never opened
    _of_session(),
    UniqueConstraint("token_hash"),
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

jobs = Table(
    "jobs",  # recordings to transcribe: what was asked for, how far it is, who works on it
    metadata,
    Column("id", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),  # counts the jobs: the order of the queue and of lists
    Column("state", Text, nullable=False),  # queued, running, completed, failed, cancelled
    Column("key", Text),  # of the request (Idempotency-Key), with the name of its token
    Column("title", Text, nullable=False),
    Column("file_name", Text, nullable=False),  # as the sender named it
    Column("url", Text),  # where the file has to be fetched; NULL: it was uploaded
    Column("bytes", BigInteger),  # NULL: not known yet
    Column("options", Text, nullable=False),  # JSON: language, glossary, channels, summary
    Column("session", Text),  # its text; NULL: not begun, or the session was removed
    Column("progress", Text, nullable=False),  # JSON: the channels, and the sample up to which each is done
    Column("done_ms", BigInteger, nullable=False),
    Column("total_ms", BigInteger),  # length of the recording; NULL: not known yet
    Column("attempts", BigInteger, nullable=False),  # leases in a row without progress
    Column("owner", Text),  # the worker that holds the lease; NULL: none
    Column("lease_wall_ms", BigInteger),  # the lease ends at this moment
    Column("created_wall_ms", BigInteger, nullable=False),
    Column("started_wall_ms", BigInteger),
    Column("ended_wall_ms", BigInteger),
    Column("error_code", Text),
    Column("error", Text),  # why it failed, in plain words
    Column("results", Text, nullable=False),  # JSON: what was made from the text, such as a summary
    Column("warning", Text),  # what the text lacks, such as the end of a truncated file
    Column("who", Text),  # name of the token; NULL: the server requires no token
    ForeignKeyConstraint(["session"], ["sessions.id"], ondelete="SET NULL"),
    UniqueConstraint("key"),
    UniqueConstraint("number"),
    Index(None, "state", "number"),
    Index(None, "session"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("session", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),  # of its alert.raised
    Column("channel", Text, nullable=False),
    Column("rule", Text, nullable=False),  # its name
    Column("cause", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("state", Text, nullable=False),  # provisional, open, withdrawn, acknowledged
    Column("is_escalated", Boolean, nullable=False),
    Column("matched", Text),  # NULL: the cause is not in the text
    Column("utterance", Text),
    Column("segment", Text),  # the final that has the words
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("raised_wall_ms", BigInteger, nullable=False),
    Column("done_wall_ms", BigInteger),  # when it was withdrawn or acknowledged
    Column("who", Text),  # name of the token that acknowledged it
    _of_session(),
    Index(None, "state", "raised_wall_ms"),
    Index(None, "session"),
)

webhooks = Table(
    "webhooks",  # receivers of events; they stay when a session is removed
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("events", Text, nullable=False),  # JSON list
    Column("secret", Text, nullable=False),  # signs every delivery, so it cannot be stored as a hash
    Column("state", Text, nullable=False),  # active, paused (by failures), off (by a person)
    Column("failures", Integer, nullable=False),  # failed attempts since the last success
    Column("reason", Text),  # why it is paused: the last failure
    Column("dropped", BigInteger, nullable=False),  # deliveries that did not fit into its outbox
    Column("created_wall_ms", BigInteger, nullable=False),
    Column("changed_wall_ms", BigInteger, nullable=False),
)

deliveries = Table(
    "deliveries",  # the outbox of the webhooks
    metadata,
    Column("number", _Counted, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False),  # the receiver gets it, and recognises a repetition by it
    Column("webhook", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("body", Text, nullable=False),  # JSON, as it is sent; empty when it is done
    Column("state", Text, nullable=False),  # waiting, delivered, failed
    Column("tries", Integer, nullable=False),
    Column("next_wall_ms", BigInteger, nullable=False),  # not sent before
    Column("created_wall_ms", BigInteger, nullable=False),
    Column("done_wall_ms", BigInteger),
    Column("status", Integer),  # of the last response
    Column("error", Text),  # why the last attempt failed
    ForeignKeyConstraint(["webhook"], ["webhooks.id"], ondelete="CASCADE"),
    Index(None, "webhook", "state", "number"),
)

meanings = Table(
    "meanings",  # the vector of each final, for the search by meaning; rows are there when it is configured
    metadata,
    Column("segment", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),  # of the segment
    Column("is_waiting", Boolean, nullable=False),  # it has no vector, or its text is new
    Column("model", Text),  # that made the vector
    Column("vector", Text),  # whole numbers of one byte, in base64
    ForeignKeyConstraint(["segment"], ["segments.id"], ondelete="CASCADE"),
    Index(None, "is_waiting", "number"),
)

summaries = Table(
    "summaries",  # one row for each scope that was asked for; a new revision replaces the one before
    metadata,
    Column("session", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("channel", Text),  # NULL: all channels
    Column("from_ms", BigInteger, nullable=False),  # of the scope
    Column("to_ms", BigInteger),  # NULL: up to now, or up to the end
    Column("last_ms", BigInteger),  # not NULL: the newest part of this length
    Column("template", Text, nullable=False),
    Column("language", Text, nullable=False),  # en, ko, auto
    Column("status", Text, nullable=False),  # queued, running, done, failed
    Column("asked_wall_ms", BigInteger, nullable=False),
    Column("made_wall_ms", BigInteger),  # NULL: not made yet
    Column("followed_wall_ms", BigInteger),  # it is kept up to date until this moment; NULL: it is not
    Column("revision", Integer, nullable=False),  # 0: not made yet
    Column("error", Text),  # of the last attempt
    Column("maker", Text),  # model, extract
    Column("model", Text),
    Column("prompt", Text),  # version of the prompt and of the template
    Column("source", Text),  # hash of the lines and settings that it was made from
    Column("body", Text),  # JSON
    _of_session(),
)

summary_meanings = Table(
    "summary_meanings",  # the vector of each summary, for the search by meaning
    metadata,
    Column("session", Text, primary_key=True),
    Column("summary", Text, primary_key=True),
    Column("revision", Integer, nullable=False),  # of the summary that was read
    Column("model", Text, nullable=False),
    Column("vector", Text, nullable=False),  # whole numbers of one byte, in base64
    ForeignKeyConstraint(["session", "summary"], ["summaries.session", "summaries.id"], ondelete="CASCADE"),
)

summary_parts = Table(
    "summary_parts",  # notes of the language model about parts of long sessions, to be used again
    metadata,
    Column("session", Text, primary_key=True),
    Column("source", Text, primary_key=True),  # hash of the lines and settings that they were made from
    Column("made_wall_ms", BigInteger, nullable=False),
    Column("body", Text, nullable=False),  # JSON
    _of_session(),
)

user_settings = Table(
    "user_settings",  # what each user chose on the pages
    metadata,
    Column("user", Text, primary_key=True),  # name of the token
    Column("version", BigInteger, nullable=False),  # number of changes
    Column("changed_wall_ms", BigInteger, nullable=False),
    Column("body", Text, nullable=False),  # JSON
)

rooms = Table(
    "rooms",  # each collects recordings and streams; with the summary of all their text
    metadata,
    Column("id", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),  # counts the rooms: the order of lists
    Column("title", Text, nullable=False),
    Column("template", Text, nullable=False),  # of the summary
    Column("language", Text, nullable=False),  # en, ko, auto
    Column("created_wall_ms", BigInteger, nullable=False),
    Column("who", Text),  # name of the token; NULL: the server requires no token
    Column("is_due", Boolean, nullable=False),  # its text is not what the summary was made from
    Column("status", Text, nullable=False),  # of the summary: none, queued, running, done, failed
    Column("asked_wall_ms", BigInteger),
    Column("made_wall_ms", BigInteger),  # NULL: not made yet
    Column("revision", Integer, nullable=False),  # 0: not made yet
    Column("error", Text),  # of the last attempt
    Column("maker", Text),  # model, extract
    Column("model", Text),
    Column("prompt", Text),  # version of the prompt and of the template
    Column("source", Text),  # hash of the lines and settings that it was made from
    Column("body", Text),  # JSON
    UniqueConstraint("number"),
)

room_members = Table(
    "room_members",  # the recordings and the streams of rooms
    metadata,
    Column("room", Text, primary_key=True),
    Column("id", Text, primary_key=True),  # of the job or of the stream
    Column("number", BigInteger, nullable=False),  # counts the members of the room
    Column("kind", Text, nullable=False),  # job, stream
    Column("state", Text),  # of a stream: running, ended
    Column("session", Text),  # of a stream
    Column("channel", Text),
    Column("from_ms", BigInteger),
    Column("to_ms", BigInteger),  # NULL: the stream runs
    Column("added_wall_ms", BigInteger, nullable=False),
    ForeignKeyConstraint(["room"], ["rooms.id"], ondelete="CASCADE"),
    _of_session(),
    Index(None, "id"),
    Index(None, "session"),
)

room_meanings = Table(
    "room_meanings",  # the vector of the summary of each room, for the search by meaning
    metadata,
    Column("room", Text, primary_key=True),
    Column("revision", Integer, nullable=False),  # of the summary that was read
    Column("model", Text, nullable=False),
    Column("vector", Text, nullable=False),  # whole numbers of one byte, in base64
    ForeignKeyConstraint(["room"], ["rooms.id"], ondelete="CASCADE"),
)

submissions = Table(
    "submissions",  # answers of learners, and the feedback of the language model about each
    metadata,
    Column("attempt", Text, primary_key=True),  # as the caller named it
    Column("state", Text, nullable=False),  # PENDING, PROCESSING, COMPLETED, FAILED
    Column("body", Text, nullable=False),  # JSON: what was submitted
    Column("feedback", Text),  # JSON
    Column("error_code", Text),
    Column("error", Text),  # why there is no feedback
    Column("model", Text),
    Column("created_wall_ms", BigInteger, nullable=False),
    Column("done_wall_ms", BigInteger),
    Column("who", Text),  # name of the token; NULL: the server requires no token
    Index(None, "state", "created_wall_ms"),
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
