"""The rows of alerts and of webhooks, on every kind of database."""

from __future__ import annotations

from typing import Any

from tests.support.events import an_event
from tests.webrtc_host.conftest import OpenStore
from webrtc_host.seams import EventType
from webrtc_host.transcript import alerts, webhooks
from webrtc_host.transcript.saved_log import SavedLog
from webrtc_host.transcript.store import Store
from webrtc_host.transcript.webhooks import Attempt, NewDelivery


def a_log(store: Store) -> SavedLog:
    log = SavedLog("s_1", capacity=100, now_ms=lambda: 0, journal=store.journal)
    store.journal.add(log)
    log.emit(an_event(EventType.SESSION_STARTED))
    return log


async def test_the_events_of_an_alert_are_one_row_with_its_newest_state(open_store: OpenStore) -> None:
    async with open_store() as store:
        log = a_log(store)
        log.emit(an_event(EventType.SEGMENT_FINAL, segment="g_1", text="mayday", raw="mayday"))
        log.emit(an_event(EventType.ALERT_RAISED, alert="a_1", is_provisional=True, matched="mayday"))
        log.emit(an_event(EventType.ALERT_CONFIRMED, alert="a_1", segment="g_1"))
        log.emit(an_event(EventType.ALERT_ESCALATED, alert="a_1", level="critical"))
        log.emit(an_event(EventType.ALERT_RAISED, alert="a_2", rule="other", segment=None))
        log.emit(an_event(EventType.ALERT_WITHDRAWN, alert="a_2"))
        log.emit(an_event(EventType.ALERT_ESCALATED, alert="a_2", level="info"))
        await log.settled()
        first = await store.read(lambda c: alerts.find(c, "a_1"))
        assert first is not None
        assert (first.state, first.segment, first.text, first.is_escalated) == ("open", "g_1", "mayday", True)
        assert [row.id for row in await store.read(lambda c: alerts.unseen(c, 10))] == ["a_1"]
        raised = await store.read(lambda c: alerts.last_raised(c, 0))
        assert [(row.rule, row.channel) for row in raised] == [("mayday", "C01")], "without the withdrawn one"
        log.emit(an_event(EventType.ALERT_ACKNOWLEDGED, alert="a_1", by="kim"))
        log.emit(an_event(EventType.ALERT_ACKNOWLEDGED, alert="a_1", by="lee"))
        await log.settled()
        newest = await store.read(lambda c: alerts.page(c, "all", "s_1", None, 10))
        states = {row.id: (row.state, row.who) for row in newest}
        assert states == {"a_1": ("acknowledged", "kim"), "a_2": ("withdrawn", None)}
        assert await store.read(lambda c: alerts.page(c, "open", None, None, 10)) == []
        row = newest[0]
        older = await store.read(lambda c: alerts.page(c, "all", None, (row.raised_wall_ms, row.id), 10))
        assert [one.id for one in older] == [newest[1].id]
        await store.write(lambda c: alerts.forget(c, "s_1", 100))
        assert await store.read(lambda c: alerts.find(c, "a_1")) is None


def a_webhook(**values: Any) -> dict[str, Any]:
    return {
        **{"id": "w_1", "name": "pager", "url": "https://hook.example/", "events": '["alert.raised"]'},
        **{"secret": "whsec_x", "state": "active", "created_wall_ms": 1, "changed_wall_ms": 1},
        **values,
    }


async def test_the_outbox_gives_the_oldest_due_delivery_of_each_webhook(open_store: OpenStore) -> None:
    async with open_store() as store:
        await store.write(lambda c: webhooks.add(c, a_webhook()))
        await store.write(lambda c: webhooks.add(c, a_webhook(id="w_2", state="off")))
        new = [NewDelivery(f"d_{n}", f"w_{n % 2 + 1}", "alert.raised", "{}") for n in range(6)]
        await store.write(lambda c: webhooks.enqueue(c, [*new, NewDelivery("d_x", "w_3", "x", "{}")], 100, 2))
        (hook, off) = await store.read(webhooks.all_webhooks)
        assert (hook.waiting, hook.dropped, off.waiting) == (2, 1, 2)
        assert [one.webhook for one in await store.read(webhooks.subscriptions)] == ["w_1"]
        (due,), _ = await store.read(lambda c: webhooks.due(c, 100, ()))
        assert (due.id, due.secret) == ("d_2", "whsec_x")
        assert await store.read(lambda c: webhooks.due(c, 99, ())) == ([], 100)
        assert await store.read(lambda c: webhooks.due(c, 100, ("w_1",))) == ([], None)
        failed = Attempt(due.number, "w_1", False, 100, 500, "it answered 500", next_wall_ms=130)
        await store.write(lambda c: webhooks.note_attempt(c, failed, 2))
        (other,), _ = await store.read(lambda c: webhooks.due(c, 100, ()))
        await store.write(
            lambda c: webhooks.note_attempt(c, Attempt(other.number, "w_1", False, 100, None, "gone"), 2)
        )
        assert await store.read(lambda c: webhooks.due(c, 200, ())) == ([], None), "the webhook is paused"
        found = await store.read(lambda c: webhooks.find(c, "w_1"))
        assert found is not None and (found.state, found.failures, found.reason) == ("paused", 2, "gone")
        states = {row.id: row.state for row in await store.read(lambda c: webhooks.newest(c, "w_1", 10))}
        assert states == {"d_2": "waiting", "d_4": "failed"}
        assert await store.write(lambda c: webhooks.remove(c, "w_1"))
        assert await store.read(webhooks.waiting) == 2


async def test_finished_deliveries_are_bounded(open_store: OpenStore) -> None:
    async with open_store() as store:
        await store.write(lambda c: webhooks.add(c, a_webhook()))

        def deliver(connection: Any) -> None:
            for number in range(webhooks.DONE_KEPT + 5):
                webhooks.enqueue(connection, [NewDelivery(f"d_{number}", "w_1", "x", "{}")], 1, 10)
                (due,), _ = webhooks.due(connection, 1, ())
                webhooks.note_attempt(connection, Attempt(due.number, "w_1", True, 1, 200, None), 10)

        await store.write(deliver)
        kept = await store.read(lambda c: webhooks.newest(c, "w_1", 1000))
        assert (len(kept), kept[-1].id) == (webhooks.DONE_KEPT, "d_5")
