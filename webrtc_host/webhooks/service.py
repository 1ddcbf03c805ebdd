"""The webhooks of a running server: sends what is due in the outbox, retries, pauses, and reports health.

It has three of the server's start steps: `running` loads the webhooks, `run` sends, `watch_health` reports
changes of the server's state. Invariants: one attempt at a time for each webhook, so one that never answers
delays only its own deliveries; a delivery is on disk before its first attempt and until it is done.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from sqlalchemy import Row

from webrtc_host.errors import RequestError, StoreError
from webrtc_host.transcript import webhooks as rows
from webrtc_host.transcript.event_codec import encode_json
from webrtc_host.transcript.event_log import LoggedEvent
from webrtc_host.transcript.store import Store
from webrtc_host.transcript.webhooks import Attempt
from webrtc_host.webhooks.addresses import AddressRefused
from webrtc_host.webhooks.outbox import HEALTH, TEST, Outbox, delivery_of
from webrtc_host.webhooks.sender import Outcome, Sender
from webrtc_host.webhooks.signing import new_secret

logger = logging.getLogger(__name__)

WEBHOOKS_MAX = 20
RETRY_AFTER_S = (30, 120, 600, 3_600)
"""From one attempt of a delivery to the next; after the fifth attempt it has failed."""
PAUSE_AFTER = 10
"""Failed attempts of a webhook without a success, of any of its deliveries."""
LOOK_S = 30.0
"""The outbox is looked at so often when no event asks for it."""
STORE_RETRY_S = 5.0
HEALTH_S = 2.0
TEST_DUE_MS = 120_000
"""A test is sent at once by its request; only if that is interrupted, it becomes due like every other
delivery."""
Health = Callable[[], Mapping[str, Any]]
"""The body of `/ready`."""


class WebhookService:
    """One per process."""

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        sender: Sender,
        health: Health,
        *,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._sender = sender
        self._health = health
        self._wall_s = wall_s
        self._wake = asyncio.Event()
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._delivered = 0
        self._failed = 0
        self._waiting = 0

    def observe(self, logged: LoggedEvent) -> None:
        """A listener of the event log: a saved event may have deliveries."""
        if self._outbox.wants(logged.kind.value):
            self._wake.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self._load()
        async with self._sender.running():
            yield

    async def run(self) -> None:
        """Send until it is cancelled; then the attempts in progress end, and are repeated after the start."""
        try:
            while True:
                self._wake.clear()
                await self._wait(await self._send_due())
        finally:
            for task in self._sending.values():
                task.cancel()
            if self._sending:
                await asyncio.wait(set(self._sending.values()))

    async def watch_health(self) -> None:
        """Store a delivery when the state of the server changes."""
        before: dict[str, Any] = {"status": "starting", "reason": None, "troubles": {}}
        while True:
            await asyncio.sleep(HEALTH_S)
            before = await self.look_at_health(before)

    async def look_at_health(self, before: dict[str, Any]) -> dict[str, Any]:
        """Returns the state now. before: the state that was reported last."""
        body = self._health()
        now = {
            "status": body.get("status"),
            "reason": body.get("reason"),
            "troubles": dict(body.get("troubles", {})),
        }
        if now == before or now["status"] == "stopping":
            return before
        new = self._outbox.of_server(HEALTH, {**now, "before": before["status"]})
        if new:
            wall_ms = self._wall_ms()
            try:
                await self._store.write(lambda c: rows.enqueue(c, new, wall_ms, self._outbox.outbox_max))
            except StoreError as error:
                logger.warning("a change of the server's state cannot be sent to webhooks: %s", error)
                return before  # tried again
            self._wake.set()
        return now

    async def all(self) -> rows.Rows:
        return await self._store.read(rows.all_webhooks)

    async def find(self, webhook: str) -> Row[Any]:
        """Raises RequestError 404."""
        row = await self._store.read(lambda c: rows.find(c, webhook))
        if row is None:
            raise RequestError("unknown_webhook", f"there is no webhook {webhook[:40]!r}", 404)
        return row

    def check_address(self, url: str) -> None:
        """Refuse at once what every attempt would refuse. A name is resolved, and checked, at each attempt.

        Raises RequestError 422 for an address in numbers that is not public and not listed.
        """
        try:
            self._sender.check(url)
        except AddressRefused as error:
            raise RequestError("address_refused", f"url: {error}", 422) from error

    async def add(self, name: str, url: str, events: list[str]) -> tuple[Row[Any], str]:
        """Returns the new webhook with its secret. Raises RequestError 409 when there are too many."""
        webhook, secret, wall_ms = f"w_{secrets.token_hex(6)}", new_secret(), self._wall_ms()
        values = {
            "id": webhook,
            "name": name,
            "url": url,
            "events": encode_json(events).decode(),
            "secret": secret,
            "state": rows.ACTIVE,
            "created_wall_ms": wall_ms,
            "changed_wall_ms": wall_ms,
        }
        if await self._store.read(rows.count) >= WEBHOOKS_MAX:
            message = f"there are {WEBHOOKS_MAX} webhooks already, which is the limit; remove one first"
            raise RequestError("too_many_webhooks", message, 409)
        await self._store.write(lambda c: rows.add(c, values))
        await self._load()
        return await self.find(webhook), secret

    async def change(self, webhook: str, values: dict[str, Any]) -> Row[Any]:
        """values: of name, url, events (JSON), secret, state. Raises RequestError 404.

        A webhook that becomes active begins without failures, and tries everything that waits at once.
        """
        wall_ms = self._wall_ms()
        is_resumed = values.get("state") == rows.ACTIVE
        if is_resumed:
            values = {**values, "failures": 0, "reason": None}
        await self.find(webhook)

        def write(connection: Any) -> None:
            rows.change(connection, webhook, {**values, "changed_wall_ms": wall_ms})
            if is_resumed:
                rows.retry_now(connection, webhook, wall_ms)

        await self._store.write(write)
        await self._load()
        self._wake.set()
        return await self.find(webhook)

    async def remove(self, webhook: str) -> None:
        """Raises RequestError 404."""
        await self.find(webhook)
        await self._store.write(lambda c: rows.remove(c, webhook))
        await self._load()
        if (task := self._sending.get(webhook)) is not None:
            task.cancel()

    async def test(self, webhook: str) -> Outcome:
        """Send `webhook.test` now, once, also while the webhook is paused or off."""
        row = await self.find(webhook)
        new = delivery_of(webhook, TEST, {"webhook": webhook, "name": row.name})
        wall_ms, outbox_max = self._wall_ms(), self._outbox.outbox_max
        due_ms = wall_ms + TEST_DUE_MS
        await self._store.write(lambda c: rows.enqueue(c, [new], wall_ms, outbox_max, next_wall_ms=due_ms))
        found = await self._store.read(lambda c: rows.delivery(c, new.id))
        if found is None:
            raise RequestError("unknown_webhook", f"the webhook {webhook} was removed meanwhile", 404)
        return await self._attempt(found, counts=False)

    async def deliveries(self, webhook: str, limit: int) -> rows.Rows:
        await self.find(webhook)
        return await self._store.read(lambda c: rows.newest(c, webhook, limit))

    def statistics(self) -> dict[str, float]:
        return {
            "delivered": self._delivered,
            "failed_attempts": self._failed,
            "sending": len(self._sending),
            "waiting": self._waiting,
        }

    async def _load(self) -> None:
        self._outbox.use(await self._store.read(rows.subscriptions))

    async def _send_due(self) -> float:
        """Begin the attempts that are due. Returns the seconds until something else may be due."""
        wall_ms, busy = self._wall_ms(), list(self._sending)
        try:
            due, next_ms = await self._store.read(lambda c: rows.due(c, wall_ms, busy))
            self._waiting = await self._store.read(rows.waiting)
        except (StoreError, RequestError) as error:
            logger.warning("the outbox of the webhooks cannot be read: %s", error)
            return STORE_RETRY_S
        for row in due:
            task = asyncio.create_task(self._send(row), name=f"webhook {row.webhook}")
            self._sending[row.webhook] = task
            task.add_done_callback(partial(self._done, row.webhook))
        return LOOK_S if next_ms is None else min(LOOK_S, max(0.0, next_ms / 1000 - self._wall_s()))

    async def _wait(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _send(self, row: Row[Any]) -> None:
        try:
            await self._attempt(row)
        except StoreError as error:
            # The delivery stays in the outbox, so the receiver may get it twice, with the same id.
            logger.warning("the outcome of a delivery to %s cannot be stored: %s", row.webhook, error)
            await asyncio.sleep(STORE_RETRY_S)
        except Exception:
            logger.exception("a delivery to the webhook %s failed", row.webhook)
            await asyncio.sleep(STORE_RETRY_S)

    async def _attempt(self, row: Row[Any], *, counts: bool = True) -> Outcome:
        outcome = await self._sender.send(row.url, row.secret, row.id, row.event, row.body.encode())
        wall_ms = self._wall_ms()
        is_ok = outcome.error is None
        next_wall_ms = None
        if not is_ok and counts and row.tries < len(RETRY_AFTER_S):
            next_wall_ms = wall_ms + RETRY_AFTER_S[row.tries] * 1000
        attempt = Attempt(
            row.number, row.webhook, is_ok, wall_ms, outcome.status, outcome.error, next_wall_ms, counts
        )
        await self._store.write(lambda c: rows.note_attempt(c, attempt, PAUSE_AFTER))
        self._delivered += is_ok
        self._failed += not is_ok
        if not is_ok and counts and row.failures + 1 == PAUSE_AFTER:
            logger.warning("the webhook %s is paused after %s failures: %s", *_paused(row, outcome))
        return outcome

    def _done(self, webhook: str, _: asyncio.Task[None]) -> None:
        self._sending.pop(webhook, None)
        self._wake.set()

    def _wall_ms(self) -> int:
        return int(self._wall_s() * 1000)


def _paused(row: Row[Any], outcome: Outcome) -> tuple[str, int, str]:
    return row.webhook, PAUSE_AFTER, outcome.error or ""
