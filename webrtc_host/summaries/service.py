"""Makes summaries in the background, one after the other, and keeps the followed ones up to date.

    row = await service.ask(scope)     # queue it; returns at once
    row = await service.make(scope)    # the same, and wait until it is done or failed

What was asked for is in the record (`transcript.summaries`), so a restart loses no request. A summary of a
running session is also an event. A summary whose lines did not change is not made again.
Invariants: a summary waits or is made at most once at a time; the queue and the followed summaries are
limited; nothing of a session is written after it was deleted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection, Row

from webrtc_host.config import LlmConfig, SummariesConfig
from webrtc_host.errors import Overloaded, RequestError, StoreError
from webrtc_host.events import SummaryUpdated
from webrtc_host.summaries.choosing import choose_lines, version_of_rule
from webrtc_host.summaries.client import LanguageModel, ModelClient, ModelError
from webrtc_host.summaries.content import Content
from webrtc_host.summaries.making import Made, NotesCache, make_with_model, settings_of
from webrtc_host.summaries.parts import is_korean
from webrtc_host.summaries.prompts import version_of
from webrtc_host.summaries.results import body_of, encoded, reusable
from webrtc_host.summaries.room_sources import read_room
from webrtc_host.summaries.scopes import AUTO, AnyScope, Scope, room_scope_of, scope_of
from webrtc_host.summaries.sources import Source, Sources, hash_of
from webrtc_host.summaries.templates import Template, Templates
from webrtc_host.transcript import rooms as room_rows
from webrtc_host.transcript import summaries as rows

logger = logging.getLogger(__name__)

FOLLOW_S_MAX = 24 * 3600
RETRY_AFTER_S = 30.0
EVENT_CHARS_MAX = 20_000
"""Of the text in an event; the request for the summary returns all of it."""
Key = tuple[str, str]
"""(session or room, id of the summary)."""


@dataclass(frozen=True, slots=True)
class _Job:
    scope: AnyScope
    done: asyncio.Future[None]


class SummaryService:
    """One per process; `running` is one of the server's start steps."""

    def __init__(
        self,
        sources: Sources,
        config: SummariesConfig,
        llm: LlmConfig,
        *,
        model: LanguageModel | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """model: in place of the one of `llm`. Raises ConfigError for a template that cannot be read."""
        self.templates = Templates(config.templates_dir)
        self._sources = sources
        self._store = sources.store
        self._config = config
        self._workers = llm.workers
        self._model = model or (None if llm.kind == "none" else ModelClient(llm))
        self._wall = wall
        self._queue: asyncio.Queue[_Job] = asyncio.Queue(config.waiting_max)
        self._jobs: dict[Key, _Job] = {}
        self._progress: dict[Key, tuple[int, int]] = {}
        self._totals = dict.fromkeys(("made", "unchanged", "failed", "sentences_dropped"), 0)

    @property
    def model_name(self) -> str | None:
        """None: there is no language model, so summaries consist of chosen lines."""
        return None if self._model is None else self._model.name

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """One of the server's start steps: continues with what the last process left."""
        left = await self._store.read(lambda c: rows.unfinished(c, self._config.waiting_max))
        left_rooms = await self._store.read(lambda c: room_rows.unfinished(c, self._config.waiting_max))
        for row in left:
            self._queue_up(scope_of(row))
        for row in left_rooms:
            self._queue_up(room_scope_of(row))
        tasks = [asyncio.create_task(self._work(), name="summaries") for _ in range(self._workers)]
        tasks.append(asyncio.create_task(self._follow(), name="followed summaries"))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for job in self._jobs.values():  # callers that wait for a summary continue; its row says `queued`
                if not job.done.done():
                    job.done.set_result(None)

    async def ask(self, scope: AnyScope, *, follow_s: float = 0.0) -> Row[Any]:
        """Queue a summary, and return its row. follow_s: keep it up to date for so long; not for a room.

        Raises RequestError for an unknown template, session or room, Overloaded when too much waits,
        StoreError.
        """
        self.check(scope)
        now_ms = self._now_ms()
        asked: dict[str, Any] = {"status": "queued", "asked_wall_ms": now_ms, "error": None}
        if follow_s > 0 and isinstance(scope, Scope):
            await self._check_followed(scope)
            asked["followed_wall_ms"] = now_ms + round(min(follow_s, FOLLOW_S_MAX) * 1000)
        key = _key_of(scope)
        if key not in self._jobs and self._queue.full():
            message = f"{self._queue.qsize()} summaries are waiting already (summaries.waiting_max)"
            raise Overloaded("too_many_summaries", message, retry_after_s=RETRY_AFTER_S, status=429)
        row = await self._store.write(lambda c: _rows_of(scope).ask(c, *key, scope.values(), asked))
        if row is None:
            raise _unknown(scope)
        self._queue_up(scope)
        return row

    async def make(self, scope: AnyScope) -> Row[Any]:
        """Make a summary, and return its row when it is done or failed. Raises as `ask`."""
        await self.ask(scope)
        job = self._jobs.get(_key_of(scope))
        if job is not None:
            await asyncio.wait((job.done,))
        row = await self._find(scope)
        if row is None:
            raise _unknown(scope)
        return row

    def is_waiting(self, scope: AnyScope) -> bool:
        """Whether the summary waits or is made now."""
        return _key_of(scope) in self._jobs

    async def find(self, session: str, summary: str) -> Row[Any] | None:
        return await self._store.read(lambda c: rows.find(c, session, summary))

    async def of_session(self, session: str) -> Sequence[Row[Any]]:
        return await self._store.read(lambda c: rows.of_session(c, session))

    def progress(self, session: str, summary: str) -> tuple[int, int] | None:
        """(parts that are done, all parts) of a summary that is being made."""
        return self._progress.get((session, summary))

    def statistics(self) -> dict[str, float]:
        return {"waiting": len(self._jobs), **self._totals}

    def check(self, scope: AnyScope) -> None:
        """Raises RequestError 422 for a template that is not there."""
        self.check_template(scope.template, scope.language)

    def check_template(self, name: str, language: str = AUTO) -> None:
        """Raises RequestError 422 when there is no such template; the message has the known names."""
        self.templates.get(name, "en" if language == AUTO else language)

    async def _followed(self, limit: int) -> Sequence[Row[Any]]:
        now_ms = self._now_ms()
        return await self._store.read(lambda c: rows.followed(c, now_ms, limit))

    async def _check_followed(self, scope: Scope) -> None:
        limit = self._config.followed_max
        others = await self._followed(limit + 1)
        if sum(row.id != scope.id or row.session != scope.session for row in others) >= limit:
            message = f"{limit} summaries are kept up to date already (summaries.followed_max)"
            raise Overloaded("too_many_followed", message, retry_after_s=RETRY_AFTER_S, status=429)

    def _queue_up(self, scope: AnyScope) -> None:
        """Put a summary into the queue; does nothing when it waits or is made already, or nothing fits."""
        key = _key_of(scope)
        if key in self._jobs or self._queue.full():
            return
        self._jobs[key] = job = _Job(scope, asyncio.get_running_loop().create_future())
        self._queue.put_nowait(job)

    async def _follow(self) -> None:
        """Queue the followed summaries again and again; a summary of an ended session for the last time."""
        while True:
            await asyncio.sleep(self._config.update_s)
            try:
                for row in await self._followed(self._config.followed_max):
                    self._queue_up(scope_of(row))
                    if self._sources.live(row.session) is None:
                        await self._change(scope_of(row), followed_wall_ms=None)
            except (StoreError, Overloaded) as error:
                logger.warning("the followed summaries are not updated now: %s", error)

    async def _work(self) -> None:
        while True:
            job = await self._queue.get()
            key = _key_of(job.scope)
            try:
                await self._try(job.scope)
            except (StoreError, Overloaded) as error:
                logger.warning("a summary of %s could not be stored: %s", job.scope.owner, error)
            finally:
                self._jobs.pop(key, None)
                self._progress.pop(key, None)
                if not job.done.done():
                    job.done.set_result(None)
            await self._queue_up_again(job.scope)

    async def _queue_up_again(self, scope: AnyScope) -> None:
        """A summary that was deleted and asked for while it was made is still to be made."""
        try:
            row = await self._find(scope)
        except (StoreError, Overloaded) as error:
            logger.warning("the state of a summary of %s is not known: %s", scope.owner, error)
            return
        if row is not None and row.status == "queued":
            self._queue_up(scope)

    async def _try(self, scope: AnyScope) -> None:
        try:
            await self._make(scope)
        except (ModelError, RequestError) as error:
            self._totals["failed"] += 1
            # The sentence may repeat what was said, so it is in the record and not in the log.
            logger.warning("no summary %s of %s (%s)", scope.id, scope.owner, error.code)
            await self._change(scope, status="failed", error=str(error)[:500])
        except (StoreError, Overloaded):
            raise
        except Exception:
            self._totals["failed"] += 1
            logger.exception("a summary of %s failed", scope.owner)
            await self._change(scope, status="failed", error="a fault of the server; its log has the details")

    async def _make(self, scope: AnyScope) -> None:
        if not await self._change(scope, status="running"):
            return  # the session or the room was deleted
        source = await self._read(scope)
        if source is None:
            return
        language = scope.language
        if language == AUTO:
            language = "ko" if is_korean(line.text for line in source.lines) else "en"
        template = self.templates.get(scope.template, language)
        settings = () if self._model is None else settings_of(self._model, template)
        version = version_of_rule(language) if self._model is None else version_of(template)
        source_hash = hash_of((*settings, version, language), source.lines)
        before = await self._find(scope)
        if before is not None and before.source == source_hash:
            made = reusable(before.body)
            if made is not None:
                self._totals["unchanged"] += 1
                body = encoded(body_of(made, source, language))
                await self._change(scope, status="done", error=None, body=body)
                return
        made = await self._made(template, source, scope, language)
        values = {
            "made_wall_ms": self._now_ms(),
            "maker": "extract" if self._model is None else "model",
            "model": self.model_name,
            "prompt": version,
            "source": source_hash,
            "body": encoded(body_of(made, source, language)),
        }
        revision = await self._store.write(lambda c: _rows_of(scope).finish(c, *_key_of(scope), values))
        self._totals["made"] += 1
        self._totals["sentences_dropped"] += made.content.dropped
        if revision is None or not isinstance(scope, Scope):
            return
        if (session := self._sources.live(scope.session)) is not None:
            session.log.emit(_event(scope, revision, values, source, made.content))

    async def _made(self, template: Template, source: Source, scope: AnyScope, language: str) -> Made:
        if not source.lines:
            return Made(Content())
        if self._model is None:
            return Made(await asyncio.to_thread(choose_lines, source.lines, language))
        owner, kept = scope.owner, _rows_of(scope)

        async def put(hash_of_part: str, body: str) -> None:
            now_ms = self._now_ms()
            # Not for a summary that was deleted meanwhile: its lines may have been redacted.
            row = await self._find(scope)
            if row is not None and row.status == "running":
                await self._store.write(lambda c: kept.put_part(c, owner, hash_of_part, body, now_ms))

        async def get(hash_of_part: str) -> str | None:
            return await self._store.read(lambda c: kept.part(c, owner, hash_of_part))

        def note(done: int, total: int) -> None:
            self._progress[_key_of(scope)] = (done, total)

        return await make_with_model(self._model, template, source.lines, NotesCache(get, put), note)

    async def _read(self, scope: AnyScope) -> Source | None:
        if isinstance(scope, Scope):
            return await self._sources.read(scope)
        return await self._store.read(lambda c: read_room(c, scope.room))

    async def _find(self, scope: AnyScope) -> Row[Any] | None:
        return await self._store.read(lambda c: _rows_of(scope).find(c, *_key_of(scope)))

    async def _change(self, scope: AnyScope, **values: Any) -> bool:
        return await self._store.write(lambda c: _rows_of(scope).change(c, *_key_of(scope), values))

    def _now_ms(self) -> int:
        return round(self._wall() * 1000)


class _Rows(Protocol):
    """Where summaries of one kind of scope are kept: `transcript.summaries`, `transcript.rooms`.

    owner: the session or the room.
    """

    def ask(
        self, connection: Connection, owner: str, summary: str, scope: rows.Values, asked: rows.Values, /
    ) -> Row[Any] | None: ...

    def find(self, connection: Connection, owner: str, summary: str, /) -> Row[Any] | None: ...

    def change(self, connection: Connection, owner: str, summary: str, values: rows.Values, /) -> bool: ...

    def finish(
        self, connection: Connection, owner: str, summary: str, values: rows.Values, /
    ) -> int | None: ...

    def part(self, connection: Connection, owner: str, source: str, /) -> str | None: ...

    def put_part(
        self, connection: Connection, owner: str, source: str, body: str, wall_ms: int, /
    ) -> None: ...


def _rows_of(scope: AnyScope) -> _Rows:
    return rows if isinstance(scope, Scope) else room_rows


def _key_of(scope: AnyScope) -> Key:
    return (scope.owner, scope.id)


def _unknown(scope: AnyScope) -> RequestError:
    if isinstance(scope, Scope):
        return RequestError("unknown_session", f"there is no session {scope.session[:40]!r}", 404)
    return RequestError("unknown_room", f"there is no room {scope.room[:40]!r}", 404)


def _event(
    scope: Scope, revision: int, values: dict[str, Any], source: Source, content: Content
) -> SummaryUpdated:
    return SummaryUpdated(
        channel=scope.channel,
        summary=scope.id,
        revision=revision,
        from_ms=source.from_ms,
        to_ms=source.to_ms,
        maker=values["maker"],
        model=values["model"],
        prompt=values["prompt"],
        title=content.title,
        text="\n".join(sentence.text for sentence in content.summary)[:EVENT_CHARS_MAX],
        cites=content.cites,
    )
