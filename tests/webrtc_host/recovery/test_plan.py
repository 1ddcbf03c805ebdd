"""The time that a job transcribes, for each source of work."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.opus_packets import MS
from tests.webrtc_host.recovery.stored import closed, covered, ended, failed, final, said, started
from webrtc_host.recovery.known import Range, known_of
from webrtc_host.recovery.plan import (
    AROUND_SAMPLES,
    LEAD_MS,
    Plan,
    plan_of_feed,
    plan_of_gaps,
    plan_of_utterance,
)
from webrtc_host.seams import CoverageState
from webrtc_host.transcript.event_codec import Envelope

TAIL_MS = 15_000


def feed(events: Sequence[Envelope], end_ms: int, opened_ms: int = 0) -> Plan:
    return plan_of_feed(known_of(opened_ms, events), end_ms * MS, TAIL_MS)


def start_ms(plan: Plan) -> int:
    return plan.ranges[0].start_sample // MS


def test_only_the_end_is_transcribed_if_all_utterances_have_text() -> None:
    plan = feed([*said("u_1", "alpha one", 1000), covered(60_000)], 61_000)
    assert plan.ranges == ((46_000 * MS, 61_000 * MS),)
    assert plan.audio() == [(46_000 * MS, 61_000 * MS)]


def test_nothing_is_read_where_nothing_is_archived() -> None:
    assert feed([], 0).is_empty
    assert feed([], 5000, opened_ms=6000).is_empty


def test_the_tail_does_not_begin_before_the_channel_was_opened() -> None:
    assert start_ms(feed([], 12_000, opened_ms=7000)) == 7000


def test_a_feed_is_read_from_where_its_coverage_ends() -> None:
    assert start_ms(feed([covered(2000), started("u_1", 40_000)], 70_000)) == 2000


def test_an_utterance_without_text_is_read_again() -> None:
    events = [covered(29_000), started("u_1", 30_000), ended("u_1", 30_000, 32_000)]
    events += said("u_2", "bravo two", 40_000)
    assert start_ms(feed(events, 60_000)) <= 30_000 - LEAD_MS


def test_an_utterance_without_text_that_coverage_has_passed_is_not_read_again() -> None:
    events = [started("u_1", 30_000), ended("u_1", 30_000, 32_000), covered(59_000)]
    assert start_ms(feed(events, 60_000)) == 45_000


def test_reading_never_begins_inside_an_utterance() -> None:
    events = [*said("u_1", "alpha one proceed to gate seven over now", 43_500), covered(59_000)]
    assert start_ms(feed(events, 60_000)) == 43_500 - LEAD_MS


def test_windows_of_an_utterance_with_its_text_need_no_engine() -> None:
    plan = feed([*said("u_1", "alpha one", 50_000), started("u_2", 55_000)], 60_000)
    assert plan.is_complete(49_700 * MS, 50_900 * MS)
    assert not plan.is_complete(54_700 * MS, 57_000 * MS)
    assert not plan.is_complete(50_000 * MS, 56_000 * MS)


def test_text_that_begins_later_than_its_speech_does_not_complete_the_utterance() -> None:
    line = final("u_1", "charlie five return", 13_900)
    plan = feed([started("u_1", 10_000), ended("u_1", 10_000, 14_800), line], 16_000)
    assert not plan.is_complete(9800 * MS, 12_000 * MS)
    assert start_ms(plan) <= 10_000 - LEAD_MS


def test_a_recovery_that_was_interrupted_is_planned_again() -> None:
    events = [started("u_1", 10_000), closed(), covered(30_000), final("u_1", "alpha one", 10_000)]
    assert not plan_of_feed(known_of(0, events, until_ms=30_000), 14_000 * MS, TAIL_MS).is_empty


def test_a_window_that_failed_without_an_engine_is_read_again_and_a_bad_one_is_not() -> None:
    begun = [started("u_1", 20_000), ended("u_1", 20_000, 22_000)]
    want = feed([*begun, failed("u_1", 20_000, 22_000, "deadline"), covered(39_000)], 40_000)
    bad = feed([*begun, failed("u_1", 20_000, 22_000, "engine_failed"), covered(39_000)], 40_000)
    assert start_ms(want) <= 20_000 - LEAD_MS
    assert start_ms(bad) == 25_000


def test_one_utterance_is_read_and_nothing_else() -> None:
    events = [
        *said("u_1", "alpha one", 10_000),
        *(started("u_2", 20_000), ended("u_2", 20_000, 22_000)),
        failed("u_2", 20_000, 22_300, "deadline"),
        started("u_3", 30_000),
    ]
    plan = plan_of_utterance(known_of(0, events), "u_2", 40_000 * MS)
    assert plan.ranges == (((20_000 - LEAD_MS) * MS, (22_000 + LEAD_MS) * MS),)
    assert not plan.closes_utterances  # u_3 continues
    assert not plan.is_complete(20_000 * MS, 22_000 * MS)


def test_an_utterance_that_the_record_does_not_have_is_not_read() -> None:
    assert plan_of_utterance(known_of(0, []), "u_2", 40_000 * MS).is_empty


def test_a_gap_is_read_with_a_second_around_it() -> None:
    plan = plan_of_gaps(known_of(0, []), [Range(5000 * MS, 9000 * MS), Range(10_500 * MS, 12_000 * MS)])
    assert plan.audio() == [(5000 * MS - AROUND_SAMPLES, 12_000 * MS + AROUND_SAMPLES)]
    assert plan.inside(4000 * MS, 11_000 * MS) == (5000 * MS, 11_000 * MS)
    assert plan.inside(9000 * MS, 10_500 * MS) is None


def test_live_utterances_beside_a_gap_are_not_those_of_the_gap() -> None:
    events = [
        *(started("u_1", 2000), ended("u_1", 2000, 5000)),
        *(
            started("u_2", 8800),
            ended("u_2", 8800, 10_000),
        ),  # the times of its speech end before the end of the gap
    ]
    plan = plan_of_gaps(known_of(0, events), [Range(5000 * MS, 9000 * MS)])
    assert plan.announced == () and plan.complete == ()


def test_utterances_of_an_interrupted_reading_of_a_gap_are_found_again() -> None:
    gap = [Range(5000 * MS, 9000 * MS)]
    lost = covered(9000, CoverageState.LOST)
    announced = [started("u_1", 5000), ended("u_1", 5000, 6000), started("u_2", 7000), lost]
    plan = plan_of_gaps(known_of(0, announced), gap)
    assert [u.id for u in plan.announced] == ["u_1", "u_2"]
    assert not plan.is_complete(5000 * MS, 6000 * MS)  # it has no text, whatever coverage says
    written = plan_of_gaps(known_of(0, [*announced, final("u_1", "alpha bravo charlie", 5000)]), gap)
    assert written.is_complete(5000 * MS, 6000 * MS)


def test_a_feed_leaves_the_utterances_of_a_gap_to_the_job_of_the_gap() -> None:
    gap = Range(5000 * MS, 9000 * MS)
    events = [started("u_1", 2000), ended("u_1", 2000, 4000), started("u_2", 5500), started("u_3", 9500)]
    known = known_of(0, events)
    feed = plan_of_feed(known, 12_000 * MS, TAIL_MS, [gap])
    assert [u.id for u in feed.announced] == ["u_1", "u_3"]
    assert [u.id for u in plan_of_gaps(known, [gap]).announced] == ["u_2"]
