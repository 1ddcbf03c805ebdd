"""Limits for one caller: requests per second, requests in progress, wrong tokens."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.desk import a_config, running_desk
from tests.support.polling import until
from webrtc_host.errors import Overloaded
from webrtc_host.http.limits import Allowance, CallerLimits, LimitsOfCallers
from webrtc_host.http.server import GATE


def test_the_allowance_of_a_caller_grows_at_its_rate() -> None:
    allowance = Allowance(per_s=2.0, most=3.0)
    assert [allowance.take("a", 0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert allowance.take("b", 0.0) == 0.0
    assert allowance.take("a", 0.5) == 0.0
    assert allowance.take("a", 0.5) > 0
    assert [allowance.take("a", 100.0) for _ in range(4)][:3] == [0.0, 0.0, 0.0]


@given(st.lists(st.floats(0, 3), max_size=60))
def test_a_caller_gets_at_most_the_rate_and_the_burst(pauses: list[float]) -> None:
    allowance, now_s, taken = Allowance(per_s=2.0, most=5.0), 0.0, 0
    for pause_s in pauses:
        now_s += pause_s
        taken += allowance.take("a", now_s) == 0.0
    assert taken <= 5 + 2 * now_s + 1e-6


def test_the_stored_data_of_callers_is_bounded() -> None:
    allowance = Allowance(per_s=1.0, most=2.0, keys_max=100)
    for number in range(1000):
        allowance.take(f"10.0.{number}", 0.0)
    assert len(allowance) == 100


def test_requests_in_hand_are_counted_for_each_address_and_for_all() -> None:
    limits = CallerLimits(LimitsOfCallers(in_hand_per_address=2, in_hand=3))
    with contextlib.ExitStack() as held:
        held.enter_context(limits.request("a", 0.0))
        held.enter_context(limits.request("a", 0.0))
        with pytest.raises(Overloaded, match="connections_per_address") as caught, limits.request("a", 0.0):
            pass
        assert caught.value.status == 429
        held.enter_context(limits.request("b", 0.0))
        with pytest.raises(Overloaded, match="limits.connections") as caught, limits.request("c", 0.0):
            pass
        assert caught.value.status == 503
        assert limits.statistics() == {"in_hand": 3, "refused": 2}
    assert limits.statistics()["in_hand"] == 0
    with limits.request("a", 0.0):
        assert limits.statistics()["in_hand"] == 1


async def test_a_caller_with_too_many_requests_gets_a_retry_after_that_works(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, limits={"requests_per_s": 1})) as desk:
        statuses = []
        for _ in range(12):
            async with desk.client.get(f"{desk.url}/health") as response:
                statuses.append(response.status)
                body = await response.json()
        assert statuses[:10] == [200] * 10
        assert statuses[-1] == 429
        assert int(response.headers["Retry-After"]) >= 1
        assert (body["error"]["code"], "requests_per_s" in body["error"]["message"]) == (
            "too_many_requests",
            True,
        )


async def test_open_streams_count_until_they_close(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, limits={"connections_per_address": 2})) as desk:
        first, second = await desk.watch(), await desk.watch()
        async with desk.client.get(f"{desk.url}/health") as response:
            assert response.status == 429
            assert (await response.json())["error"]["code"] == "too_many_connections"
        await first.close()
        await until(lambda: desk.app[GATE].limits.statistics()["in_hand"] == 1)
        async with desk.client.get(f"{desk.url}/health") as response:
            assert response.status == 200
        await second.close()
