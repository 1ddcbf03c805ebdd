"""Suggestions for the glossary: from corrections and from words that come back, decided by a person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.desk import Desk, a_config, running_desk
from webrtc_host.keys import SUGGESTIONS

LIST = "/api/glossary/suggestions"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(a_config(tmp_path)) as desk:
        body = {
            "terms": [{"canonical": "Alpha-1", "class": "callsign"}],
            "patterns": [
                {"base": {"Blue": ["블루"]}, "number": "1-9", "class": "callsign", "channels": ["C02"]}
            ],
        }
        async with desk.client.put(f"{desk.url}/api/glossary", json=body) as response:
            assert response.status == 200
        yield desk


async def post(desk: Desk, path: str = "", body: Any = None) -> tuple[int, Any]:
    async with desk.client.post(f"{desk.url}{LIST}{path}", json=body) as response:
        return response.status, await response.json()


async def open_ones(desk: Desk, state: str = "open") -> dict[str, Any]:
    _, body = await desk.get(LIST, state=state)
    return {one["text"]: one for one in body["suggestions"]}


async def test_a_correction_becomes_an_alias_when_a_person_accepts_it(desk: Desk) -> None:
    desk.final("this is alpaca one")
    await desk.written()
    correction = {"old": "this is alpaca one", "new": "this is Alpha-1", "channel": "C01", "segment": "g_1"}
    assert await post(desk, body=correction) == (200, {"texts": ["alpaca one"]})
    offered = (await open_ones(desk))["alpaca one"]
    assert (offered["term"], offered["line"], offered["who"]) == ("Alpha-1", "this is alpaca one", "anyone")
    _, before = await desk.get("/api/glossary")
    assert "aliases" not in before["terms"][0], "nothing is learnt silently"
    status, decided = await post(desk, f"/{offered['id']}/accept")
    assert (status, decided["glossary_version"]) == (200, before["glossary_version"] + 1)
    assert (await desk.get("/api/glossary"))[1]["terms"][0]["aliases"] == ["alpaca one"]
    assert await open_ones(desk) == {}
    assert list(await open_ones(desk, "accepted")) == ["alpaca one"]
    status, body = await post(desk, f"/{offered['id']}/dismiss")
    assert (status, body["error"]["code"]) == (409, "already_decided")


async def test_an_alias_of_a_call_sign_of_a_pattern_refines_it(desk: Desk) -> None:
    await post(desk, body={"old": "불루투 이동", "new": "블루투 이동"})
    number = (await open_ones(desk))["불루투"]["id"]
    assert (await post(desk, f"/{number}/accept"))[0] == 200
    _, body = await desk.get("/api/glossary")
    assert body["terms"][1] == {
        "canonical": "Blue-2",
        "class": "callsign",
        "channels": ["C02"],
        "display": {"en": "Blue-2", "ko": "블루투"},
        "aliases": ["불루투"],
    }


async def test_a_dismissed_suggestion_does_not_come_back(desk: Desk) -> None:
    correction = {"old": "this is alpaca one", "new": "this is Alpha-1"}
    await post(desk, body=correction)
    number = (await open_ones(desk))["alpaca one"]["id"]
    assert (await post(desk, f"/{number}/dismiss"))[1]["state"] == "dismissed"
    await post(desk, body=correction)
    assert await open_ones(desk) == {}


async def test_a_suggestion_that_the_glossary_refuses_stays_open_and_says_why(desk: Desk) -> None:
    await post(desk, body={"old": "the tower two", "new": "the Alpha-1"})
    number = (await open_ones(desk))["tower two"]["id"]
    async with desk.client.put(
        f"{desk.url}/api/glossary", json={"terms": [{"canonical": "Alpha-1"}, {"canonical": "Tower Two"}]}
    ) as response:
        assert response.status == 200
    status, body = await post(desk, f"/{number}/accept")
    assert (status, body["error"]["code"]) == (409, "bad_suggestion")
    assert "is also the canonical form of the term 'Tower Two'" in body["error"]["message"]
    assert "tower two" in await open_ones(desk)


async def test_a_word_that_comes_back_is_suggested_and_can_become_a_term_or_an_alias(desk: Desk) -> None:
    desk.app[SUGGESTIONS]._is_common = {"call", "now", "and"}.__contains__
    for _ in range(2):
        desk.final("call Kowalski and Nowak now")
    await desk.settled()
    assert await open_ones(desk) == {}, "two lines are not enough"
    desk.final("call Kowalski and Nowak and Alpha now")
    await desk.settled()
    found = await open_ones(desk)
    assert {text: (one["times"], one["term"]) for text, one in found.items()} == {
        "Kowalski": (3, None),
        "Nowak": (3, None),
    }
    assert (await post(desk, f"/{found['Kowalski']['id']}/accept"))[0] == 200
    assert (await post(desk, f"/{found['Nowak']['id']}/accept", {"term": "Alpha-1"}))[0] == 200
    _, body = await desk.get("/api/glossary")
    assert body["terms"][0]["aliases"] == ["Nowak"]
    assert body["terms"][1] == {"canonical": "Kowalski"}
    for _ in range(3):
        desk.final("call Kowalski and Nowak now")
    await desk.settled()
    assert await open_ones(desk) == {}, "a term is no unknown word"


async def test_decisions_are_in_the_audit_without_text(desk: Desk) -> None:
    await post(desk, body={"old": "this is alpaca one", "new": "this is Alpha-1"})
    number = (await open_ones(desk))["alpaca one"]["id"]
    await post(desk, f"/{number}/accept")
    lines = (await desk.get("/api/audit"))[1]["lines"]
    accepted = next(line for line in lines if line["action"] == "accepted suggestion")
    assert accepted["detail"] == f"accept {number} version=3"
    assert "alpaca" not in str(lines)


@pytest.mark.parametrize("number", ["0", "99", "x", "9" * 30, "-1"])
async def test_an_unknown_suggestion_is_not_found(desk: Desk, number: str) -> None:
    status, body = await post(desk, f"/{number}/accept")
    assert (status, body["error"]["code"]) == (404, "unknown_suggestion")


async def test_suggestions_outlive_a_restart(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, store={"url": ""})) as desk:
        await desk.client.put(f"{desk.url}/api/glossary", json={"terms": [{"canonical": "Alpha-1"}]})
        await post(desk, body={"old": "alpaca one", "new": "Alpha-1"})
    async with running_desk(a_config(tmp_path, store={"url": ""})) as again:
        assert list(await open_ones(again)) == ["alpaca one"]
