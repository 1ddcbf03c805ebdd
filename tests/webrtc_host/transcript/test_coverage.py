"""Every millisecond of a channel has exactly one state, and what the wire was told adds up to the ledger."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webrtc_host.seams import CoverageState
from webrtc_host.transcript.coverage import Coverage, CoverageConfig, CoverageRun

T, SILENCE, SHED, LOST, FAILED, CLOSED, REDACTED = (
    CoverageState.TRANSCRIBED,
    CoverageState.SILENCE,
    CoverageState.SHED,
    CoverageState.LOST,
    CoverageState.FAILED,
    CoverageState.CLOSED,
    CoverageState.REDACTED,
)
PROMPT = CoverageConfig(report_every_ms=100)


def run(from_ms: int, to_ms: int, state: CoverageState, reason: str | None = None) -> CoverageRun:
    return CoverageRun(from_ms, to_ms, state, reason)


def a_ledger(at_ms: int = 0, config: CoverageConfig = PROMPT) -> Coverage:
    coverage = Coverage(config)
    coverage.opened(at_ms)
    return coverage


def test_silence_speech_and_silence_become_three_runs() -> None:
    coverage = a_ledger()
    reported = coverage.received(0, 5000)
    reported += coverage.decide(0, 1000, SILENCE)
    reported += coverage.decide(3000, 5000, SILENCE)
    assert coverage.covered_to_ms == 1000
    reported += coverage.decide(1000, 3000, T)
    reported += coverage.flush()
    assert reported == [run(0, 1000, SILENCE), run(1000, 3000, T), run(3000, 5000, SILENCE)]
    assert coverage.totals_ms[T] == 2000
    assert coverage.covered_to_ms == coverage.end_ms == 5000


def test_a_continuing_run_is_reported_in_pieces_and_an_ended_one_at_once() -> None:
    coverage = a_ledger(config=CoverageConfig(report_every_ms=10_000))
    reported: list[CoverageRun] = []
    for at in range(0, 25_000, 20):
        reported += coverage.received(at, at + 20)
        reported += coverage.decide(at, at + 20, SILENCE)
    assert reported == [run(0, 10_000, SILENCE), run(10_000, 20_000, SILENCE)]
    assert coverage.missing(25_000, 25_020, LOST, "network") == [run(20_000, 25_000, SILENCE)]


def test_time_before_the_first_block_is_not_fed_and_a_later_gap_is_the_networks() -> None:
    coverage = a_ledger(1000)
    coverage.received(1200, 1300)
    coverage.received(1500, 1600)
    coverage.decide(1200, 1600, T)
    coverage.closed()
    coverage.opened(4000)
    coverage.received(4100, 4200)
    coverage.decide(4100, 4200, T)
    assert coverage.runs() == [
        run(1000, 1200, LOST, "not_fed"),
        run(1200, 1300, T),
        run(1300, 1500, LOST, "network"),
        run(1500, 1600, T),
        run(1600, 4100, LOST, "not_fed"),
        run(4100, 4200, T),
    ]


def test_the_time_after_an_orderly_end_is_closed_until_the_next_opening() -> None:
    coverage = a_ledger()
    coverage.received(0, 1000)
    coverage.decide(0, 1000, T)
    coverage.closed()
    coverage.ended(1000, is_orderly=True)
    assert coverage.opened(4000) == [run(1000, 4000, CLOSED)]
    reported = coverage.received(4200, 4300)
    coverage.decide(4200, 4300, T)
    assert reported == [run(4000, 4200, LOST, "not_fed")], "the new connection has not sent yet"
    coverage.ended(4300, is_orderly=False)
    assert coverage.opened(9000) == []
    coverage.received(9000, 9100)
    assert coverage.runs()[-1] == run(4300, 9000, LOST, "not_fed"), "a loss stays a loss"
    assert coverage.violations() == []


def test_a_session_that_ends_after_an_orderly_close_says_closed() -> None:
    coverage = a_ledger()
    coverage.ended(0, is_orderly=True)
    assert coverage.absent(700) == [run(0, 700, CLOSED)]
    assert coverage.absent(900, "server_down") == [run(700, 900, LOST, "server_down")]
    assert coverage.absent(950) == [run(900, 950, CLOSED)]


def test_an_upload_of_the_past_changes_nothing_of_the_time_after_a_loss() -> None:
    coverage = a_ledger()
    coverage.received(0, 5000)
    coverage.decide(0, 5000, T)
    coverage.ended(5000, is_orderly=False)
    coverage.opened(1000)
    coverage.ended(2000, is_orderly=True)
    assert coverage.absent(6000) == [run(5000, 6000, LOST, "not_fed")]


def test_audio_sent_later_for_time_that_was_closed_is_a_repair() -> None:
    coverage = a_ledger()
    coverage.ended(0, is_orderly=True)
    coverage.absent(1000)
    assert coverage.repair(200, 400, T) == [run(200, 400, T)]
    assert coverage.runs() == [run(0, 200, CLOSED), run(200, 400, T), run(400, 1000, CLOSED)]


def test_opening_again_before_any_audio_keeps_the_start_of_the_coverage() -> None:
    coverage = a_ledger(0)
    coverage.closed()
    coverage.opened(500)
    assert coverage.absent(900) == [run(0, 900, LOST, "not_fed")]


def test_a_state_is_set_only_for_audio_without_a_state() -> None:
    coverage = a_ledger()
    coverage.received(0, 100)
    coverage.missing(100, 140, LOST, "network")
    coverage.received(140, 200)
    coverage.decide(50, 80, FAILED, "deadline")
    coverage.decide(0, 500, T)
    assert coverage.runs() == [
        run(0, 50, T),
        run(50, 80, FAILED, "deadline"),
        run(80, 100, T),
        run(100, 140, LOST, "network"),
        run(140, 200, T),
    ]


def test_a_repair_is_reported_as_a_new_run_for_the_same_milliseconds() -> None:
    coverage = a_ledger()
    coverage.received(0, 1000)
    coverage.decide(0, 400, T)
    coverage.decide(400, 700, FAILED, "deadline")
    coverage.decide(700, 1000, SILENCE)
    coverage.flush()
    assert coverage.repair(300, 900, T) == [run(400, 900, T)]
    assert coverage.runs() == [run(0, 900, T), run(900, 1000, SILENCE)]
    assert coverage.totals_ms == {T: 900, SILENCE: 100, SHED: 0, LOST: 0, FAILED: 0, CLOSED: 0, REDACTED: 0}


def test_a_repair_does_not_change_transcribed_time() -> None:
    coverage = a_ledger()
    coverage.received(0, 100)
    coverage.decide(0, 100, T)
    coverage.flush()
    assert coverage.repair(0, 100, SILENCE) == coverage.repair(0, 100, FAILED, "x") == []


def test_uploads_before_and_after_the_coverage_extend_it() -> None:
    coverage = a_ledger(5000)
    reported = coverage.repair(5000, 6000, T)
    reported += coverage.repair(1000, 2000, T)
    reported += coverage.repair(8000, 9000, SILENCE)
    assert coverage.origin_ms == 1000
    assert coverage.runs() == [
        run(1000, 2000, T),
        run(2000, 5000, LOST, "not_fed"),
        run(5000, 6000, T),
        run(6000, 8000, LOST, "not_fed"),
        run(8000, 9000, SILENCE),
    ]
    assert coverage.violations() == []


def test_audio_that_was_not_transcribed_is_failed_when_the_channel_closes() -> None:
    coverage = a_ledger()
    coverage.received(0, 60)
    assert coverage.closed() == [run(0, 60, FAILED, "not_read")]


def test_a_state_after_the_close_is_reported_for_the_same_milliseconds_only() -> None:
    coverage = a_ledger()
    coverage.received(0, 1000)
    coverage.decide(0, 300, FAILED, "deadline")
    assert coverage.closed() == [run(300, 1000, FAILED, "not_read")]
    assert coverage.decide(0, 800, T) == [run(300, 800, T)]
    assert coverage.runs() == [
        run(0, 300, FAILED, "deadline"),
        run(300, 800, T),
        run(800, 1000, FAILED, "not_read"),
    ]
    assert coverage.totals_ms == {T: 500, SILENCE: 0, SHED: 0, LOST: 0, FAILED: 500, CLOSED: 0, REDACTED: 0}


def test_closing_does_not_change_the_time_of_another_opening() -> None:
    coverage = a_ledger()
    coverage.received(0, 1000)
    coverage.received(1000, 2000)
    assert coverage.closed(1000, 2000) == []
    assert coverage.covered_to_ms == 0
    assert coverage.decide(0, 1000, T) + coverage.flush() == [
        run(0, 1000, T),
        run(1000, 2000, FAILED, "not_read"),
    ]


def test_an_empty_run_and_an_invalid_interval_are_refused() -> None:
    with pytest.raises(ValueError, match="is empty"):
        run(5, 5, T)
    with pytest.raises(ValueError, match="report_every_ms is 5;"):
        CoverageConfig(report_every_ms=5)


def test_inconsistent_coverage_is_detected() -> None:
    coverage = a_ledger()
    coverage.received(0, 100)
    coverage.decide(0, 100, T)
    coverage.flush()
    coverage.totals_ms[T] += 7
    assert coverage.violations() == ["the reported states add up to 107 ms, the reported time is 100 ms"]


spans = st.tuples(st.integers(0, 60), st.integers(0, 30)).map(lambda s: (s[0] * 10, (s[0] + s[1]) * 10))
states = st.sampled_from(list(CoverageState))
steps = st.one_of(
    st.tuples(st.just("received"), st.integers(0, 5), st.integers(1, 12)),
    st.tuples(st.just("missing"), st.integers(0, 3), st.integers(1, 6)),
    st.tuples(st.just("decide"), spans, states),
    st.tuples(st.just("repair"), spans, states),
    st.tuples(st.just("closed"), spans),
    st.tuples(st.just("opened"), st.integers(-3, 5)),
    st.tuples(st.just("ended"), st.integers(-3, 0), st.booleans()),
    st.tuples(st.just("absent"), st.integers(0, 9)),
    st.tuples(st.just("flush")),
)


def take(coverage: Coverage, step: tuple[object, ...]) -> list[CoverageRun]:
    end = coverage.end_ms
    match step:
        case ("received", int(hole), int(length)):
            return coverage.received(end + hole * 10, end + (hole + length) * 10)
        case ("missing", int(hole), int(length)):
            return coverage.missing(end + hole * 10, end + (hole + length) * 10, LOST, "network")
        case ("decide", (int(low), int(high)), CoverageState() as state):
            return coverage.decide(low, high, state)
        case ("repair", (int(low), int(high)), CoverageState() as state):
            return coverage.repair(low, high, state)
        case ("opened", int(later)):
            return coverage.opened(end + later * 10)
        case ("ended", int(later), bool(is_orderly)):
            coverage.ended(end + later * 10, is_orderly=is_orderly)
            return []
        case ("absent", int(later)):
            return coverage.absent(end + later * 10)
        case ("closed", (int(low), int(high))):
            return coverage.closed(low, high)
    return coverage.flush()


def applied(reported: list[CoverageRun]) -> dict[int, tuple[CoverageState, str | None]]:
    """What a watcher knows who lets a later run overrule an earlier one."""
    known: dict[int, tuple[CoverageState, str | None]] = {}
    for one in reported:
        known |= dict.fromkeys(range(one.from_ms, one.to_ms, 10), (one.state, one.reason))
    return known


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 30), st.lists(steps, max_size=40))
def test_states_add_up_to_the_time_and_reported_runs_give_the_same_coverage(
    opened: int, story: list[tuple[object, ...]]
) -> None:
    coverage = a_ledger(opened * 10)
    reported: list[CoverageRun] = []
    for step in story:
        reported += take(coverage, step)
        assert coverage.violations() == []
    reported += coverage.flush()
    runs = coverage.runs()
    assert sum(r.to_ms - r.from_ms for r in runs) == coverage.covered_to_ms - coverage.origin_ms
    assert all(a.to_ms == b.from_ms for a, b in zip(runs, runs[1:], strict=False))
    assert applied(reported) == applied(runs)
    again = Coverage.restored(reported)
    assert again.runs() == runs
    assert again.totals_ms == coverage.totals_ms


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, max_size=40))
def test_after_closing_all_audio_has_a_state(story: list[tuple[object, ...]]) -> None:
    coverage = a_ledger()
    for step in story:
        take(coverage, step)
    coverage.closed()
    assert coverage.covered_to_ms == coverage.end_ms
    assert sum(coverage.totals_ms.values()) == coverage.end_ms - coverage.origin_ms


feeds = st.lists(
    st.lists(st.tuples(st.sampled_from([SILENCE, T]), st.integers(1, 9), st.integers(0, 20)), max_size=4),
    min_size=1,
    max_size=5,
)
"""Of each connection its stretches: what they are, their length, and how late that is known."""


@settings(max_examples=300, deadline=None)
@given(feeds, st.lists(st.integers(0, 20), min_size=5, max_size=5), st.booleans())
def test_transcribed_audio_is_reported_as_such_after_any_handover_and_close(
    connections: list[list[tuple[CoverageState, int, int]]], close_after: list[int], is_patient: bool
) -> None:
    """Each connection feeds where the one before ended; verdicts and closings come in any order. A patient
    connection closes after its verdicts, and then nothing of what was read is ever told as failed."""
    coverage, reported = a_ledger(), []
    truth: dict[int, tuple[CoverageState, None]] = {}
    acts: list[tuple[int, int, tuple[int, int, CoverageState | None]]] = []  # (when, rank, what)
    end = 0
    for begun, (stretches, closes) in enumerate(zip(connections, close_after, strict=False)):
        first, last_known = end, begun * 3
        for state, length, late in stretches:
            acts.append((begun * 3, 0, (end, end + length * 10, None)))
            acts.append((begun * 3 + late, 1, (end, end + length * 10, state)))
            truth |= dict.fromkeys(range(end, end + length * 10, 10), (state, None))
            last_known = max(last_known, begun * 3 + late)
            end += length * 10
        closed_at = last_known if is_patient else begun * 3 + closes
        acts.append((closed_at, 2, (first, end, None)))
    for _, rank, (start, to, verdict) in sorted(acts, key=lambda act: act[:2]):
        if rank == 0:
            reported += coverage.received(start, to)
        elif rank == 1 and verdict is not None:
            reported += coverage.decide(start, to, verdict)
        else:
            reported += coverage.closed(start, to)
        assert coverage.violations() == []
    assert applied(coverage.runs()) == applied(reported) == truth
    if is_patient:
        assert not [one for one in reported if one.state is FAILED]


def test_a_redaction_replaces_every_state_and_is_replaced_by_none() -> None:
    coverage = a_ledger()
    coverage.received(0, 1000)
    coverage.decide(0, 600, T)
    coverage.decide(600, 1000, FAILED, "deadline")
    coverage.flush()
    assert coverage.repair(200, 800, REDACTED, "kim: private") == [run(200, 800, REDACTED, "kim: private")]
    assert coverage.repair(0, 1000, T) == [run(800, 1000, T)]
    assert coverage.repair(200, 800, REDACTED, "lee: again") == []
    assert [one.state for one in coverage.runs()] == [T, REDACTED, T]
