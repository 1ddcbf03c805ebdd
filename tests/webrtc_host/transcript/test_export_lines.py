"""Finals of one utterance are one paragraph in plain text; subtitles keep their finals and can be read."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from host_stt_common.subtitles import CUE_MS_MIN
from tests.support.record import T0_WALL_MS, a_record
from webrtc_host.transcript.export import Exporter, ExportRequest
from webrtc_host.transcript.export_formats import Clock, Format, Times, Writer
from webrtc_host.transcript.export_lines import Cues, Line, Paragraphs
from webrtc_host.transcript.records import Span


def a_line(text: str, start_ms: int, end_ms: int, utterance: str = "u_1", **fields: str) -> Line:
    channel = fields.pop("channel", "C01")
    line = Line(channel, channel, f"g_{start_ms}", start_ms, end_ms, text, text, utterance=utterance)
    return Line(**{field: getattr(line, field) for field in Line.__slots__} | fields)


def written(kind: Format, *lines: Line, is_merged: bool = False) -> str:
    writer = Writer(kind, Times(Clock.SESSION, 0), is_merged=is_merged)
    return "".join([writer.lines([line]) for line in lines]) + writer.tail()


def test_finals_of_one_utterance_are_one_paragraph() -> None:
    text = written(
        Format.TXT,
        a_line("And so,", 0, 900),
        a_line("my fellow Americans", 1000, 2000),
        a_line("ask not", 3000, 3900, "u_2"),
    )
    assert text == ("[00:00.000 - 00:02.000] And so, my fellow Americans\n[00:03.000 - 00:03.900] ask not\n")


def test_two_channels_that_speak_at_once_have_a_paragraph_each() -> None:
    text = written(
        Format.TXT,
        a_line("alpha", 0, 900),
        a_line("bravo", 500, 1400, "u_2", channel="C02"),
        a_line("one", 1000, 1900),
        a_line("two", 1500, 2400, "u_2", channel="C02"),
        is_merged=True,
    )
    assert text.splitlines() == [
        "[00:00.000 - 00:01.900] C01: alpha one",
        "[00:00.500 - 00:02.400] C02: bravo two",
    ]


def test_scripts_without_spaces_are_joined_without_a_space() -> None:
    text = written(
        Format.TXT,
        a_line("今日は", 0, 900, language="ja"),
        a_line("晴れです。", 1000, 2000, language="ja"),
    )
    assert text == "[00:00.000 - 00:02.000] 今日は晴れです。\n"


def test_after_a_minute_a_new_paragraph_begins() -> None:
    starts = [0, 30_000, 58_000, 60_000]
    lines = [a_line(str(start), start, start + 1000) for start in starts]
    assert [line.split("] ")[1] for line in written(Format.TXT, *lines).splitlines()] == [
        "0 30000 58000",
        "60000",
    ]


def test_lines_of_old_records_without_an_utterance_stay_apart() -> None:
    assert len(written(Format.TXT, a_line("a", 0, 9, ""), a_line("b", 10, 19, "")).splitlines()) == 2


def test_a_short_subtitle_is_extended_up_to_the_next_one_of_its_channel() -> None:
    text = written(
        Format.SRT,
        a_line("a", 0, 200),
        a_line("b", 600, 700, "u_2"),
        a_line("other", 650, 3000, channel="C02"),
        a_line("c", 5000, 5100),
    )
    assert [row for row in text.splitlines() if "-->" in row] == [
        "00:00:00,000 --> 00:00:00,600",
        "00:00:00,600 --> 00:00:01,600",
        "00:00:00,650 --> 00:00:03,000",
        "00:00:05,000 --> 00:00:06,000",
    ]


spoken = st.lists(
    st.tuples(
        st.integers(0, 20_000), st.integers(1, 3000), st.sampled_from("ab"), st.sampled_from(["C01", "C02"])
    ),
    max_size=30,
)


@given(spoken)
def test_no_word_is_lost_and_the_order_stays(pieces: list[tuple[int, int, str, str]]) -> None:
    lines = [
        a_line(f"w{i}", start, start + length, f"{channel}{utterance}", channel=channel)
        for i, (start, length, utterance, channel) in enumerate(sorted(pieces))
    ]
    for held in (Paragraphs(), Cues()):
        found = [ready for line in lines for ready in held.feed(line)] + list(held.rest())
        assert [line.start_ms for line in found] == sorted(line.start_ms for line in found)
        for channel in ("C01", "C02"):
            words = " ".join(line.text for line in found if line.channel == channel)
            assert words == " ".join(line.text for line in lines if line.channel == channel)


def test_a_word_that_would_only_flash_is_shown_with_the_next_words_of_its_utterance() -> None:
    text = written(
        Format.SRT,
        a_line("And", 0, 356),
        a_line("it is worth", 356, 1800),
        a_line("mentioning.", 1810, 2800),
        a_line("Yes.", 3000, 3300, "u_2"),
        a_line("Over.", 3500, 4700, "u_3"),
    )
    assert text == (
        "1\n00:00:00,000 --> 00:00:01,800\nAnd it is worth\n\n"
        "2\n00:00:01,810 --> 00:00:02,810\nmentioning.\n\n"
        "3\n00:00:03,000 --> 00:00:03,500\nYes.\n\n"
        "4\n00:00:03,500 --> 00:00:04,700\nOver.\n\n"
    )


@given(spoken)
def test_a_subtitle_can_be_read_or_the_next_one_begins(pieces: list[tuple[int, int, str, str]]) -> None:
    lines = [
        a_line("x", start, start + length, channel=channel) for start, length, _, channel in sorted(pieces)
    ]
    cues = Cues()
    found = [ready for line in lines for ready in cues.feed(line)] + list(cues.rest())
    for at, cue in enumerate(found):
        following = [later.start_ms for later in found[at + 1 :] if later.channel == cue.channel]
        assert cue.end_ms - cue.start_ms >= CUE_MS_MIN or cue.end_ms >= following[0]


async def test_a_session_is_exported_with_a_paragraph_for_each_utterance(tmp_path: Path) -> None:
    async with a_record(tmp_path) as record:
        log = record.session()
        record.channel(log, "C01", "Tower")
        for start_ms, text in ((0, "alpha one"), (1500, "proceed"), (3000, "to gate seven")):
            record.final(log, text, start_ms, utterance="u_long", language="en")
        await record.written()
        request = ExportRequest(Span("s_1", frozenset({"C01"})), Clock.SESSION, T0_WALL_MS, "night shift")
        exporter = Exporter(record.store)
        text = b"".join([piece async for piece in exporter.text(request, Format.TXT)]).decode()
        assert text == "[00:00.000 - 00:04.500] alpha one proceed to gate seven\n"
        csv = b"".join([piece async for piece in exporter.text(request, Format.CSV)]).decode()
        assert csv.count("g_") == 3
