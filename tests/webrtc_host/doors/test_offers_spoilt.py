"""Mutated offers: a short run of `scripts/fuzz_offers.py`, and cases that random mutations rarely reach."""

from __future__ import annotations

import random
from pathlib import Path

import aiohttp
import pytest

from bench.offer_fuzz import fuzz, recorded, server_under_test
from bench.offer_mutations import MUTATIONS, mutate, on_loopback
from tests.support.desk import a_config
from tests.support.server import ROOT

pytestmark = pytest.mark.peer

OFFERS = ROOT / "tests" / "support" / "offers"


@pytest.mark.timeout(300)
async def test_150_mutated_offers_are_answered_and_leave_no_state(tmp_path: Path) -> None:
    findings = await fuzz(a_config(tmp_path), OFFERS, offers=150, seed=20_261_121)
    assert findings.failures == []
    assert not findings.left_over
    assert sum(count for answer, count in findings.answers.items() if answer.startswith("POST")) == 150
    assert {answer.rpartition(" ")[2] for answer in findings.answers} >= {"200", "201", "400", "422"}


@pytest.mark.parametrize("lines", [2, 64, 65, 400])
async def test_media_lines_are_accepted_up_to_the_limit(tmp_path: Path, lines: int) -> None:
    """Copies of Chromium's line, each with another mid."""
    head, audio = (recorded(OFFERS)[0]).split("m=application")[0].split("m=audio")
    body = "".join(f"m=audio{audio}".replace("a=mid:0", f"a=mid:{number}") for number in range(lines))
    bundle = " ".join(map(str, range(lines)))
    sdp = head.replace("BUNDLE 0 1", f"BUNDLE {bundle}") + body
    async with server_under_test(a_config(tmp_path)) as (url, registry), aiohttp.ClientSession() as http:
        offer = {"sdp": sdp, "type": "offer"}
        async with http.post(f"{url}/offer", json=offer) as response:
            answer = await response.json()
        if lines <= 64:
            assert response.status == 200
            assert len(answer["channels"]) == lines
            async with http.delete(f"{url}/offer/{answer['connection']}") as response:
                assert response.status == 200
        else:
            assert (response.status, answer["error"]["code"]) == (422, "too_many_media_lines")
        assert not registry.connections


async def test_a_thousand_candidates_are_harmless(tmp_path: Path) -> None:
    head, audio = (recorded(OFFERS)[1]).split("m=audio")
    flood = "".join(f"a=candidate:{n} 1 udp {n} 127.0.0.1 {n + 1024} typ host\r\n" for n in range(1000))
    async with server_under_test(a_config(tmp_path)) as (url, registry), aiohttp.ClientSession() as http:
        for door, form in (("/offer", "json"), ("/whip/C01", "sdp")):
            sdp = f"{head}m=audio{audio}{flood}"
            sent = {"json": {"sdp": sdp, "type": "offer"}} if form == "json" else {"data": sdp}
            headers = {} if form == "json" else {"Content-Type": "application/sdp"}
            async with http.post(url + door, headers=headers, **sent) as response:
                assert response.status in (200, 201)
            for connection in list(registry.connections.values()):
                await connection.end("test")


def test_the_same_seed_gives_the_same_mutations() -> None:
    offer = recorded(OFFERS)[0]
    for number in range(50):
        assert mutate(offer, random.Random(number)) == mutate(offer, random.Random(number))
    assert len({mutate(offer, random.Random(number)) for number in range(50)}) > 45


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_every_mutation_works_on_the_shortest_offer_too(mutation: object) -> None:
    assert callable(mutation)
    for lines in (["v=0"], ["v=0", "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0"]):
        for number in range(20):
            assert isinstance(mutation(lines, random.Random(number)), list)


def test_no_candidate_points_at_another_machine() -> None:
    text = "a=candidate:1 1 udp 1 203.0.113.9 5 typ host\r\na=candidate:1 1 udp 1 2001:db8::1 5 typ host"
    assert on_loopback(text).count("127.0.0.1") == 2
    assert "x.local" in on_loopback("a=candidate:1 1 udp 1 x.local 5 typ host")
