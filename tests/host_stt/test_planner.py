from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from host_stt.contract import Priority
from host_stt.planner import Planner, PlannerConfig, Ticket
from tests.support.windows import window

FINAL, INTERIM = Priority.FINAL, Priority.INTERIM
numbers = count()


def ticket(
    window_id: str,
    priority: Priority = FINAL,
    channel: str = "C01",
    source: str = "a",
    arrived_s: float = 0.0,
    start_sample: int = 0,
    deadline_ms: int = 15_000,
) -> Ticket:
    w = window(
        window_id, channel=channel, priority=priority, start_sample=start_sample, deadline_ms=deadline_ms
    )
    return Ticket(next(numbers), source, w, arrived_s)


def order(planner: Planner, now_s: float = 0.0) -> list[list[str]]:
    """What comes out, batch by batch, until nothing waits."""
    batches = []
    while not planner.is_empty:
        batches.append([t.window.id for t in planner.take(now_s).tickets])
    return batches


def test_finals_come_before_interims_and_each_in_order_of_arrival() -> None:
    planner = Planner(PlannerConfig())
    for t in (ticket("i1", INTERIM, "C01"), ticket("f1", FINAL, "C02"), ticket("i2", INTERIM, "C03")):
        planner.feed(t, 0.0)
    planner.feed(ticket("f2", FINAL, "C04"), 0.0)
    assert order(planner) == [["f1"], ["f2"], ["i1"], ["i2"]]


def test_a_newer_interim_takes_the_place_of_the_older_of_its_channel() -> None:
    planner = Planner(PlannerConfig())
    assert planner.feed(ticket("old", INTERIM), 0.0) == []
    (refused,) = planner.feed(ticket("new", INTERIM), 0.1)
    assert (refused.ticket.window.id, refused.answer.code, refused.answer.is_retryable) == (
        "old",
        "shed",
        False,
    )
    assert order(planner) == [["new"]]


def test_the_same_channel_of_another_connection_is_another_channel() -> None:
    planner = Planner(PlannerConfig())
    planner.feed(ticket("a1", INTERIM, source="a"), 0.0)
    assert planner.feed(ticket("b1", INTERIM, source="b"), 0.0) == []
    assert order(planner) == [["a1"], ["b1"]]


def test_a_final_makes_the_interim_of_the_same_speech_needless_but_not_a_later_one() -> None:
    planner = Planner(PlannerConfig())
    planner.feed(ticket("same", INTERIM, "C01"), 0.0)
    planner.feed(ticket("later", INTERIM, "C02", start_sample=99_000), 0.0)
    assert [r.ticket.window.id for r in planner.feed(ticket("f1", FINAL, "C01"), 0.0)] == ["same"]
    assert planner.feed(ticket("f2", FINAL, "C02"), 0.0) == []
    assert order(planner) == [["f1"], ["f2"], ["later"]]


def test_a_full_queue_refuses_the_new_final_and_drops_none() -> None:
    planner = Planner(PlannerConfig(queue_finals=2))
    for name in ("f1", "f2"):
        assert planner.feed(ticket(name), 0.0) == []
    (refused,) = planner.feed(ticket("f3"), 0.0)
    assert (refused.ticket.window.id, refused.answer.code, refused.answer.is_retryable) == (
        "f3",
        "overloaded",
        True,
    )
    assert order(planner) == [["f1"], ["f2"]]


def test_too_many_channels_shed_the_interim_that_waited_longest() -> None:
    planner = Planner(PlannerConfig(queue_interims=2))
    for channel in ("C01", "C02"):
        planner.feed(ticket(channel, INTERIM, channel), 0.0)
    (refused,) = planner.feed(ticket("C03", INTERIM, "C03"), 0.0)
    assert refused.ticket.window.id == "C01"
    assert planner.statistics().interims == 2


def test_what_is_too_late_is_refused_when_its_turn_comes() -> None:
    planner = Planner(PlannerConfig())
    planner.feed(ticket("late", FINAL, deadline_ms=1000), 0.0)
    planner.feed(ticket("good", FINAL, arrived_s=1.5), 1.5)
    batch = planner.take(2.0)
    assert [t.window.id for t in batch.tickets] == ["good"]
    assert [(r.ticket.window.id, r.answer.is_retryable) for r in batch.refused] == [("late", True)]


def test_when_all_finals_are_late_the_interims_have_their_turn() -> None:
    planner = Planner(PlannerConfig())
    planner.feed(ticket("late", FINAL, deadline_ms=1), 0.0)
    planner.feed(ticket("i1", INTERIM, "C02", arrived_s=5.0), 5.0)
    assert [t.window.id for t in planner.take(5.0).tickets] == ["i1"]


def test_a_batch_holds_one_priority_and_no_more_than_the_limit() -> None:
    planner = Planner(PlannerConfig(batch_max=2))
    for i in range(3):
        planner.feed(ticket(f"f{i}", FINAL, f"C{i}"), 0.0)
        planner.feed(ticket(f"i{i}", INTERIM, f"X{i}"), 0.0)
    assert order(planner) == [["f0", "f1"], ["f2"], ["i0", "i1"], ["i2"]]


def test_a_source_that_is_gone_is_forgotten() -> None:
    planner = Planner(PlannerConfig())
    planner.feed(ticket("a1", source="a"), 0.0)
    planner.feed(ticket("b1", source="b"), 0.0)
    planner.feed(ticket("a2", INTERIM, "C09", source="a"), 0.0)
    assert [t.window.id for t in planner.forget("a")] == ["a1", "a2"]
    assert order(planner) == [["b1"]]


events = st.lists(
    st.one_of(
        st.tuples(
            st.just("feed"), st.sampled_from([FINAL, INTERIM]), st.integers(0, 4), st.sampled_from("ab")
        ),
        st.tuples(st.just("take"), st.just(FINAL), st.just(0), st.just("a")),
        st.tuples(st.just("forget"), st.just(FINAL), st.just(0), st.sampled_from("ab")),
    ),
    max_size=60,
)


@given(events, st.integers(1, 4), st.integers(1, 5))
def test_every_ticket_comes_out_exactly_once(
    history: list[tuple[str, Priority, int, str]], batch_max: int, limit: int
) -> None:
    planner = Planner(PlannerConfig(batch_max, queue_finals=limit, queue_interims=limit))
    fed: list[int] = []
    out: list[int] = []
    for step, (what, priority, channel, source) in enumerate(history):
        if what == "feed":
            t = ticket(f"w{step}", priority, f"C{channel}", source, float(step), deadline_ms=5000)
            fed.append(t.number)
            out += [r.ticket.number for r in planner.feed(t, float(step))]
        elif what == "take":
            batch = planner.take(float(step))
            out += [t.number for t in batch.tickets] + [r.ticket.number for r in batch.refused]
        else:
            out += [t.number for t in planner.forget(source)]
        held = planner.statistics()
        assert held.finals <= limit and held.interims <= limit
    out += [t.number for t in planner.flush()]
    assert sorted(out) == sorted(fed)
