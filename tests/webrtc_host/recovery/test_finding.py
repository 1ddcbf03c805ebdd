"""Finding work: failed windows from the event logs, and gaps that a client can fill."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.events import an_event
from tests.webrtc_host.recovery.fed_channel import AUDIO, LOST, SECOND, a_channel, sound
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.recovery.audio import Run
from webrtc_host.recovery.failed_windows import FAILED_MAX, FailedWindows
from webrtc_host.recovery.finding import claim_gaps
from webrtc_host.recovery.known import WANT_OF_ENGINE
from webrtc_host.seams import EventType
from webrtc_host.transcript.event_log import EventLog


def queued(failed: FailedWindows, kind: EventType = EventType.WINDOW_FAILED, **fields: Any) -> None:
    log = EventLog("s_1", capacity=10, now_ms=lambda: 0, listener=failed.observe)
    given = {"utterance": "u_1", "start_ms": 500, "end_ms": 900, "code": min(WANT_OF_ENGINE), "reason": "x"}
    log.emit(an_event(kind, "C01", **{**given, **fields}))


async def test_a_window_that_failed_without_an_engine_waits_for_recovery() -> None:
    failed = FailedWindows()
    queued(failed)
    queued(failed, utterance="u_2")
    first, second = await failed.next(), await failed.next()
    assert (first.channel_key, first.utterance, first.start_ms) == (ChannelKey("s_1", "C01"), "u_1", 500)
    assert second.utterance == "u_2"


@pytest.mark.parametrize("fields", [{"code": "undecodable"}, {"kind": EventType.SPEECH_ENDED}])
async def test_a_window_that_would_fail_again_does_not_wait(fields: dict[str, Any]) -> None:
    failed = FailedWindows()
    queued(failed, **fields)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await failed.next()


async def test_failed_windows_above_the_limit_are_counted_and_left_to_the_next_start() -> None:
    failed = FailedWindows()
    for number in range(FAILED_MAX + 3):
        queued(failed, utterance=f"u_{number}")
    assert failed.refused == 3
    assert (await failed.next()).utterance == "u_0"


def test_only_missing_audio_is_claimed_and_only_once() -> None:
    channel, _ = a_channel((0, 5, AUDIO), (5, 4, LOST), (9, 3, AUDIO))
    sent = [Run(3 * SECOND, sound(8))]
    assert claim_gaps(channel, sent) == ((5 * SECOND, 9 * SECOND),)
    assert claim_gaps(channel, sent) == ()


def test_audio_that_may_still_arrive_live_is_not_claimed() -> None:
    channel, _ = a_channel((0, 5, AUDIO), (5, 1, LOST))
    assert claim_gaps(channel, [Run(5 * SECOND, sound(10))]) == ((5 * SECOND, 6 * SECOND),)


def test_a_gap_shorter_than_200_ms_is_not_claimed() -> None:
    channel, _ = a_channel((0, 5, AUDIO), (5, 0.1, LOST), (5.1, 3, AUDIO))
    assert claim_gaps(channel, [Run(4 * SECOND, sound(3))]) == ()


def test_the_time_between_two_connections_is_a_gap() -> None:
    channel, _ = a_channel((0, 5, AUDIO), (11, 2, AUDIO))
    assert claim_gaps(channel, [Run(0, sound(30))]) == ((5 * SECOND, 11 * SECOND),)
