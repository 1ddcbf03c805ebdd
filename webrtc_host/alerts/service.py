"""The alerts of a running server: feeds the tracker with events and time, and writes what it returns.

It has three of the server's start steps: `restoring` continues the alerts of the process before, `run` takes
the events, `watch` uses changes of the rules and of the glossary. Invariant: a fault in one rule or event
stops neither the others nor the transcription.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy import Row

from webrtc_host.alerts.inbox import AlertInbox
from webrtc_host.alerts.matching import TextMatcher
from webrtc_host.alerts.rules import COOLDOWN_S_MAX, RuleList
from webrtc_host.alerts.rules_file import RulesFile
from webrtc_host.alerts.tracker import OPEN_MAX, AlertTracker, Now, OpenAlert
from webrtc_host.errors import RequestError, StoreError
from webrtc_host.events import Event
from webrtc_host.glossary.store import Glossary
from webrtc_host.seams import AlertLevel
from webrtc_host.services.session_logs import SessionLogs
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.session import Session
from webrtc_host.transcript import alerts as rows
from webrtc_host.transcript.event_log import LoggedEvent
from webrtc_host.transcript.store import Store

logger = logging.getLogger(__name__)

TICK_S = 0.5
WATCH_S = 0.5
EVENTS_WITHOUT_PAUSE = 50
"""Events taken before other tasks of the event loop get their turn."""


class AlertService:
    """One per process."""

    def __init__(
        self,
        rules: RulesFile,
        inbox: AlertInbox,
        registry: SessionRegistry,
        logs: SessionLogs,
        store: Store,
        glossary: Glossary,
        *,
        on_latency: Callable[[float], None],
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        """logs: also of sessions that the registry does not have. on_latency: called with the seconds from
        a spoken word to its alert.
        """
        self.rules = rules
        self._inbox = inbox
        self._registry = registry
        self._logs = logs
        self._store = store
        self._glossary = glossary
        self._wall_s = wall_s
        self._used: tuple[RuleList, int] | None = None  # the rules and the glossary version in use
        self._tracker = AlertTracker(self._emit, _new_id, on_latency)
        self._failures = 0
        self._acknowledging = asyncio.Lock()  # of two operators, the first one acknowledges

    @asynccontextmanager
    async def restoring(self) -> AsyncIterator[None]:
        """Load the rules, and the alerts and cooldowns of the process before."""
        await asyncio.to_thread(self.rules.load)
        await self.refresh()
        after_ms = int((self._wall_s() - COOLDOWN_S_MAX) * 1000)
        try:
            unseen = await self._store.read(lambda c: rows.unseen(c, OPEN_MAX))
            raised = await self._store.read(lambda c: rows.last_raised(c, after_ms))
        except StoreError as error:
            logger.error("the open alerts cannot be read: %s", error)
        else:
            self._tracker.restore(_open_alert(row) for row in unseen)
            marks = [((r.rule, r.session, r.channel), r.raised_wall_ms / 1000) for r in raised]
            self._tracker.limits.restore(marks)
        yield

    async def run(self) -> None:
        next_tick_s = 0.0
        while True:
            await self._inbox.wait(TICK_S)
            taken = 0
            while (logged := self._inbox.pop()) is not None:
                self._take(logged)
                taken += 1
                if taken % EVENTS_WITHOUT_PAUSE == 0:
                    await asyncio.sleep(0)
            if time.monotonic() >= next_tick_s:
                next_tick_s = time.monotonic() + TICK_S
                self._tick()

    async def watch(self) -> None:
        """Use a change of the rules file or of the glossary within about a second."""
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                await asyncio.to_thread(self.rules.reload)
                await self.refresh()
            except Exception:  # a fault of this program: the rules before stay in use
                logger.exception("the changed alert rules cannot be used")

    async def refresh(self) -> None:
        """Use the present rules and terms, if they are not in use yet."""
        found, snapshot = self.rules.current, self._glossary.snapshot
        if self._used is not None and self._used == (found, snapshot.version):
            return
        matcher = await asyncio.to_thread(TextMatcher, found, snapshot)
        self._tracker.use(found, matcher)
        self._used = (found, snapshot.version)

    async def acknowledge(self, alert: str, by: str) -> Row[tuple[object, ...]]:
        """An operator has seen the alert. Returns its row; a second call changes nothing.

        Raises RequestError 404, StoreError.
        """
        async with self._acknowledging:
            return await self._acknowledge(alert, by)

    async def _acknowledge(self, alert: str, by: str) -> Row[tuple[object, ...]]:
        row = await self._store.read(lambda c: rows.find(c, alert))
        if row is None:
            raise RequestError("unknown_alert", f"there is no alert {alert[:40]!r}", 404)
        if row.state in rows.UNSEEN:
            log = await self._logs.of(row.session)
            await log.settled(log.emit(self._tracker.acknowledge(row.channel, alert, by)))
            row = await self._store.read(lambda c: rows.find(c, alert)) or row
        return row

    def statistics(self) -> dict[str, float]:
        return {
            "rules": len(self.rules.current.rules),
            "open": self._tracker.open_count,
            "raised": self._tracker.raised,
            "suppressed": self._tracker.limits.suppressed,
            "waiting": len(self._inbox),
            "dropped": self._inbox.dropped,
            "failures": self._failures,
        }

    def _take(self, logged: LoggedEvent) -> None:
        session = self._session(logged.session)
        if session is None:
            return
        try:
            self._tracker.take(logged.session, logged.event, self._now(session))
        except Exception:
            self._failures += 1
            logger.exception("the alert rules failed on event %s of %s", logged.kind, logged.session)

    def _tick(self) -> None:
        try:
            self._tracker.tick(self._now_of, self._wall_s())
        except Exception:
            self._failures += 1
            logger.exception("the alert rules failed on the states of the channels")

    def _emit(self, session: str, event: Event) -> None:
        if (found := self._session(session)) is not None:
            found.log.emit(event)

    def _session(self, session: str) -> Session | None:
        try:
            return self._registry.get(session)
        except RequestError:
            return None

    def _now_of(self, session: str) -> Now | None:
        found = self._session(session)
        return None if found is None else self._now(found)

    def _now(self, session: Session) -> Now:
        wall_s = self._wall_s()
        local = datetime.fromtimestamp(wall_s)
        return Now(wall_s, local.hour * 60 + local.minute, session.now_ms())


def _new_id() -> str:
    return f"a_{secrets.token_hex(6)}"


def _open_alert(row: Row[tuple[object, ...]]) -> OpenAlert:
    return OpenAlert(
        id=row.id,
        session=row.session,
        channel=row.channel,
        rule=row.rule,
        level=AlertLevel(row.level),
        raised_s=row.raised_wall_ms / 1000,
        is_provisional=row.state == rows.PROVISIONAL,
        is_escalated=row.is_escalated,
        utterance=row.utterance,
        segment=row.segment,
        words_ms=row.end_ms,
    )
