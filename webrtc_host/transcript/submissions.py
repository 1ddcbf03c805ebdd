"""The rows of submissions: answers of learners, and the feedback of the language model about each.

SQL only, on a connection that the caller passes. Invariants: an attempt has one row; at most KEPT_MAX rows
are kept, and the oldest ones that are done are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from webrtc_host.transcript.schema import insert_of, submissions

KEPT_MAX = 10_000


class SubmissionState(StrEnum):
    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


OPEN = (SubmissionState.PENDING.value, SubmissionState.PROCESSING.value)


@dataclass(frozen=True, slots=True)
class NewSubmission:
    """attempt: the id that the caller gave. body: JSON of what was submitted."""

    attempt: str
    body: str
    created_wall_ms: int
    who: str | None = None


class SubmissionsFull(Exception):
    """held: submissions that wait for their feedback."""

    def __init__(self, held: int) -> None:
        super().__init__(f"{held} submissions wait already")
        self.held = held


def add(connection: Connection, new: NewSubmission, open_max: int) -> Row[Any]:
    """The row of the attempt: a new one, or the one that is there already.

    An attempt that failed and is submitted again waits again. Raises SubmissionsFull.
    """
    known = find(connection, new.attempt)
    if known is not None and known.state != SubmissionState.FAILED:
        return known
    is_open = submissions.c.state.in_(OPEN)
    held = connection.execute(select(func.count()).select_from(submissions).where(is_open)).scalar_one()
    if held >= open_max:
        raise SubmissionsFull(held)
    values = {
        "state": SubmissionState.PENDING.value,
        "body": new.body,
        "feedback": None,
        "error_code": None,
        "error": None,
        "model": None,
        "created_wall_ms": new.created_wall_ms,
        "done_wall_ms": None,
        "who": new.who,
    }
    statement = insert_of(connection.dialect.name, submissions).values(attempt=new.attempt, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=[submissions.c.attempt], set_=values))
    _drop_oldest(connection)
    row = find(connection, new.attempt)
    assert row is not None, "it was just written"
    return row


def find(connection: Connection, attempt: str) -> Row[Any] | None:
    return connection.execute(select(submissions).where(submissions.c.attempt == attempt)).one_or_none()


def take(connection: Connection) -> Row[Any] | None:
    """The submission that waits longest, now PROCESSING; None when none waits.

    One that a process has left in PROCESSING waits, too: a server has one worker for submissions.
    """
    first = select(submissions).where(submissions.c.state.in_(OPEN))
    row = connection.execute(
        first.order_by(submissions.c.created_wall_ms, submissions.c.attempt).limit(1)
    ).one_or_none()
    if row is not None:
        of_it = submissions.c.attempt == row.attempt
        connection.execute(update(submissions).where(of_it).values(state=SubmissionState.PROCESSING.value))
    return row


def finish(connection: Connection, taken: Row[Any], values: dict[str, Any]) -> None:
    """Store the feedback, or why there is none. Does nothing when the submission was removed meanwhile.

    taken: as `take` returned it.
    """
    of_it = (submissions.c.attempt == taken.attempt, submissions.c.body == taken.body)
    connection.execute(update(submissions).where(*of_it).values(**values))


def remove(connection: Connection, attempt: str) -> bool:
    return connection.execute(delete(submissions).where(submissions.c.attempt == attempt)).rowcount > 0


def _drop_oldest(connection: Connection) -> None:
    total = connection.execute(select(func.count()).select_from(submissions)).scalar_one()
    if total > KEPT_MAX:
        done = select(submissions.c.attempt).where(submissions.c.state.not_in(OPEN))
        oldest = done.order_by(submissions.c.created_wall_ms).limit(int(total) - KEPT_MAX)
        names = connection.execute(oldest).scalars().all()
        connection.execute(delete(submissions).where(submissions.c.attempt.in_(names)))
