"""Alerts on a running server: rules, alerts to every watcher, acknowledgement, restart, and webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.desk import Desk, a_config, running_desk
from tests.support.polling import until
from tests.webrtc_host.webhooks.receiver import receiving

RULES = "/api/alerts/rules"
MAYDAY = {"name": "mayday", "when": "terms", "terms": ["mayday", "구급차"], "level": "critical"}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(a_config(tmp_path)) as desk:
        yield desk


async def send(desk: Desk, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    async with desk.client.request(method, desk.url + path, json=body, headers=headers) as response:
        return response.status, await response.json()


async def put_rules(desk: Desk, *rules: dict[str, Any]) -> Any:
    status, body = await send(desk, "PUT", RULES, {"rules": list(rules)})
    assert status == 200, body
    return body


async def next_alert(socket: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            event: dict[str, Any] = await socket.receive_json()
            if event["type"] == kind:
                return event


async def test_an_alert_reaches_every_watcher_and_is_acknowledged_once(desk: Desk) -> None:
    await put_rules(desk, MAYDAY)
    watchers = [await desk.watch(), await desk.watch(channels="C01")]
    desk.interim("mayday may")
    raised = [await next_alert(socket, "alert.raised") for socket in watchers]
    assert raised[0] == raised[1]
    assert (raised[0]["rule"], raised[0]["level"], raised[0]["is_provisional"]) == (
        "mayday",
        "critical",
        True,
    )
    desk.final("mayday, gate seven")
    confirmed = await next_alert(watchers[0], "alert.confirmed")
    assert confirmed["alert"] == raised[0]["alert"]
    _, body = await desk.get("/api/alerts")
    (entry,) = body["alerts"]
    assert (entry["state"], entry["text"], entry["segment"]) == ("open", "mayday, gate seven", "g_1")
    path = f"/api/alerts/{entry['alert']}/acknowledge"
    both = await asyncio.gather(send(desk, "POST", path), send(desk, "POST", path))
    assert [(status, one["state"], one["by"]) for status, one in both] == [
        (200, "acknowledged", "anyone")
    ] * 2
    assert (await next_alert(watchers[1], "alert.acknowledged"))["by"] == "anyone"
    assert (await desk.get("/api/alerts"))[1]["alerts"] == []
    _, body = await desk.get("/api/alerts", state="all")
    assert body["alerts"][0]["state"] == "acknowledged"
    status, unknown = await send(desk, "POST", "/api/alerts/a_none/acknowledge")
    assert (status, unknown["error"]["code"]) == (404, "unknown_alert")


async def test_pages_of_alerts_continue_where_the_last_one_ended(desk: Desk) -> None:
    await put_rules(desk, MAYDAY)
    for number in range(3):
        desk.final("mayday", f"C{number + 1:02d}")
    await until(lambda: _open(desk, 3))
    _, first = await desk.get("/api/alerts", limit=2)
    _, second = await desk.get("/api/alerts", limit=2, before=first["next_before"])
    channels = [one["channel"] for one in (*first["alerts"], *second["alerts"])]
    assert sorted(channels) == ["C01", "C02", "C03"] and second["next_before"] is None
    status, body = await desk.get("/api/alerts", before="x")
    assert (status, body["error"]["code"]) == (400, "bad_before")


async def _open(desk: Desk, count: int) -> bool:
    _, body = await desk.get("/api/alerts")
    return len(body["alerts"]) == count


async def test_rules_with_mistakes_change_nothing_and_two_editors_do_not_overwrite_each_other(
    desk: Desk,
) -> None:
    before = await put_rules(desk, MAYDAY)
    status, body = await send(desk, "PUT", RULES, {"rules": [{**MAYDAY, "when": "pattern", "pattern": "("}]})
    assert (status, body["error"]["code"]) == (422, "bad_rules")
    fields = {mistake["place"]: mistake["term"] for mistake in body["error"]["mistakes"]}
    assert fields == {"rules[0].pattern": "mayday", "rules[0].terms": "mayday"}
    assert (await desk.get(RULES))[1]["version"] == before["version"]
    status, body = await send(desk, "PUT", RULES, before, **{"If-Match": f'"{before["version"]}"'})
    assert status == 200, "the response of a GET is accepted"
    status, body = await send(desk, "PUT", RULES, {"rules": []}, **{"If-Match": '"0123456789abcdef"'})
    assert (status, body["error"]["code"]) == (412, "rules_changed")
    status, body = await send(desk, "PUT", RULES, {"rules": []}, **{"If-Match": "old"})
    assert status == 412


async def test_a_rule_that_matches_everything_is_accepted_with_a_warning_and_bounded(desk: Desk) -> None:
    body = await put_rules(desk, {"name": "all", "when": "pattern", "pattern": ".*", "cooldown_s": 600})
    assert "nearly every line" in body["warnings"][0]["message"]
    for number in range(20):
        desk.final(f"line {number}")
    await until(lambda: _open(desk, 1))
    desk.final("the last line", "C02")
    await until(lambda: _open(desk, 2))


async def test_a_rule_is_tried_on_past_text(desk: Desk) -> None:
    for text in ("구급차를 보내라", "nothing here", "mayday!"):
        desk.final(text)
    await desk.written()
    status, body = await send(desk, "POST", "/api/alerts/try", {"rule": MAYDAY})
    assert (status, body["checked"], body["found"]) == (200, 3, 2)
    assert {(one["matched"], one["segment"]) for one in body["lines"]} == {
        ("구급차", "g_1"),
        ("mayday", "g_3"),
    }
    typed = {"rule": {"when": "pattern", "pattern": "b+"}, "text": "aabb"}
    _, body = await send(desk, "POST", "/api/alerts/try", typed)
    assert [(one["start"], one["end"]) for one in body["lines"]] == [(2, 4)]
    status, body = await send(desk, "POST", "/api/alerts/try", {"rule": {"when": "activity"}})
    assert (status, body["error"]["code"]) == (422, "rule_without_text")
    status, body = await send(desk, "POST", "/api/alerts/try", {"rule": {"when": "pattern", "pattern": "("}})
    assert (status, body["error"]["mistakes"][0]["place"]) == (422, "rules[0].pattern")


async def test_an_alert_of_a_session_that_is_not_in_memory_can_be_acknowledged(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, limits={"sessions": 1})) as desk:
        await put_rules(desk, MAYDAY)
        desk.final("mayday")
        await until(lambda: _open(desk, 1))
        await desk.registry.end(desk.session)
        assert desk.session.is_ended is False, "the next session took its place in memory"
        (entry,) = (await desk.get("/api/alerts"))[1]["alerts"]
        assert entry["session"] != desk.session.id
        status, done = await send(desk, "POST", f"/api/alerts/{entry['alert']}/acknowledge")
        assert (status, done["state"]) == (200, "acknowledged")


async def test_an_open_alert_and_its_rule_are_there_after_a_restart(tmp_path: Path) -> None:
    config = a_config(tmp_path, store={"url": ""})
    async with running_desk(config) as desk:
        await put_rules(desk, MAYDAY)
        desk.final("mayday")
        await until(lambda: _open(desk, 1))
    async with running_desk(config) as desk:
        assert (await desk.get(RULES))[1]["rules"][0]["name"] == "mayday"
        (entry,) = (await desk.get("/api/alerts"))[1]["alerts"]
        desk.finals = 50
        desk.final("mayday")
        socket = await desk.watch()
        status, done = await send(desk, "POST", f"/api/alerts/{entry['alert']}/acknowledge")
        assert (status, done["state"]) == (200, "acknowledged")
        await next_alert(socket, "alert.acknowledged")
        assert await _open(desk, 0), "the cooldown continues over the restart"


async def test_a_webhook_is_added_tested_changed_and_removed(tmp_path: Path) -> None:
    config = a_config(tmp_path, webhooks={"allow": ["127.0.0.1"]})
    async with receiving() as receiver, running_desk(config) as desk:
        new = {"name": "pager", "url": receiver.url, "events": ["alert.raised", "session.ended"]}
        status, made = await send(desk, "POST", "/api/webhooks", new)
        assert status == 201 and made["secret"].startswith("whsec_")
        _, listed = await desk.get("/api/webhooks")
        assert "secret" not in listed["webhooks"][0]
        path = f"/api/webhooks/{made['webhook']}"
        status, outcome = await send(desk, "POST", path + "/test")
        assert (status, outcome["is_delivered"], outcome["status"]) == (200, True, 200)
        await put_rules(desk, MAYDAY)
        desk.final("mayday")
        await until(lambda: receiver.events() == ["webhook.test", "alert.raised"])
        _, body = await desk.get(path + "/deliveries")
        assert {one["event"] for one in body["deliveries"]} == {"webhook.test", "alert.raised"}
        status, renewed = await send(desk, "POST", path + "/secret")
        assert renewed["secret"] != made["secret"]
        status, changed = await send(desk, "PATCH", path, {"state": "off", "name": "pager 2"})
        assert (status, changed["state"], changed["name"]) == (200, "off", "pager 2")
        status, refused = await send(desk, "PATCH", path, {"url": "http://10.0.0.1/"})
        assert (status, refused["error"]["code"]) == (422, "address_refused")
        assert (await send(desk, "DELETE", path))[1]["is_removed"]
        status, body = await send(desk, "POST", path + "/test")
        assert (status, body["error"]["code"]) == (404, "unknown_webhook")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("url", "ftp://x.example", "bad_url"),
        ("url", "https://a:b@x.example", "bad_url"),
        ("url", "http://192.168.1.1/hook", "address_refused"),
        ("events", ["alert.rang"], "bad_event"),
        ("events", [], "bad_field"),
        ("name", "", "bad_field"),
    ],
)
async def test_a_webhook_with_a_mistake_is_refused(desk: Desk, field: str, value: Any, code: str) -> None:
    new = {"name": "pager", "url": "https://hook.example/", "events": ["alert.raised"], field: value}
    status, body = await send(desk, "POST", "/api/webhooks", new)
    assert (status, body["error"]["code"]) == (422, code), body
    assert body["error"]["message"].startswith(field)


async def test_there_is_a_limit_of_webhooks(desk: Desk) -> None:
    new = {"name": "pager", "url": "https://hook.example/", "events": ["session.ended"]}
    statuses = [(await send(desk, "POST", "/api/webhooks", new))[0] for _ in range(21)]
    assert statuses == [201] * 20 + [409]
