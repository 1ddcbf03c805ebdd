"""The rows of jobs (recordings to transcribe): the queue, the leases, the progress. SQL only.

The caller passes the connection and the time. The statements are the same on SQLite and PostgreSQL:
`FOR UPDATE SKIP LOCKED` lets several workers of PostgreSQL take different jobs at once; SQLite has one writer
and leaves the clause out.
Invariants: a job has at most one valid lease. Only the owner of the lease changes the progress of a job, so a
worker that lost its lease changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, and_, case, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from webrtc_host.transcript.schema import jobs, segments, sessions

Rows = Sequence[Row[Any]]


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self not in (JobState.QUEUED, JobState.RUNNING)


PROMPT_ATTEMPTS = 3
"""Leases in a row without progress after which the next one waits."""
DELAY_MS = 60_000
OPEN = (JobState.QUEUED.value, JobState.RUNNING.value)


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job as it is asked for. options: JSON. key: see the column of that name."""

    id: str
    title: str
    file_name: str
    options: Mapping[str, Any]
    created_wall_ms: int
    url: str | None = None
    bytes: int | None = None
    total_ms: int | None = None
    key: str | None = None
    who: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one worker to work on a job until `until_wall_ms`."""

    job: str
    owner: str
    until_wall_ms: int


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list has. words: a part of the title or of the file's name. before: number of the last
    job on the page before.
    """

    states: tuple[str, ...] = ()
    words: str = ""
    before: int | None = None
    limit: int = 50


class QueueFull(Exception):
    """held: jobs that are queued or running."""

    def __init__(self, held: int) -> None:
        super().__init__(f"{held} jobs wait already")
        self.held = held


class LeaseLost(Exception):
    """The worker no longer holds the lease of its job: it was cancelled, or another worker has it."""


def add(connection: Connection, new: NewJob, open_max: int) -> tuple[Row[Any], bool]:
    """Insert the job; returns its row, and True. With a known key: the job of that key, and False.

    Raises QueueFull when `open_max` jobs are queued or running.
    """
    if new.key is not None and (known := _by_key(connection, new.key)) is not None:
        return known, False
    held = count_open(connection)
    if held >= open_max:
        raise QueueFull(held)
    number = (connection.execute(select(func.max(jobs.c.number))).scalar() or 0) + 1
    values = {
        "id": new.id,
        "number": number,
        "state": JobState.QUEUED.value,
        "key": new.key,
        "title": new.title,
        "file_name": new.file_name,
        "url": new.url,
        "bytes": new.bytes,
        "options": json.dumps(new.options, ensure_ascii=False),
        "progress": "[]",
        "done_ms": 0,
        "total_ms": new.total_ms,
        "attempts": 0,
        "created_wall_ms": new.created_wall_ms,
        "results": "{}",
        "who": new.who,
    }
    try:
        with connection.begin_nested():
            connection.execute(insert(jobs).values(values))
    except IntegrityError:  # a job that was written before: the commit is repeated when its reply was lost
        known = find(connection, new.id)
        if known is None:
            raise
        return known, True
    row = find(connection, new.id)
    assert row is not None, "it was just inserted"
    return row, True


def _by_key(connection: Connection, key: str) -> Row[Any] | None:
    return connection.execute(select(jobs).where(jobs.c.key == key)).first()


def by_key(connection: Connection, key: str) -> Row[Any] | None:
    """The job that was made with this key."""
    return _by_key(connection, key)


def find(connection: Connection, job_id: str) -> Row[Any] | None:
    return connection.execute(select(jobs).where(jobs.c.id == job_id)).first()


def count_open(connection: Connection) -> int:
    """Jobs that are queued or running."""
    return connection.execute(select(func.count()).where(jobs.c.state.in_(OPEN))).scalar_one()


def page(connection: Connection, wanted: JobFilter) -> Rows:
    """Jobs, newest first; one more than `limit` when there are more."""
    query = select(jobs).order_by(jobs.c.number.desc()).limit(wanted.limit + 1)
    if wanted.states:
        query = query.where(jobs.c.state.in_(wanted.states))
    if wanted.words:
        query = query.where(
            or_(
                jobs.c.title.icontains(wanted.words, autoescape=True),
                jobs.c.file_name.icontains(wanted.words, autoescape=True),
                jobs.c.id == wanted.words,
            )
        )
    if wanted.before is not None:
        query = query.where(jobs.c.number < wanted.before)
    return connection.execute(query).all()


def take(connection: Connection, owner: str, now_wall_ms: int, lease_ms: int) -> Row[Any] | None:
    """Lease the first job of the queue, or one whose lease has ended; None when there is none."""
    is_free = or_(jobs.c.lease_wall_ms.is_(None), jobs.c.lease_wall_ms < now_wall_ms)
    first = (
        select(jobs.c.id)
        .where(jobs.c.state.in_(OPEN), is_free)
        .order_by(jobs.c.number)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    job_id = connection.execute(first).scalar()
    return None if job_id is None else _lease(connection, job_id, owner, now_wall_ms, lease_ms)


def take_this(
    connection: Connection, job_id: str, owner: str, now_wall_ms: int, lease_ms: int
) -> Row[Any] | None:
    """Lease this job; None when it has ended, or another worker has it."""
    is_free = or_(jobs.c.lease_wall_ms.is_(None), jobs.c.lease_wall_ms < now_wall_ms)
    found = select(jobs.c.id).where(jobs.c.id == job_id, jobs.c.state.in_(OPEN), is_free)
    if connection.execute(found.with_for_update(skip_locked=True)).scalar() is None:
        return None
    return _lease(connection, job_id, owner, now_wall_ms, lease_ms)


def open_ids(connection: Connection) -> list[str]:
    """The jobs that are queued or running, in their order."""
    query = select(jobs.c.id).where(jobs.c.state.in_(OPEN)).order_by(jobs.c.number)
    return list(connection.execute(query).scalars())


def _lease(
    connection: Connection, job_id: str, owner: str, now_wall_ms: int, lease_ms: int
) -> Row[Any] | None:
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id)
        .values(
            state=JobState.RUNNING.value,
            owner=owner,
            lease_wall_ms=now_wall_ms + lease_ms,
            attempts=jobs.c.attempts + 1,
            started_wall_ms=func.coalesce(jobs.c.started_wall_ms, now_wall_ms),
        )
    )
    return find(connection, job_id)


def renew(connection: Connection, lease: Lease) -> None:
    """Extend the lease. Raises LeaseLost."""
    _change(connection, lease, lease_wall_ms=lease.until_wall_ms)


def release(connection: Connection, lease: Lease, *, is_tried: bool) -> None:
    """Give the job back to the queue: the server stops, or something that it needs is missing.

    is_tried: False: this lease does not count as an attempt.
    """
    attempts = {} if is_tried else {"attempts": func.greatest(jobs.c.attempts - 1, 0)}
    if connection.dialect.name == "sqlite" and attempts:
        attempts = {"attempts": func.max(jobs.c.attempts - 1, 0)}
    _change(connection, lease, owner=None, lease_wall_ms=None, **attempts)


def release_all(connection: Connection, now_wall_ms: int) -> int:
    """End all leases: their workers were tasks of a process that has ended. Returns their number.

    A job whose last leases brought no progress waits longer each time: its file may have ended the process.
    """
    delay_ms = (jobs.c.attempts - PROMPT_ATTEMPTS) * DELAY_MS
    done = connection.execute(
        update(jobs)
        .where(jobs.c.state.in_(OPEN), jobs.c.owner.is_not(None))
        .values(
            owner=None,
            lease_wall_ms=case((jobs.c.attempts > PROMPT_ATTEMPTS, now_wall_ms + delay_ms), else_=None),
        )
    )
    return done.rowcount


def begin(
    connection: Connection,
    lease: Lease,
    session: str,
    progress: Sequence[Mapping[str, Any]],
    total_ms: int | None,
) -> None:
    """Note the session and the channels of a job. Raises LeaseLost."""
    _change(connection, lease, session=session, progress=_json(progress), total_ms=total_ms)


def advance(
    connection: Connection,
    lease: Lease,
    progress: Sequence[Mapping[str, Any]],
    done_ms: int,
    total_ms: int | None,
) -> None:
    """Note how far the job is; a job that advances has made no failed attempt. Raises LeaseLost."""
    _change(connection, lease, progress=_json(progress), done_ms=done_ms, total_ms=total_ms, attempts=1)


def note_file(connection: Connection, lease: Lease, file_name: str, size: int) -> None:
    """The file of an address was fetched. Raises LeaseLost."""
    _change(connection, lease, file_name=file_name, bytes=size)


def note_result(connection: Connection, lease: Lease, name: str, result: Mapping[str, Any]) -> None:
    """Add what was made from the text, such as a summary. Raises LeaseLost."""
    row = find(connection, lease.job)
    known = {} if row is None else json.loads(row.results)
    _change(connection, lease, results=_json({**known, name: result}))


def complete(connection: Connection, lease: Lease, wall_ms: int, warning: str | None) -> None:
    """Raises LeaseLost."""
    _change(
        connection,
        lease,
        state=JobState.COMPLETED.value,
        done_ms=func.coalesce(jobs.c.total_ms, jobs.c.done_ms),
        ended_wall_ms=wall_ms,
        warning=warning,
        **_ENDED,
    )


def fail(connection: Connection, lease: Lease, wall_ms: int, code: str, message: str) -> None:
    """Raises LeaseLost."""
    _change(
        connection,
        lease,
        state=JobState.FAILED.value,
        ended_wall_ms=wall_ms,
        error_code=code,
        error=message,
        **_ENDED,
    )


def cancel(connection: Connection, job_id: str, wall_ms: int) -> Row[Any] | None:
    """Cancel a job that has not ended; returns its row as it is now, None when there is none."""
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.state.in_(OPEN))
        .values(state=JobState.CANCELLED.value, ended_wall_ms=wall_ms, **_ENDED)
    )
    return find(connection, job_id)


def forget(connection: Connection, before_wall_ms: int) -> int:
    """Remove the rows of jobs that ended before this moment and have no text. Returns their number."""
    is_over = and_(jobs.c.state.not_in(OPEN), jobs.c.ended_wall_ms < before_wall_ms)
    return connection.execute(delete(jobs).where(is_over, jobs.c.session.is_(None))).rowcount


def with_files(connection: Connection) -> set[str]:
    """The jobs that still need their file."""
    return set(connection.execute(select(jobs.c.id).where(jobs.c.state.in_(OPEN))).scalars())


def left_open(connection: Connection) -> list[str]:
    """Sessions of jobs that have ended, and which were not ended themselves."""
    query = (
        select(sessions.c.id)
        .join(jobs, jobs.c.session == sessions.c.id)
        .where(jobs.c.state.not_in(OPEN), sessions.c.ended_wall_ms.is_(None))
    )
    return list(connection.execute(query).scalars())


def text_ends(connection: Connection, session: str) -> dict[str, int]:
    """End of the last final of each channel, in milliseconds."""
    query = select(segments.c.channel, func.max(segments.c.end_ms).label("end_ms")).where(
        segments.c.session == session
    )
    return {row.channel: int(row.end_ms) for row in connection.execute(query.group_by(segments.c.channel))}


_ENDED: dict[str, Any] = {"owner": None, "lease_wall_ms": None, "url": None}
"""An address may hold a secret (a presigned one of S3), so it is removed with the lease."""


def _change(connection: Connection, lease: Lease, **values: Any) -> None:
    holds = and_(jobs.c.id == lease.job, jobs.c.owner == lease.owner)
    if not connection.execute(update(jobs).where(holds).values(**values)).rowcount:
        raise LeaseLost(f"job {lease.job} is no longer leased by {lease.owner}")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
