"""The timeline of all channels in columns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.desk import Desk, a_config, running_desk
from tests.support.events import an_event
from webrtc_host.desk import timeline_api
from webrtc_host.desk.timeline_api import TimelineResponse, drawing
from webrtc_host.seams import Block, CoverageState, EventType
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.transcript.lanes import Columns, Piece


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(a_config(tmp_path)) as desk:
        yield desk


def covered(
    desk: Desk, channel: str, from_ms: int, to_ms: int, state: str, reason: str | None = None
) -> None:
    fields = {"from_ms": from_ms, "to_ms": to_ms, "state": state, "reason": reason}
    desk.session.log.emit(an_event(EventType.COVERAGE, channel, **fields))


async def timeline(desk: Desk, **query: Any) -> dict[str, Any]:
    await desk.written()
    status, answer = await desk.get(f"/api/sessions/{desk.session.id}/timeline", **query)
    assert status == 200, answer
    TimelineResponse.model_validate(answer)
    body: dict[str, Any] = answer
    return body


async def test_each_column_has_its_state_and_its_share_of_speech(desk: Desk) -> None:
    desk.session.log.emit(an_event(EventType.CHANNEL_OPENED, "C01", label="Tower", start_ms=0))
    covered(desk, "C01", 0, 2000, "silence")
    covered(desk, "C01", 2000, 2500, "transcribed")
    covered(desk, "C01", 2500, 4000, "silence")
    covered(desk, "C01", 4000, 6000, "transcribed")
    covered(desk, "C01", 6000, 6100, "lost", "network")  # short, and seen all the same
    covered(desk, "C01", 6100, 7000, "transcribed")
    covered(desk, "C01", 7000, 9000, "lost", "not_fed")
    desk.final("alpha one", at_ms=4000)
    body = await timeline(desk, from_ms=0, to_ms=10_000, columns=10)
    assert body["step_ms"] == 1000
    (lane,) = body["channels"]
    assert (lane["channel"], lane["label"]) == ("C01", "Tower")
    assert lane["states"] == "sststtldd."
    assert lane["speech"] == "0050999000"
    assert [line["text"] for line in body["lines"]] == ["alpha one"]


async def test_a_line_has_the_marks_that_people_set(desk: Desk) -> None:
    desk.session.log.emit(an_event(EventType.CHANNEL_OPENED, "C01", label="Tower", start_ms=0))
    desk.final("the noise of a door")
    desk.final("alpha one", at_ms=2000)
    await desk.written()
    path = f"{desk.url}/api/sessions/{desk.session.id}/segments/g_1/marks/not_said"
    for is_set, marks in ((True, ["not_said"]), (False, [])):
        async with desk.client.put(path, json={"is_set": is_set}) as response:
            assert response.status == 200
        body = await timeline(desk, from_ms=0, to_ms=10_000, columns=10)
        assert [line["marks"] for line in body["lines"]] == [marks, []]


async def test_eight_hours_are_as_small_as_one_minute(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline_api, "LINES_MAX", 3)
    desk.session.log.emit(an_event(EventType.CHANNEL_OPENED, "C02", label="Ramp", start_ms=0))
    for number in range(200):
        covered(desk, "C02", number * 144_000, number * 144_000 + 2000, "transcribed")
        if number < 4:
            desk.final("one of many", "C02", number * 144_000)
    body = await timeline(desk, from_ms=0, to_ms=28_800_000, columns=100, channel="C02")
    (lane,) = body["channels"]
    assert (lane["states"], lane["speech"]) == ("t" * 100, "1" * 100)
    assert body["lines"] is None
    one_minute = await timeline(desk, from_ms=144_000, to_ms=204_000, columns=100)
    assert len(one_minute["channels"][0]["states"]) == 100
    assert len(one_minute["lines"]) == 1


async def test_the_newest_time_comes_from_the_running_session(desk: Desk) -> None:
    async def end(reason: str) -> int:
        return await channel.close(reason)

    connection = desk.registry.connect(desk.session, DoorKind.WEBRTC, [ChannelSpec("C05", "Ramp")], end)
    channel = connection.channels[0]
    channel.open()
    start = channel.session.now_sample()
    channel.feed(Block(start, np.full(32_000, 0.1, np.float32)))
    channel.coverage.decide(start, start + 32_000, CoverageState.TRANSCRIBED)
    first_ms = start // 16
    body = await timeline(desk, from_ms=first_ms, to_ms=first_ms + 2000, columns=4)
    (lane,) = body["channels"]
    assert (lane["label"], lane["states"], lane["speech"]) == ("Ramp", "tttt", "9999")


async def test_wrong_requests_are_told_why(desk: Desk) -> None:
    path = f"/api/sessions/{desk.session.id}/timeline"
    assert (await desk.get("/api/sessions/s_none/timeline"))[0] == 404
    for query in ({"columns": 0}, {"columns": 2001}, {"from_ms": -1}):
        assert (await desk.get(path, **query))[0] == 400
    assert (await desk.get(path, from_ms=10, to_ms=5))[0] == 422
    assert (await desk.get(path, colums=5))[0] == 422


def test_a_short_call_is_seen_in_a_long_column() -> None:
    columns = Columns.of(0, 28_800_000, 600)
    call = Piece("C01", 0, columns.step_ms, CoverageState.TRANSCRIBED, False, 800)
    rest = Piece("C01", 0, columns.step_ms, CoverageState.SILENCE, False, columns.step_ms - 800)
    drawn = drawing([call, rest], columns)
    assert (drawn["states"][:2], drawn["speech"][:2]) == ("t.", "10")
