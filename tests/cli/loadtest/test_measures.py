from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_stt_cli.loadtest import measures
from host_stt_cli.loadtest.measures import Arrived, Point, Spoken


def spoken(start_ms: float, end_ms: float, text: str = "alpha one", channel: str = "C01") -> Spoken:
    return Spoken(channel, start_ms, end_ms, text)


def final(at_ms: float, start_ms: int, end_ms: int, text: str = "alpha one", **more: Any) -> Arrived:
    body = {"type": "segment.final", "channel": "C01", "utterance": "u_1", "text": text}
    return Arrived(at_ms, {"segment": f"g_{at_ms}", **body, "start_ms": start_ms, "end_ms": end_ms, **more})


def interim(at_ms: float, start_ms: int, end_ms: int, text: str = "alpha", **more: Any) -> Arrived:
    return final(at_ms, start_ms, end_ms, text, type="segment.interim", **more)


def test_ttfs_is_the_last_final_minus_the_true_end() -> None:
    heard = measures.heard_of(
        [spoken(1000, 5000)], [final(3000, 1000, 2500), final(5800, 2500, 5000, "proceed")]
    )
    assert measures.ttfs(heard) == [Point(5000, 800)]
    assert heard[0].text == "alpha one proceed"


def revised(at_ms: float, segment: str, text: str, raw: str = "") -> Arrived:
    event = {"type": "segment.revised", "channel": "C01", "segment": segment, "text": text, "raw": raw}
    return Arrived(at_ms, event)


def test_the_newest_revision_of_a_line_is_in_the_record_and_not_in_the_live_text() -> None:
    events = [
        final(3000, 1000, 2500, segment="g_1"),
        final(5800, 2500, 5000, "proceed", segment="g_2"),
        revised(9000, "g_2", "proceeds"),
        revised(9500, "g_2", "ALPHA-1 proceeds to", "alpha one proceeds to"),
        revised(9600, "g_9", "of another utterance"),
    ]
    [heard] = measures.heard_of([spoken(1000, 5000)], events)
    assert heard.text == "alpha one proceed"
    assert heard.recorded == "alpha one alpha one proceeds to"
    assert list(heard.revised) == ["g_2"]


def test_first_text_counts_from_the_true_start_and_may_be_an_interim() -> None:
    heard = measures.heard_of([spoken(1000, 5000)], [interim(1900, 1050, 1700), final(5800, 1000, 5000)])
    assert measures.first_text(heard) == [Point(1000, 900)]


def test_a_final_goes_to_the_utterance_it_overlaps_most_on_its_own_channel() -> None:
    first, second = spoken(0, 2000), spoken(3000, 5000)
    other = spoken(0, 5000, channel="C02")
    heard = measures.heard_of([first, second, other], [final(2500, 100, 2100), final(5600, 1900, 5000)])
    assert [len(h.finals) for h in heard] == [1, 1, 0]
    assert measures.missed(heard) == 1


def test_a_final_outside_all_utterances_has_no_owner() -> None:
    heard = measures.heard_of([spoken(0, 2000)], [final(9000, 7000, 8000)])
    assert measures.missed(heard) == 1 and measures.ttfs(heard) == []


def test_an_utterance_interrupted_by_a_reconnect_is_not_measured() -> None:
    cut = Spoken("C01", 0, 2000, "alpha one", is_whole=False)
    assert measures.missed(measures.heard_of([cut], [])) == 0


def test_interim_age_is_how_old_the_newest_words_are() -> None:
    assert measures.interim_age([interim(1900, 1000, 1700), final(3000, 0, 1)]) == [Point(1900, 200)]


def test_times_are_compared_with_the_truth_both_ways() -> None:
    heard = measures.heard_of([spoken(1000, 2000)], [final(3000, 940, 2100)])
    assert measures.timecode_error(heard) == {"start": [-60], "end": [100]}


def test_time_errors_are_reported_with_their_sign() -> None:
    found = measures.off_by([-60, -50, 10])
    assert (found["n"], found["p50"], found["max"], found["bias"]) == (3, 50, 60, -50)
    assert measures.off_by([]) == {"n": 0}


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(200, 3000)), max_size=30), st.data())
def test_among_many_utterances_the_owner_is_the_one_that_all_of_them_would_name(
    gaps_and_lengths: list[tuple[int, int]], data: st.DataObject
) -> None:
    said, at_ms = [], 0
    for gap, length in gaps_and_lengths:
        said.append(spoken(at_ms + gap, at_ms + gap + length))
        at_ms += gap + length
    start_ms = data.draw(st.integers(0, at_ms + 2000))
    end_ms = start_ms + data.draw(st.integers(1, 6000))
    heard = measures.heard_of(said, [final(at_ms + 9000, start_ms, end_ms)])
    overlaps = [min(one.end_ms, end_ms) - max(one.start_ms, start_ms) for one in said]
    owner = [n for n, h in enumerate(heard) if h.finals]
    if max(overlaps, default=-measures.NEAR_MS) > -measures.NEAR_MS:
        assert [overlaps[n] for n in owner] == [max(overlaps)]
    else:
        assert owner == []


def test_a_plot_over_time_shows_each_stretch_by_itself() -> None:
    points = [Point(100, 1), Point(200, 3), Point(5100, 9)]
    assert measures.over_time(points, 5000, 50) == [Point(2500, 2), Point(7500, 9)]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["alpha", "alpha one", "alpha one go"], 0.0),
        (["alpha", "alfa one", "alpha one go"], 2 / 3 + 1 / 3),  # alpha, then alfa and one
        (["alpha one go now"], 0.0),
    ],
)
def test_erasure_is_the_number_of_removed_interim_words_per_final_word(
    texts: list[str], expected: float
) -> None:
    said = [interim(n, 0, 1, text) for n, text in enumerate(texts)]
    assert measures.erasure([*said, final(99, 0, 1, "alpha one go")]) == pytest.approx(expected, abs=0.001)


def test_words_that_stay_after_a_final_are_not_erased() -> None:
    said = [
        interim(1, 0, 1, "alpha one go to gate"),
        final(2, 0, 1, "alpha one"),
        interim(3, 0, 1, "go to gate seven"),
        final(4, 0, 1, "go to gate seven"),
    ]
    assert measures.erasure(said) == 0.0
    assert measures.erasure([]) is None


def test_word_errors_are_counted_after_normalising() -> None:
    figures = measures.error_rate([("alpha one", "Alpha-1."), ("go to gate seven", "go to the gate")], "en")
    assert (figures["kind"], figures["n"]) == ("WER", 6)
    assert figures["rate"] == pytest.approx(2 / 6, abs=1e-3)


def test_korean_is_judged_by_characters_without_spaces() -> None:
    figures = measures.error_rate([("알파원 정문 도착", "알파 원 정문도착")], "ko")
    assert (figures["kind"], figures["rate"]) == ("CER", 0.0)


def test_the_error_rate_of_empty_text_is_undefined() -> None:
    assert measures.error_rate([], "en") == {"n": 0}


def cover(channel: str, from_ms: int, to_ms: int, state: str) -> dict[str, Any]:
    return {"type": "coverage", "channel": channel, "from_ms": from_ms, "to_ms": to_ms, "state": state}


def test_a_later_word_on_the_same_milliseconds_replaces_the_earlier() -> None:
    events = [cover("C01", 0, 4000, "lost"), cover("C01", 1000, 3000, "transcribed")]
    seconds = measures.coverage(events, 0, 5000)
    assert seconds == {"unknown": 1.0, "lost": 2.0, "transcribed": 2.0}


@given(
    st.lists(
        st.tuples(st.integers(0, 900), st.integers(1, 300), st.sampled_from(["silence", "lost", "shed"])),
        min_size=1,
        max_size=12,
    )
)
def test_coverage_adds_up_to_the_requested_time(pieces: list[tuple[int, int, str]]) -> None:
    events = [cover("C01", a * 10, (a + n) * 10, state) for a, n, state in pieces]
    assert sum(measures.coverage(events, 1000, 8000).values()) == pytest.approx(7.0)


def test_growth_finds_a_slope_and_how_sure_it_is() -> None:
    rising = [Point(n * 1000.0, 500 + n * 10) for n in range(60)]  # 10 ms more each second
    assert measures.growth_per_hour(rising)["slope"] == pytest.approx(36_000)
    flat = [Point(n * 1000.0, 500 + (-1) ** n * 20) for n in range(60)]
    figures = measures.growth_per_hour(flat)
    assert abs(figures["slope"]) < 2 * figures["standard_error"]
    assert measures.growth_per_hour(flat[:5]) == {"n": 5}


def test_percentiles_come_with_their_count() -> None:
    assert measures.percentiles([]) == {"n": 0}
    assert measures.percentiles(list(range(101))) == {"n": 101, "p50": 50, "p95": 95, "p99": 99, "max": 100}
