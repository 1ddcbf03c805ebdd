"""Windows that fail while the server runs, on their way from the event logs to recovery."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.events import an_event
from webrtc_host.archive.writer import ChannelKey
from webrtc_host.recovery.finding import FAILED_MAX, FailedWindows
from webrtc_host.recovery.plan import WANT_OF_ENGINE
from webrtc_host.seams import EventType
from webrtc_host.transcript.event_log import EventLog


def told(failed: FailedWindows, kind: EventType = EventType.WINDOW_FAILED, **fields: Any) -> None:
    log = EventLog("s_1", capacity=10, now_ms=lambda: 0, listener=failed.observe)
    given = {"utterance": "u_1", "start_ms": 500, "end_ms": 900, "code": min(WANT_OF_ENGINE), "reason": "x"}
    log.emit(an_event(kind, "C01", **{**given, **fields}))


async def test_a_window_that_failed_for_want_of_an_engine_waits_for_recovery() -> None:
    failed = FailedWindows()
    told(failed)
    told(failed, utterance="u_2")
    first, second = await failed.next(), await failed.next()
    assert (first.place, first.utterance, first.start_ms) == (ChannelKey("s_1", "C01"), "u_1", 500)
    assert second.utterance == "u_2"


@pytest.mark.parametrize("fields", [{"code": "undecodable"}, {"kind": EventType.SPEECH_ENDED}])
async def test_what_another_reading_would_not_mend_does_not_wait(fields: dict[str, Any]) -> None:
    failed = FailedWindows()
    told(failed, **fields)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await failed.next()


async def test_too_many_failed_windows_are_counted_and_left_to_the_next_start() -> None:
    failed = FailedWindows()
    for number in range(FAILED_MAX + 3):
        told(failed, utterance=f"u_{number}")
    assert failed.refused == 3
    assert (await failed.next()).utterance == "u_0"
