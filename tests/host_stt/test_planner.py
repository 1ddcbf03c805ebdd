"""The planner's promises: no final lost, starved or answered twice; interims young; batches within budget."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from host_stt.contract import Priority
from host_stt.load_levels import Load
from host_stt.planner import Planner, PlannerConfig
from host_stt.tickets import Batch, Group, Refused, ShedReason, Ticket
from tests.support.windows import window

FINAL, INTERIM, BACKGROUND = Priority.FINAL, Priority.INTERIM, Priority.BACKGROUND
numbers = count()


def ticket(
    window_id: str,
    priority: Priority = FINAL,
    channel: str = "C01",
    *,
    source: str = "a",
    arrived_s: float = 0.0,
    start_sample: int = 0,
    deadline_ms: int = 15_000,
    start_within_ms: int = 0,
    prompt_tokens: int = 0,
    window_s: int = 10,
    is_second_decode: bool = False,
) -> Ticket:
    w = window(
        window_id,
        channel=channel,
        priority=priority,
        start_sample=start_sample,
        deadline_ms=deadline_ms,
        start_within_ms=start_within_ms,
        is_second_decode=is_second_decode,
    )
    return Ticket(next(numbers), source, w, Group(priority, window_s, prompt_tokens), arrived_s)


def names(batch: Batch | None) -> list[str]:
    return [t.window.id for t in batch.tickets] if batch else []


def order(planner: Planner, now_s: float = 0.0) -> list[list[str]]:
    """What comes out, batch by batch, until nothing waits."""
    batches = []
    while not planner.is_empty:
        batches.append(names(planner.take(now_s)))
    return batches


def teach(planner: Planner, *, window_s: int = 10, fixed_s: float = 0.0, per_row_s: float) -> None:
    """Let the planner see calls of a machine that takes so long."""
    for turn in range(200):
        rows = 1 + turn % 8
        for is_final in (True, False):
            planner.cost.observe(is_final, window_s, rows, fixed_s + rows * per_row_s)


def test_a_final_over_its_wait_is_refused_as_behind_and_newer_ones_are_decoded() -> None:
    planner = Planner(PlannerConfig(batch_max=1))
    for name, arrived_s, limit_ms in (("old", 0.0, 8000), ("patient", 0.0, 0), ("new", 5.0, 8000)):
        planner.feed(ticket(name, arrived_s=arrived_s, start_within_ms=limit_ms))
    assert planner.on_tick(8.0) == []
    (refused,) = planner.on_tick(8.1)
    assert (refused.ticket.window.id, refused.reason) == ("old", ShedReason.BEHIND)
    assert (refused.answer.code, refused.answer.is_retryable) == ("behind", False)
    assert order(planner) == [["patient"], ["new"]]


def test_finals_come_before_interims_and_each_in_order_of_arrival() -> None:
    planner = Planner(PlannerConfig(batch_max=1))
    for t in (ticket("i1", INTERIM, "C01"), ticket("f1", FINAL, "C02"), ticket("i2", INTERIM, "C03")):
        planner.feed(t)
    planner.feed(ticket("f2", FINAL, "C04"))
    assert order(planner) == [["f1"], ["f2"], ["i1"], ["i2"]]


def test_a_second_decode_waits_for_finals_and_runs_before_interims() -> None:
    planner = Planner(PlannerConfig(batch_max=1))
    for t in (
        ticket("i1", INTERIM, "C01"),
        ticket("again", channel="C02", is_second_decode=True),
        ticket("f1", channel="C03"),
        ticket("f2", channel="C04"),
    ):
        assert not planner.feed(t)
    assert order(planner) == [["f1"], ["f2"], ["again"], ["i1"]]


def test_a_worker_for_finals_leaves_second_decodes_to_the_other_worker() -> None:
    planner = Planner(PlannerConfig())
    planner.feed(ticket("again", is_second_decode=True))
    assert planner.take(0.0, is_for_finals=True) is None
    assert names(planner.take(0.0)) == ["again"]


def test_a_second_decode_of_a_file_runs_before_other_windows_of_files() -> None:
    planner = Planner(PlannerConfig(batch_max=1))
    for n in range(2):
        planner.feed(ticket(f"b{n}", BACKGROUND))
    planner.feed(ticket("again", BACKGROUND, is_second_decode=True))
    assert order(planner) == [["again"], ["b0"], ["b1"]]


def test_a_second_decode_that_waits_too_long_is_shed() -> None:
    planner = Planner(PlannerConfig(second_decode_age_ms_max=3000))
    planner.feed(ticket("again", is_second_decode=True))
    assert planner.on_tick(3.0) == []
    (refused,) = planner.on_tick(3.1)
    assert (refused.ticket.window.id, refused.reason) == ("again", ShedReason.STALE)
    assert planner.is_empty


def test_a_second_decode_is_refused_under_overload_or_when_too_many_wait() -> None:
    planner = Planner(PlannerConfig(queue_second_decodes=1))
    assert not planner.feed(ticket("a1", is_second_decode=True))
    (full,) = planner.feed(ticket("a2", is_second_decode=True))
    assert full.reason is ShedReason.FULL
    planner.feed(ticket("f1"))
    assert rungs(planner, 0, 8)[-1] is Load.FINALS_ONLY
    (shed,) = planner.feed(ticket("a3", is_second_decode=True))
    assert shed.reason is ShedReason.OVERLOAD


def test_finals_of_one_group_are_decoded_together_and_the_oldest_chooses_the_group() -> None:
    planner = Planner(PlannerConfig(batch_max=3))
    for name, prompt_tokens in (("f0", 0), ("f1", 16), ("f2", 0), ("f3", 0), ("f4", 0), ("f5", 16)):
        planner.feed(ticket(name, prompt_tokens=prompt_tokens))
    assert order(planner) == [["f0", "f2", "f3"], ["f1", "f5"], ["f4"]]


def test_rows_of_unlike_length_or_prompt_never_share_a_batch() -> None:
    planner = Planner(PlannerConfig(batch_max=16))
    teach(planner, per_row_s=0.001)
    for n, (window_s, prompt_tokens) in enumerate([(10, 0), (15, 0), (10, 16), (30, 223)]):
        planner.feed(ticket(f"i{n}", INTERIM, f"C{n}", window_s=window_s, prompt_tokens=prompt_tokens))
    assert order(planner) == [["i0"], ["i1"], ["i2"], ["i3"]]


def test_a_newer_interim_replaces_the_older_one_of_its_channel() -> None:
    planner = Planner(PlannerConfig())
    assert planner.feed(ticket("old", INTERIM)) == []
    (refused,) = planner.feed(ticket("new", INTERIM))
    assert (refused.ticket.window.id, refused.answer.code, refused.answer.is_retryable) == (
        "old",
        "shed",
        False,
    )
    assert order(planner) == [["new"]]


def test_the_same_channel_of_another_connection_is_another_channel() -> None:
    planner = Planner(PlannerConfig(batch_max=1))
    planner.feed(ticket("a1", INTERIM, source="a"))
    assert planner.feed(ticket("b1", INTERIM, source="b")) == []
    assert order(planner) == [["a1"], ["b1"]]


def test_a_final_replaces_the_interim_of_the_same_speech_but_not_a_later_one() -> None:
    planner = Planner(PlannerConfig(batch_max=1))
    planner.feed(ticket("same", INTERIM, "C01"))
    planner.feed(ticket("later", INTERIM, "C02", start_sample=99_000))
    assert [r.ticket.window.id for r in planner.feed(ticket("f1", FINAL, "C01"))] == ["same"]
    assert planner.feed(ticket("f2", FINAL, "C02")) == []
    assert order(planner) == [["f1"], ["f2"], ["later"]]


def test_a_full_queue_refuses_the_new_final_and_drops_none() -> None:
    planner = Planner(PlannerConfig(queue_finals=2))
    for name in ("f1", "f2"):
        assert planner.feed(ticket(name)) == []
    (refused,) = planner.feed(ticket("f3"))
    assert (refused.ticket.window.id, refused.answer.code, refused.answer.is_retryable) == (
        "f3",
        "overloaded",
        True,
    )
    assert order(planner) == [["f1", "f2"]]


def test_too_many_channels_shed_the_interim_that_waited_longest() -> None:
    planner = Planner(PlannerConfig(queue_interims=2))
    for channel in ("C01", "C02"):
        planner.feed(ticket(channel, INTERIM, channel))
    (refused,) = planner.feed(ticket("C03", INTERIM, "C03"))
    assert refused.ticket.window.id == "C01"
    assert planner.statistics().interims == 2


def test_the_channel_served_longest_ago_comes_first() -> None:
    planner = Planner(PlannerConfig(batch_max=1))
    for turn, channel in enumerate(("C01", "C02", "C03")):
        planner.feed(ticket(f"first {channel}", INTERIM, channel))
        planner.take(float(turn))
    for channel in ("C03", "C02", "C01"):
        planner.feed(ticket(channel, INTERIM, channel, arrived_s=5.0))
    assert order(planner, 5.0) == [["C01"], ["C02"], ["C03"]]


def test_windows_of_files_wait_while_anything_live_waits() -> None:
    planner = Planner(PlannerConfig(queue_background=2))
    planner.feed(ticket("file", BACKGROUND, "file"))
    planner.feed(ticket("i1", INTERIM, "C01"))
    planner.feed(ticket("f1", FINAL, "C02"))
    assert [names(planner.take(0.0)) for _ in range(3)] == [["f1"], ["i1"], ["file"]]
    for n in range(2):
        assert planner.feed(ticket(f"b{n}", BACKGROUND, "file")) == []
    (refused,) = planner.feed(ticket("b2", BACKGROUND, "file"))
    assert (refused.answer.code, refused.answer.is_retryable) == ("overloaded", True)


def test_files_are_read_in_short_calls_beside_live_channels_and_in_long_ones_without() -> None:
    planner = Planner(PlannerConfig(interim_batch_ms=100, background_batch_ms=25, live_ms=5_000))
    teach(planner, per_row_s=0.010)
    for n in range(12):
        planner.feed(ticket(f"f{n}", BACKGROUND, "file"))
    assert names(planner.take(0.0)) == [f"f{n}" for n in range(10)]
    planner.feed(ticket("now", FINAL, "C01", arrived_s=1.0))
    for n in range(12, 24):
        planner.feed(ticket(f"f{n}", BACKGROUND, "file", arrived_s=1.0))
    assert names(planner.take(1.0)) == ["now"]
    assert names(planner.take(1.1)) == ["f10", "f11"]
    assert names(planner.take(5.9)) == ["f12", "f13"]
    assert names(planner.take(6.1)) == [f"f{n}" for n in range(14, 24)]


def test_a_file_waits_for_an_interim_that_is_not_due_yet() -> None:
    planner = Planner(PlannerConfig(interim_interval_ms=500, raise_after_ms=1000, lower_after_ms=60_000))
    planner.feed(ticket("f1"))
    assert rungs(planner, 0, 2) == [Load.NORMAL, Load.SLOW_INTERIMS]
    planner.feed(ticket("i1", INTERIM, "C02", arrived_s=2.0))
    assert [names(planner.take(2.0)) for _ in range(2)] == [["f1"], ["i1"]]
    planner.feed(ticket("i2", INTERIM, "C02", arrived_s=2.1))
    planner.feed(ticket("file", BACKGROUND, "file", arrived_s=2.1))
    assert names(planner.take(2.2)) == [], "a second call of a file would be in the interim's way"
    assert [names(planner.take(3.1)) for _ in range(2)] == [["i2"], ["file"]]


def test_an_interim_past_its_own_deadline_is_shed_before_the_common_limit() -> None:
    planner = Planner(PlannerConfig(interim_age_ms_max=2000))
    planner.feed(ticket("short", INTERIM, "C01", deadline_ms=500))
    planner.feed(ticket("long", INTERIM, "C02", deadline_ms=15_000))
    assert [(r.ticket.window.id, r.reason) for r in planner.on_tick(0.6)] == [("short", ShedReason.STALE)]
    assert [r.ticket.window.id for r in planner.on_tick(2.1)] == ["long"]


def test_a_worker_kept_for_finals_takes_nothing_else() -> None:
    planner = Planner(PlannerConfig())
    planner.feed(ticket("i1", INTERIM))
    assert planner.take(0.0, is_for_finals=True) is None
    planner.feed(ticket("f1", FINAL, "C02"))
    assert names(planner.take(0.0, is_for_finals=True)) == ["f1"]


def test_a_batch_of_interims_is_kept_within_its_budget_once_costs_are_known() -> None:
    planner = Planner(PlannerConfig(batch_max=16, interim_batch_ms=100))
    teach(planner, fixed_s=0.020, per_row_s=0.010)
    for n in range(16):
        planner.feed(ticket(f"i{n}", INTERIM, f"C{n}"))
    batch = planner.take(0.0)
    assert batch is not None
    assert 7 <= len(batch.tickets) <= 8 and batch.predicted_s <= 0.100


def test_one_interim_is_decoded_even_where_none_fits_the_budget() -> None:
    planner = Planner(PlannerConfig(interim_batch_ms=100))
    teach(planner, per_row_s=2.0)
    planner.feed(ticket("i0", INTERIM, "C01"))
    planner.feed(ticket("i1", INTERIM, "C02"))
    assert order(planner) == [["i0"], ["i1"]]


def test_after_running_out_of_memory_batches_are_half_as_long_and_never_empty() -> None:
    planner = Planner(PlannerConfig(batch_max=4))
    assert [planner.halve_batches() for _ in range(4)] == [2, 1, 1, 1]
    planner.feed(ticket("f1"))
    planner.feed(ticket("f2"))
    assert order(planner) == [["f1"], ["f2"]]


def test_the_windows_of_a_disconnected_source_are_dropped() -> None:
    planner = Planner(PlannerConfig())
    planner.feed(ticket("a1", source="a"))
    planner.feed(ticket("b1", source="b"))
    planner.feed(ticket("a2", INTERIM, "C09", source="a"))
    assert [t.window.id for t in planner.drop_source("a")] == ["a1", "a2"]
    assert order(planner) == [["b1"]]


# --- overload ---------------------------------------------------------------------------------------


def rungs(planner: Planner, from_s: float, to_s: float) -> list[Load]:
    """The rungs the planner comes to stand on while nobody takes a batch."""
    seen = [planner.load]
    for tick in range(int(from_s * 10), int(to_s * 10)):
        planner.on_tick(tick / 10)
        if planner.load is not seen[-1]:
            seen.append(planner.load)
    return seen


def test_load_levels_rise_in_order_and_fall_when_the_load_is_over() -> None:
    planner = Planner(PlannerConfig(raise_after_ms=1000, lower_after_ms=2000, final_wait_ms_max=500))
    planner.feed(ticket("f1"))
    up = [Load.NORMAL, Load.SLOW_INTERIMS, Load.SHORT_INTERIMS, Load.FINALS_ONLY]
    assert rungs(planner, 0, 8) == up
    (refused,) = planner.feed(ticket("i1", INTERIM, "C02", arrived_s=8.0))
    assert refused.reason is ShedReason.OVERLOAD
    assert names(planner.take(8.0)) == ["f1"]
    assert rungs(planner, 8, 20) == up[::-1]
    assert planner.statistics().raises == 3


def test_waiting_interims_are_refused_at_the_highest_load_level() -> None:
    planner = Planner(PlannerConfig(raise_after_ms=1000, final_wait_ms_max=500, interim_age_ms_max=60_000))
    planner.feed(ticket("f1"))
    for channel in ("C02", "C03"):
        planner.feed(ticket(channel, INTERIM, channel, deadline_ms=60_000))
    refused = [one for tick in range(80) for one in planner.on_tick(tick / 10)]
    assert planner.load is Load.FINALS_ONLY
    assert [(r.ticket.window.id, r.reason) for r in refused] == [
        ("C02", ShedReason.OVERLOAD),
        ("C03", ShedReason.OVERLOAD),
    ]
    assert order(planner, 8.0) == [["f1"]]


def test_a_short_overload_does_not_raise_the_load_level() -> None:
    planner = Planner(PlannerConfig(raise_after_ms=1000, final_wait_ms_max=500))
    planner.feed(ticket("f1"))
    assert rungs(planner, 0, 1.4) == [Load.NORMAL]
    planner.take(1.4)
    assert rungs(planner, 1.4, 10) == [Load.NORMAL]


def test_at_the_first_load_level_a_channel_gets_half_as_many_interims() -> None:
    planner = Planner(PlannerConfig(interim_interval_ms=500, lower_after_ms=60_000, raise_after_ms=1000))
    planner.feed(ticket("f1"))
    assert rungs(planner, 0, 2) == [Load.NORMAL, Load.SLOW_INTERIMS]
    assert names(planner.take(2.0)) == ["f1"]
    served = []
    for tick in range(20, 120):  # 10 s, an interim asked at every 0.5 s
        now_s = tick / 10
        if tick % 5 == 0:
            planner.feed(ticket(f"i{tick}", INTERIM, arrived_s=now_s))
        if planner.take(now_s):
            served.append(now_s)
    assert len(served) == 10


# --- any order of arrivals, any speed of decoding -----------------------------------------------------


@dataclass
class Site:
    """Drives a planner as the pool does: one worker, decodes that take time, a tick ten times a second."""

    planner: Planner
    now_s: float = 0.0
    busy_until_s: float = 0.0
    decoded: list[Ticket] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    waits_s: dict[int, float] = field(default_factory=dict)

    def run(self, seconds: float, cost_s: float) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.refused += self.planner.on_tick(self.now_s)
            if self.now_s >= self.busy_until_s and (batch := self.planner.take(self.now_s)):
                self.busy_until_s = self.now_s + cost_s
                self.planner.record_time(batch, cost_s)
                self.waits_s |= {t.number: self.now_s - t.arrived_s for t in batch.tickets}
                self.decoded += batch.tickets
            self.now_s = round(self.now_s + 0.1, 6)


arrivals = st.lists(
    st.tuples(
        st.sampled_from([f"C{n:02}" for n in range(1, 9)]),
        st.sampled_from([FINAL, INTERIM, BACKGROUND]),
        st.sampled_from([0, 16, 32]),  # prompt tokens
        st.floats(0.0, 0.4),  # seconds since the arrival before
        st.floats(0.01, 1.2),  # seconds a decode takes meanwhile
    ),
    max_size=50,
)
Arrivals = list[tuple[str, Priority, int, float, float]]


def play(site: Site, script: Arrivals) -> list[Ticket]:
    asked = []
    for n, (channel, priority, prompt_tokens, gap_s, cost_s) in enumerate(script):
        site.run(gap_s, cost_s)
        t = ticket(f"w{n}", priority, channel, arrived_s=site.now_s, prompt_tokens=prompt_tokens)
        asked.append(t)
        site.refused += site.planner.feed(t)
    return asked


@settings(deadline=None, max_examples=100)
@given(arrivals)
def test_every_ticket_leaves_exactly_once_and_no_final_is_ever_shed(script: Arrivals) -> None:
    site = Site(Planner(PlannerConfig(queue_background=5)))
    asked = play(site, script)
    site.run(60.0, 0.2)
    left = [t.number for t in site.decoded] + [r.ticket.number for r in site.refused]
    assert sorted(left) == sorted(t.number for t in asked)
    assert not [r for r in site.refused if r.ticket.window.priority is FINAL]
    assert site.planner.is_empty


@settings(deadline=None, max_examples=60)
@given(arrivals)
def test_an_interim_is_decoded_within_its_age_limit_or_shed(script: Arrivals) -> None:
    site = Site(Planner(PlannerConfig(interim_age_ms_max=1000)))
    play(site, script)
    site.run(30.0, 0.5)
    interims = [t for t in site.decoded if t.window.priority is INTERIM]
    assert all(site.waits_s[t.number] <= 1.0 + 0.1 for t in interims)


@settings(deadline=None, max_examples=60)
@given(arrivals)
def test_finals_of_a_group_keep_their_order_and_each_is_decoded(script: Arrivals) -> None:
    cost_s = 0.3
    site = Site(Planner(PlannerConfig(batch_max=2)))
    asked = play(site, [(c, p, tokens, gap_s, cost_s) for c, p, tokens, gap_s, _ in script])
    site.run(60.0, cost_s)
    finals = [t for t in asked if t.window.priority is FINAL]
    for group in {t.group for t in finals}:
        order_out = [t.number for t in site.decoded if t.group == group]
        assert order_out == sorted(order_out)
    # At worst each final before it takes a batch of its own, after the call in flight; a tick is 0.1 s.
    for rank, t in enumerate(finals):
        assert site.waits_s[t.number] <= (rank + 1) * (cost_s + 0.1) + 0.1


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["feed", "take", "forget"]), st.sampled_from("ab")), max_size=60))
def test_no_ticket_is_answered_twice_when_a_source_disconnects(
    history: list[tuple[str, str]],
) -> None:
    planner = Planner(PlannerConfig(batch_max=3, queue_finals=4, queue_interims=4, queue_second_decodes=4))
    fed: list[int] = []
    out: list[int] = []
    for step, (what, source) in enumerate(history):
        if what == "feed":
            priority = INTERIM if step % 2 else FINAL
            is_second_decode = priority is FINAL and step % 3 == 0
            t = ticket(f"w{step}", priority, f"C{step % 5}", source=source, is_second_decode=is_second_decode)
            fed.append(t.number)
            out += [r.ticket.number for r in planner.feed(t)]
        elif what == "take" and (batch := planner.take(float(step))):
            out += [t.number for t in batch.tickets]
        elif what == "forget":
            out += [t.number for t in planner.drop_source(source)]
        held = planner.statistics()
        assert max(held.finals, held.interims, held.second_decodes) <= 4
    out += [t.number for t in planner.flush()]
    assert sorted(out) == sorted(fed)
