"""The outbox: stored before sending, retried, paused, bounded, and no receiver disturbs another one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from host_stt_common.public_addresses import networks_of
from tests.support.events import an_event
from tests.support.polling import until
from tests.webrtc_host.webhooks.receiver import Receiver, receiving
from webrtc_host.errors import RequestError
from webrtc_host.events import Event
from webrtc_host.seams import EventType
from webrtc_host.transcript import webhooks as rows
from webrtc_host.transcript.saved_log import SavedLog
from webrtc_host.transcript.store import Store, StoreConfig
from webrtc_host.webhooks.addresses import Addresses
from webrtc_host.webhooks.outbox import Outbox
from webrtc_host.webhooks.sender import Sender
from webrtc_host.webhooks.service import PAUSE_AFTER, RETRY_AFTER_S, WebhookService


@dataclass
class World:
    store: Store
    service: WebhookService
    log: SavedLog
    clock: list[float]
    health: dict[str, Any] = field(default_factory=dict)

    async def emit(self, event: Event) -> None:
        self.log.emit(event)
        await self.log.settled()

    async def final(self, text: str) -> None:
        await self.emit(an_event(EventType.SEGMENT_FINAL, text=text, raw=text, segment=f"g_{text}"))

    async def add(self, receiver: Receiver, *events: str) -> str:
        row, _ = await self.service.add("hook", receiver.url, list(events or ("segment.final",)))
        return str(row.id)

    async def row(self, webhook: str) -> Any:
        return await self.service.find(webhook)

    async def deliveries(self, webhook: str) -> Any:
        return await self.service.deliveries(webhook, 200)

    async def tried(self, webhook: str, tries: int) -> Any:
        """Wait until the newest delivery was tried so often, and is not being tried now."""

        async def is_tried() -> bool:
            newest = (await self.deliveries(webhook))[0]
            return newest.tries >= tries and not self.service.statistics()["sending"]

        await until(is_tried)
        return (await self.deliveries(webhook))[0]

    def later(self, seconds: float) -> None:
        self.clock[0] += seconds
        self.service._wake.set()


@asynccontextmanager
async def a_world(
    folder: Path, clock: list[float], *, outbox: int = 100, timeout_s: float = 5.0, head_seq: int = 0
) -> AsyncIterator[World]:
    """clock: a list with the wall clock in seconds, so that a second world can continue it."""
    box = Outbox(outbox, lambda: clock[0])
    store = Store(StoreConfig(folder), after_events=box.store)
    health: dict[str, Any] = {"status": "ready"}
    sender = Sender(Addresses(networks_of(["127.0.0.1"])), timeout_s, lambda: clock[0])
    service = WebhookService(store, box, sender, lambda: health, wall_s=lambda: clock[0])
    await store.open()
    log = SavedLog(
        "s_1",
        capacity=100,
        now_ms=lambda: 0,
        listener=service.observe,
        journal=store.journal,
        head_seq=head_seq,
    )
    store.journal.add(log)
    if not head_seq:
        log.emit(an_event(EventType.SESSION_STARTED, name="night"))
    try:
        async with service.running():
            sending = asyncio.create_task(service.run())
            try:
                yield World(store, service, log, clock, health)
            finally:
                sending.cancel()
                await asyncio.wait({sending})
    finally:
        await store.close()


def now() -> list[float]:
    return [datetime.now(UTC).timestamp()]


async def test_an_event_is_delivered_signed_and_only_to_who_subscribed(tmp_path: Path) -> None:
    async with receiving() as receiver, receiving() as other, a_world(tmp_path, now()) as world:
        webhook = await world.add(receiver)
        await world.add(other, "session.ended")
        await world.final("alpha")
        delivery = await world.tried(webhook, 1)
        assert (delivery.state, delivery.status, delivery.body) == ("delivered", 200, "")
        headers, body = receiver.requests[0]
        assert json.loads(body)["data"]["text"] == "alpha"
        assert json.loads(body)["id"] == headers["webhook-id"] == delivery.id
        assert json.loads(body)["schema_version"] == 1
        assert headers["webhook-event"] == "segment.final"
        assert other.requests == []


async def test_a_failed_delivery_is_repeated_at_its_times_with_the_same_id(tmp_path: Path) -> None:
    async with receiving() as receiver, a_world(tmp_path, now()) as world:
        webhook = await world.add(receiver)
        receiver.status = 503
        await world.final("alpha")
        for tries, wait_s in enumerate(RETRY_AFTER_S, start=1):
            delivery = await world.tried(webhook, tries)
            assert delivery.next_wall_ms == round(world.clock[0] * 1000 // 1) + wait_s * 1000
            world.later(wait_s + 0.001)
        delivery = await world.tried(webhook, 5)
        assert (delivery.state, delivery.error) == ("failed", "the receiver answered 503")
        assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 1
        assert len({headers["webhook-timestamp"] for headers, _ in receiver.requests}) == 5


async def test_what_waits_is_sent_after_a_restart(tmp_path: Path) -> None:
    clock = now()
    async with receiving() as receiver:
        receiver.is_silent = True
        async with a_world(tmp_path, clock) as world:
            webhook = await world.add(receiver)
            await world.final("alpha")
            await until(lambda: bool(receiver.requests))
        receiver.is_silent = False
        async with a_world(tmp_path, clock, head_seq=2) as world:
            assert (await world.tried(webhook, 1)).state == "delivered"
        first, second = (headers["webhook-id"] for headers, _ in receiver.requests)
        assert first == second


async def test_ten_failures_pause_a_webhook_until_a_person_resumes_it(tmp_path: Path) -> None:
    async with receiving() as receiver, a_world(tmp_path, now()) as world:
        webhook = await world.add(receiver)
        receiver.status = 500
        for number in range(PAUSE_AFTER):
            await world.final(f"line{number}")
            await world.tried(webhook, 1)
        row = await world.row(webhook)
        assert (row.state, row.failures, row.reason) == ("paused", 10, "the receiver answered 500")
        await world.final("later")
        assert len(receiver.requests) == PAUSE_AFTER
        assert (await world.row(webhook)).waiting == PAUSE_AFTER + 1
        receiver.status = 200
        row = await world.service.change(webhook, {"state": "active"})
        assert (row.state, row.failures) == ("active", 0)
        await until(lambda: len(receiver.requests) == 2 * PAUSE_AFTER + 1)


async def test_a_receiver_that_never_answers_delays_no_other(tmp_path: Path) -> None:
    async with receiving() as silent, receiving() as other, a_world(tmp_path, now(), timeout_s=0.3) as world:
        silent.is_silent = True
        slow, _ = await world.add(silent), await world.add(other)
        for number in range(3):
            await world.final(f"line{number}")
        await until(lambda: len(other.requests) == 3)
        assert len(silent.requests) == 1, "one attempt at a time"
        await until(lambda: _is_tried(world, slow))
        assert (await world.deliveries(slow))[-1].error == "there was no answer within 0.3 s"


async def _is_tried(world: World, webhook: str) -> bool:
    return bool((await world.deliveries(webhook))[-1].tries)


async def test_the_outbox_drops_its_oldest_deliveries_and_counts_them(tmp_path: Path) -> None:
    async with receiving() as receiver, a_world(tmp_path, now(), outbox=10) as world:
        webhook = await world.add(receiver)
        await world.store.write(lambda c: rows.change(c, webhook, {"state": "paused"}))
        for number in range(13):
            world.log.emit(an_event(EventType.SEGMENT_FINAL, text=f"line{number}", segment=f"g_{number}"))
        await world.log.settled()
        row = await world.row(webhook)
        assert (row.waiting, row.dropped) == (10, 3)
        oldest = (await world.deliveries(webhook))[-1]
        assert json.loads(oldest.body)["data"]["text"] == "line3"


async def test_a_redirect_is_not_followed_and_a_refused_address_is_named(tmp_path: Path) -> None:
    async with receiving() as receiver, receiving() as inner, a_world(tmp_path, now()) as world:
        receiver.status, receiver.headers = 302, {"Location": inner.url}
        outcome = await world.service.test(await world.add(receiver))
        assert outcome.status == 302 and "not followed" in str(outcome.error)
        assert inner.requests == []
        hidden = Receiver(url=receiver.url.replace("127.0.0.1", "127.0.0.2"))
        outcome = await world.service.test(await world.add(hidden))
        assert "127.0.0.2 is not public" in str(outcome.error)
        short = Receiver(url=receiver.url.replace("127.0.0.1", "127.1"))
        outcome = await world.service.test(await world.add(short))
        assert "not a canonical IPv4 address" in str(outcome.error)


async def test_a_test_is_sent_once_and_its_failure_counts_for_no_pause(tmp_path: Path) -> None:
    async with receiving() as receiver, a_world(tmp_path, now()) as world:
        webhook = await world.add(receiver)
        receiver.status = 500
        assert (await world.service.test(webhook)).status == 500
        row = await world.row(webhook)
        assert (row.failures, row.waiting, receiver.events()) == (0, 0, ["webhook.test"])


async def test_the_state_of_the_server_is_an_event(tmp_path: Path) -> None:
    async with receiving() as receiver, a_world(tmp_path, now()) as world:
        await world.add(receiver, "health.changed")
        before: dict[str, Any] = {"status": "starting", "reason": None, "troubles": {}}
        before = await world.service.look_at_health(before)
        before = await world.service.look_at_health(before)
        world.health |= {"status": "degraded", "reason": "the engine does not respond"}
        await world.service.look_at_health(before)
        await until(lambda: len(receiver.requests) == 2)
        assert receiver.data(0)["status"] == "ready"
        assert (receiver.data(1)["status"], receiver.data(1)["before"]) == ("degraded", "ready")


async def test_an_alert_is_delivered_with_the_text_of_its_line(tmp_path: Path) -> None:
    async with receiving() as receiver, a_world(tmp_path, now()) as world:
        webhook = await world.add(receiver, "alert.raised")
        await world.final("mayday")
        await world.emit(an_event(EventType.ALERT_RAISED, segment="g_mayday", matched="mayday"))
        await world.tried(webhook, 1)
        assert (receiver.data()["text"], receiver.data()["rule"]) == ("mayday", "mayday")


async def test_a_removed_webhook_gets_nothing(tmp_path: Path) -> None:
    async with receiving() as receiver, a_world(tmp_path, now()) as world:
        webhook = await world.add(receiver)
        await world.service.remove(webhook)
        await world.final("alpha")
        with pytest.raises(RequestError):
            await world.row(webhook)
        assert receiver.requests == []
