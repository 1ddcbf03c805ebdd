"""Late sound lands in the gaps it was sent for, and nowhere else."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from host_stt.contract import Float32Array
from tests.support.events import an_event
from tests.support.peers import BlockKeeper, Rig
from webrtc_host.config import LimitsConfig
from webrtc_host.events import SegmentFinal
from webrtc_host.recovery.gap_filling import (
    AROUND_SAMPLES,
    GapNotes,
    GapSink,
    Run,
    claim_gaps,
    cut_words,
    stretches,
)
from webrtc_host.seams import Block, BlockKind, CoverageState, EventType
from webrtc_host.session.channel import Channel, ChannelSpec, DoorKind
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.transcript.saved_log import SavedLog

SECOND = 16_000


def sound(seconds: float) -> Float32Array:
    return np.full(round(seconds * SECOND), 0.1, np.float32)


def fed_channel(rig: Rig, now: list[float], *pieces: tuple[float, float, BlockKind]) -> Channel:
    """A live channel that received these (start, seconds, kind)."""
    session = rig.registry.current()

    async def end(reason: str) -> int:
        return 0

    connection = rig.registry.connect(session, DoorKind.WEBRTC, [ChannelSpec("C01")], end)
    channel = connection.channels[0]
    channel.open()
    for start_s, seconds, kind in pieces:
        channel.feed(Block(round(start_s * SECOND), sound(seconds), kind))
        now[0] = max(now[0], start_s + seconds)
    return channel


def a_channel(*pieces: tuple[float, float, BlockKind]) -> tuple[Channel, Rig]:
    now = [0.0]
    rig = Rig(clock=lambda: now[0])
    return fed_channel(rig, now, *pieces), rig


AUDIO, LOST = BlockKind.AUDIO, BlockKind.LOST


def test_only_what_never_came_is_claimed_and_only_once() -> None:
    channel, _ = a_channel((0, 5, AUDIO), (5, 4, LOST), (9, 3, AUDIO))
    late = [Run(3 * SECOND, sound(8))]
    assert claim_gaps(channel, late) == ((5 * SECOND, 9 * SECOND),)
    assert claim_gaps(channel, late) == ()


def test_what_may_still_come_live_is_not_claimed() -> None:
    channel, _ = a_channel((0, 5, AUDIO), (5, 1, LOST))
    assert claim_gaps(channel, [Run(5 * SECOND, sound(10))]) == ((5 * SECOND, 6 * SECOND),)


def test_a_gap_too_short_to_hear_is_left_alone() -> None:
    channel, _ = a_channel((0, 5, AUDIO), (5, 0.1, LOST), (5.1, 3, AUDIO))
    assert claim_gaps(channel, [Run(4 * SECOND, sound(3))]) == ()


def test_a_hole_between_two_connections_is_a_gap() -> None:
    channel, _ = a_channel((0, 5, AUDIO), (11, 2, AUDIO))
    assert claim_gaps(channel, [Run(0, sound(30))]) == ((5 * SECOND, 11 * SECOND),)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 10)), min_size=1, max_size=4),
)
def test_the_gaps_sound_is_heard_in_order_and_no_sample_twice(
    runs: list[tuple[int, int]], gaps: list[tuple[int, int]]
) -> None:
    sent = [Run(a * SECOND, sound(n)) for a, n in sorted(runs)]
    wanted = [(a * SECOND, (a + n) * SECOND) for a, n in sorted(gaps)]
    blocks = list(stretches(sent, wanted))
    for before, after in zip(blocks, blocks[1:], strict=False):
        assert before.end_sample <= after.start_sample
    heard = {s for b in blocks for s in range(b.start_sample // SECOND, b.end_sample // SECOND)}
    present = {s for a, n in runs for s in range(a, a + n)}
    around = AROUND_SAMPLES // SECOND
    near = {s for a, n in gaps for s in range(max(0, a - around), a + n + around)}
    assert heard == present & near


def final(*words: tuple[str, int, int], text: str) -> dict[str, Any]:
    return {
        "utterance": "u_1",
        "segment": "g_1",
        "start_ms": words[0][1],
        "end_ms": words[-1][2],
        "text": text,
        "raw": text,
        "words": [{"text": w, "start_ms": a, "end_ms": b, "p": 0.9} for w, a, b in words],
        "edits": [],
    }


def a_final(*words: tuple[str, int, int], text: str) -> SegmentFinal:
    made = an_event(EventType.SEGMENT_FINAL, "C01", **final(*words, text=text))
    assert isinstance(made, SegmentFinal)
    return made


def test_words_that_were_heard_live_are_not_written_again() -> None:
    channel, rig = a_channel((0, 5, AUDIO), (5, 4, LOST), (9, 3, AUDIO))
    sink = GapSink(channel, [(5 * SECOND, 9 * SECOND)])
    sink.emit(
        an_event(
            EventType.SEGMENT_FINAL,
            **final(
                ("Hold", 4500, 4900),
                ("at", 4950, 5150),
                ("gate", 5200, 5600),
                ("7.", 5700, 6000),
                text="Hold at gate 7.",
            ),
        )
    )
    sink.emit(an_event(EventType.SEGMENT_FINAL, **final(("over", 9200, 9500), text="over")))
    [written] = rig.logs[channel.session.id].of(EventType.SEGMENT_FINAL)
    assert (written["text"], written["start_ms"], written["end_ms"]) == ("at gate 7.", 4950, 6000)
    assert written["source"] == "backfill"
    assert sink.segments == 1


def test_a_word_that_was_read_on_both_sides_of_the_edge_is_written_once() -> None:
    log = SavedLog("s_1", capacity=100, now_ms=lambda: 12_000)
    registry = SessionRegistry(LimitsConfig(), lambda *_: log, BlockKeeper)
    channel = registry.channel(registry.current(), "C01")
    live = final(("hold", 4300, 4600), ("at", 4700, 4800), ("gate", 4850, 5000), text="hold at gate")
    log.emit(an_event(EventType.SEGMENT_FINAL, "C01", **live))
    sink = GapSink(channel, [(5 * SECOND, 9 * SECOND)])
    late = final(("gate", 4900, 5300), ("gate", 5600, 5900), ("seven", 6000, 6400), text="Gate gate seven")
    sink.emit(an_event(EventType.SEGMENT_FINAL, **late))
    written = json.loads(list(log.since(0))[-1].data)
    assert (written["text"], written["start_ms"]) == ("gate seven", 5600)


def heard_live(*words: tuple[str, int, int]) -> tuple[Channel, SavedLog]:
    log = SavedLog("s_1", capacity=100, now_ms=lambda: 12_000)
    registry = SessionRegistry(LimitsConfig(), lambda *_: log, BlockKeeper)
    log.emit(
        an_event(EventType.SEGMENT_FINAL, "C01", **final(*words, text=" ".join(text for text, _, _ in words)))
    )
    return registry.channel(registry.current(), "C01"), log


def last_text(log: SavedLog) -> str:
    return str(json.loads(list(log.since(0))[-1].data)["text"])


def test_a_word_whose_head_was_lost_is_read_late_when_nobody_made_it_out_live() -> None:
    channel, log = heard_live(("at", 9000, 9300), ("checkpoint", 9310, 9900))
    sink = GapSink(channel, [(5 * SECOND, 9 * SECOND)])
    late = (
        ("four", 8550, 8830),
        ("we", 8830, 8990),
        ("are", 8990, 9110),
        ("at", 9130, 9290),
        ("ch", 9300, 9700),
    )
    sink.emit(an_event(EventType.SEGMENT_FINAL, **final(*late, text="four we are at ch")))
    assert last_text(log) == "four we are"


def test_a_word_whose_tail_was_lost_is_read_late_when_nobody_made_it_out_live() -> None:
    channel, log = heard_live(("proceed", 4000, 4500), ("to", 4520, 4700))
    sink = GapSink(channel, [(5 * SECOND, 9 * SECOND)])
    late = (("proceed", 4010, 4500), ("to", 4500, 4690), ("gate", 4700, 5060), ("seven", 5100, 5500))
    sink.emit(an_event(EventType.SEGMENT_FINAL, **final(*late, text="proceed to gate seven")))
    assert last_text(log) == "gate seven"


def test_a_word_that_was_cut_and_read_otherwise_live_is_not_written_beside_it() -> None:
    channel, log = heard_live(("car", 9000, 9120), ("at", 9130, 9300))
    sink = GapSink(channel, [(5 * SECOND, 9 * SECOND)])
    late = (("we", 8830, 8980), ("are", 8980, 9110), ("at", 9130, 9290))
    sink.emit(an_event(EventType.SEGMENT_FINAL, **final(*late, text="we are at")))
    assert last_text(log) == "we"


def test_an_utterance_is_told_as_far_as_it_lies_in_the_gap() -> None:
    channel, rig = a_channel((0, 5, AUDIO), (5, 4, LOST), (9, 3, AUDIO))
    sink = GapSink(channel, [(5 * SECOND, 9 * SECOND)])
    for utterance, start, end in (("u_1", 4000, 6000), ("u_2", 9100, 9900)):
        sink.emit(an_event(EventType.SPEECH_STARTED, utterance=utterance, start_ms=start))
        sink.emit(
            an_event(EventType.SPEECH_ENDED, utterance=utterance, start_ms=start, end_ms=end, rule="gap")
        )
    sink.emit(an_event(EventType.SEGMENT_INTERIM, text="at", start_ms=5000, end_ms=5100))
    log = rig.logs[channel.session.id]
    started = {"utterance": "u_1", "start_ms": 5000, "start": "00:05.000"}
    assert log.of(EventType.SPEECH_STARTED) == [started]
    assert [(e["utterance"], e["start_ms"], e["end_ms"]) for e in log.of(EventType.SPEECH_ENDED)] == [
        ("u_1", 5000, 6000)
    ]
    assert not log.of(EventType.SEGMENT_INTERIM)


def test_verdicts_hold_inside_the_gaps_alone() -> None:
    told: list[tuple[int, int, CoverageState]] = []

    class Notes:
        def decide(self, start: int, end: int, state: CoverageState, reason: str | None = None) -> None:
            raise AssertionError("late knowledge is a repair")

        def repair(self, start: int, end: int, state: CoverageState, reason: str | None = None) -> None:
            told.append((start, end, state))

    notes = GapNotes(Notes(), [(10, 20), (40, 50)])
    notes.decide(0, 15, CoverageState.SILENCE)
    notes.decide(15, 60, CoverageState.TRANSCRIBED)
    assert told == [
        (10, 15, CoverageState.SILENCE),
        (15, 20, CoverageState.TRANSCRIBED),
        (40, 50, CoverageState.TRANSCRIBED),
    ]


def test_korean_words_are_cut_without_changing_what_stands_between_them() -> None:
    line = a_final(
        ("알파원", 0, 500), ("정문으로", 500, 900), ("이동하라.", 900, 1500), text="알파원 정문으로 이동하라."
    )
    cut = cut_words(line, line.words[1:])
    assert (cut.text, cut.start_ms) == ("정문으로 이동하라.", 500)


def test_words_the_text_does_not_hold_stand_for_themselves() -> None:
    line = a_final(("alpha", 0, 400), ("one", 400, 700), ("go", 700, 900), text="Alpha-1 go")
    assert cut_words(line, line.words[1:]).text == "one go"
