"""Lines in groups: what one window can hold, where a group ends, and which audio it takes."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from webrtc_host.review.lines import GROUP_MS_MAX, LINES_MAX, ChannelLines, Group, Line


def a_line(number: int, start_ms: int, end_ms: int, language: str | None = "en") -> Line:
    return Line(f"g_{number}", "u_1", start_ms, end_ms, "text", "text", language, -0.4)


def channel_lines() -> ChannelLines:
    return ChannelLines(before_ms=300, after_ms=600)


def names(groups: Sequence[Group]) -> list[list[str]]:
    return [[line.segment for line in group.lines] for group in groups]


def test_a_group_is_complete_when_the_channel_was_quiet() -> None:
    lines = channel_lines()
    lines.begin_speech()
    assert lines.add(a_line(1, 5000, 8000), 10.0) == []
    assert lines.add(a_line(2, 8400, 9000), 11.0) == []
    assert lines.quiet(20.0, 2.0) == [], "a person speaks"
    lines.end_speech(21.0)
    assert lines.quiet(22.0, 2.0) == []
    (group,) = lines.quiet(23.0, 2.0)
    assert names([group]) == [["g_1", "g_2"]]
    assert (group.from_ms, group.to_ms) == (4700, 9600)
    assert lines.quiet(30.0, 2.0) == []


def test_a_long_talk_is_cut_at_its_longest_late_pause() -> None:
    lines = channel_lines()
    times = [(0, 4000), (4900, 9000), (9100, 14_000), (14_800, 20_000), (20_100, 26_000)]
    for number, (start, end) in enumerate(times):
        assert lines.add(a_line(number, start, end), 1.0) == []
    (group,) = lines.add(a_line(9, 26_200, 31_000), 2.0)
    assert names([group]) == [["g_0", "g_1", "g_2"]]
    assert group.to_ms == 14_400, "half of the pause before the next line"
    (rest,) = lines.quiet(9.0, 2.0)
    assert names([rest]) == [["g_3", "g_4", "g_9"]]
    assert rest.from_ms == 14_500


def test_the_language_of_a_group_is_known_only_when_all_lines_have_it() -> None:
    def language(*codes: str | None) -> str | None:
        return Group(tuple(a_line(n, n, n, code) for n, code in enumerate(codes)), 0, 1).language

    assert language("ko", "ko") == "ko"
    assert language("ko", "en") is None and language("ko", None) is None


def test_the_text_of_past_audio_is_left_out() -> None:
    lines = channel_lines()
    lines.add(a_line(1, 60_000, 61_000), 1.0)
    assert lines.add(a_line(2, 10_000, 12_000), 1.0) == []
    assert names(lines.quiet(9.0, 2.0)) == [["g_1"]]


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 26_000)), min_size=1, max_size=120))
def test_each_line_is_in_one_group_in_order_and_no_audio_is_taken_twice(
    steps: list[tuple[int, int]],
) -> None:
    lines, groups, at, expected = channel_lines(), [], 0, []
    for number, (pause, length) in enumerate(steps):
        line = a_line(number, at + pause, at + pause + length)
        at = line.end_ms
        expected.append(line.segment)
        groups += lines.add(line, 0.0)
    groups += lines.quiet(10.0, 2.0)
    assert [name for group in names(groups) for name in group] == expected
    for group in groups:
        assert len(group.lines) <= LINES_MAX
        assert group.lines[-1].end_ms - group.lines[0].start_ms <= GROUP_MS_MAX
        assert group.from_ms <= group.lines[0].start_ms and group.lines[-1].end_ms <= group.to_ms
        assert group.to_ms - group.from_ms < 30_000
    for before, after in zip(groups, groups[1:], strict=False):
        assert before.to_ms <= after.from_ms


def test_lines_of_two_connections_are_never_in_one_group() -> None:
    lines = channel_lines()
    assert lines.end_connection(1000) == []
    lines.begin_speech()
    lines.add(a_line(1, 5000, 8000), 10.0)
    assert names(lines.end_connection(9000)) == [["g_1"]], "also while a person speaks"
    assert lines.add(a_line(2, 8200, 8900), 11.0) == []
    (late,) = lines.add(a_line(3, 9100, 9500), 12.0)
    assert names([late]) == [["g_2"]], "the last words were written after the connection was closed"
    assert late.to_ms == 9000
    assert names(lines.end()) == [["g_3"]] and lines.quiet(99.0, 2.0) == []
