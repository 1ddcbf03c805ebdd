"""What is exported is read back by programs that others wrote: srt, webvtt-py, csv, json, zipfile, FFmpeg."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import AsyncIterator
from datetime import timedelta, timezone
from pathlib import Path

import av
import numpy as np
import pytest
import srt
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from tests.support.audio_files import encoded
from tests.support.record import T0_WALL_MS, Record, a_record
from webrtc_host.transcript import export
from webrtc_host.transcript.export import Exporter, ExportRequest
from webrtc_host.transcript.export_formats import Clock, Format, Times, Writer, neutral
from webrtc_host.transcript.export_lines import Line
from webrtc_host.transcript.records import Span

SEOUL = timezone(timedelta(hours=9))


def request(clock: Clock = Clock.SESSION, **span: object) -> ExportRequest:
    return ExportRequest(Span("s_1", **span), clock, T0_WALL_MS, "night shift", SEOUL)  # type: ignore[arg-type]


@pytest.fixture
async def record(tmp_path: Path) -> AsyncIterator[Record]:
    async with a_record(tmp_path) as record:
        log = record.session()
        record.channel(log, "C01", "본부")
        record.channel(log, "C02", "Tower")
        record.final(log, "알파원 일번 게이트로 이동", 1_000)
        record.final(log, "second <b>&amp; third --> fourth", 61_234, "C02")
        record.final(log, '=HYPERLINK("http://x","y")', 3_723_004)
        record.final(log, '+82, said "twice"\nover two lines', 3_725_000, "C02", raw="@raw")
        record.coverage(log, 0, 2_500, "transcribed")
        record.coverage(log, 2_500, 9_000, "silence")
        await record.written()
        yield record


async def text(record: Record, kind: Format, asked: ExportRequest | None = None) -> str:
    return b"".join([piece async for piece in Exporter(record.store).text(asked or request(), kind)]).decode()


async def test_srt_is_read_by_srt(record: Record) -> None:
    subtitles = list(srt.parse(await text(record, Format.SRT)))
    assert [one.index for one in subtitles] == [1, 2, 3, 4]
    assert subtitles[0].start == timedelta(seconds=1)
    assert subtitles[0].end == timedelta(seconds=2.5)
    assert subtitles[0].content == "C01 본부: 알파원 일번 게이트로 이동"
    assert subtitles[1].content == "C02 Tower: second <b>&amp; third -> fourth"
    assert subtitles[2].start == timedelta(hours=1, minutes=2, seconds=3, milliseconds=4)
    assert subtitles[3].content.endswith('said "twice" over two lines')


async def test_webvtt_is_read_by_webvtt(record: Record, tmp_path: Path) -> None:
    file = tmp_path / "a.vtt"
    file.write_text(await text(record, Format.VTT), encoding="utf-8")
    captions = webvtt.read(str(file)).captions
    assert [one.identifier for one in captions] == ["g_1", "g_2", "g_3", "g_4"]
    assert (captions[0].start, captions[0].end) == ("00:00:01.000", "00:00:02.500")
    assert captions[0].voice == "C01 본부"
    assert captions[0].text == "알파원 일번 게이트로 이동"
    assert captions[1].raw_text == "<v C02 Tower>second &lt;b&gt;&amp;amp; third --&gt; fourth"


async def test_csv_opens_in_excel_and_calculates_nothing(record: Record) -> None:
    whole = await text(record, Format.CSV)
    assert whole.startswith("\ufeff")
    assert whole.replace("\r\n", "").count("\n") == whole.replace("\r\n", "").count("\r") == 0
    rows = list(csv.DictReader(io.StringIO(whole.removeprefix("\ufeff"), newline="")))
    assert [row["text"] for row in rows] == [
        "알파원 일번 게이트로 이동",
        "second <b>&amp; third --> fourth",
        '\'=HYPERLINK("http://x","y")',
        '\'+82, said "twice" over two lines',
    ]
    assert rows[3]["raw"] == "'@raw"
    assert rows[0]["confidence"] == "0.763"
    assert (rows[2]["start"], rows[2]["start_ms"]) == ("01:02:03.004", "3723004")
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]


async def test_jsonl_has_the_event_of_the_wire_in_each_line(record: Record) -> None:
    lines = [json.loads(line) for line in (await text(record, Format.JSONL)).splitlines()]
    assert [line["segment"] for line in lines] == ["g_1", "g_2", "g_3", "g_4"]
    assert lines[3]["text"].count("\n") == 1
    assert lines[0]["type"] == "segment.final"
    local = [
        json.loads(line) for line in (await text(record, Format.JSONL, request(Clock.LOCAL))).splitlines()
    ]
    assert local[0]["start_wall"] == "2026-11-21T15:10:01.000+09:00"


async def test_plain_text_in_three_clocks(record: Record) -> None:
    first = [(await text(record, Format.TXT, request(clock))).splitlines()[0] for clock in Clock]
    assert first == [
        "[00:01.000 - 00:02.500] C01 본부: 알파원 일번 게이트로 이동",
        "[2026-11-21 06:10:01.000Z - 2026-11-21 06:10:02.500Z] C01 본부: 알파원 일번 게이트로 이동",
        "[2026-11-21 15:10:01.000+09:00 - 2026-11-21 15:10:02.500+09:00] C01 본부: 알파원 일번 게이트로 이동",
    ]


async def test_subtitles_by_wall_clock_count_from_midnight(record: Record) -> None:
    (first, *_) = srt.parse(await text(record, Format.SRT, request(Clock.UTC)))
    assert first.start == timedelta(hours=6, minutes=10, seconds=1)
    (first, *_) = srt.parse(await text(record, Format.SRT, request(Clock.LOCAL)))
    assert first.start == timedelta(hours=15, minutes=10, seconds=1)


async def test_one_channel_and_a_range_of_time(record: Record) -> None:
    one = await text(record, Format.TXT, request(channels=frozenset({"C02"})))
    assert [line.split("] ")[1][:6] for line in one.splitlines()] == ["second", "+82, s"]
    part = await text(record, Format.TXT, request(from_ms=2_499, to_ms=61_235))
    assert len(part.splitlines()) == 2
    assert await text(record, Format.TXT, request(from_ms=2_500, to_ms=61_234)) == ""


async def test_a_long_session_is_exported_page_by_page(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE_LINES", 3)
    log = record.logs["s_1"]
    for number in range(10):  # spoken before, and two at one moment
        record.final(log, f"line {number}", number // 2 * 10)
    await record.written()
    pieces = [piece async for piece in Exporter(record.store).text(request(), Format.TXT)]
    lines = b"".join(pieces).decode().splitlines()
    assert len(pieces) == 6  # five pages, and the lines that waited for the lines after them
    assert [line.rsplit(" ", 1)[1] for line in lines[:10]] == [str(number) for number in range(10)]
    assert len(lines) == 14


class Sounds:
    """C01 has ten minutes of kept sound, C02 none."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []
        tone = np.sin(np.arange(48_000) / 20).astype(np.float32)[np.newaxis] * 0.1
        self.ogg_bytes = encoded(tone, 48_000, "ogg", "libopus")

    async def ogg(self, session: str, channel: str, from_ms: int, to_ms: int) -> bytes | None:
        self.asked.append((channel, from_ms, to_ms))
        return self.ogg_bytes if channel == "C01" else None


async def test_the_zip_has_every_format_the_coverage_and_audio_that_ffmpeg_decodes(record: Record) -> None:
    sounds = Sounds()
    pieces = [piece async for piece in Exporter(record.store, sounds).zip(request())]
    archive = zipfile.ZipFile(io.BytesIO(b"".join(pieces)))
    assert archive.testzip() is None
    assert sounds.asked == [("C01", 0, 9_000)]
    assert sorted(archive.namelist()) == [
        "audio/C01/000000000.ogg",
        "coverage.csv",
        "session.json",
        *sorted(f"transcript.{kind}" for kind in Format),
    ]
    for kind in Format:
        assert archive.read(f"transcript.{kind}").decode() == await text(record, kind)
    described = json.loads(archive.read("session.json"))
    assert (described["name"], described["channels"][0]["label"]) == ("night shift", "본부")
    coverage = list(csv.DictReader(io.StringIO(archive.read("coverage.csv").decode("utf-8-sig"), newline="")))
    assert [(row["from_ms"], row["to_ms"], row["state"]) for row in coverage] == [
        ("0", "2500", "transcribed"),
        ("2500", "9000", "silence"),
    ]
    with av.open(io.BytesIO(archive.read("audio/C01/000000000.ogg")), "r") as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) >= 47_000


async def test_a_zip_is_sent_while_it_is_made(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE_LINES", 1)
    pieces = [piece async for piece in Exporter(record.store).zip(request())]
    assert len([piece for piece in pieces if piece]) > 5


async def test_an_export_without_finals_is_a_valid_empty_file(tmp_path: Path) -> None:
    async with a_record(tmp_path) as record:
        record.session()
        await record.written()
        assert await text(record, Format.TXT) == await text(record, Format.SRT) == ""
        assert list(csv.DictReader(io.StringIO((await text(record, Format.CSV))[1:]))) == []
        assert len(webvtt.from_string(await text(record, Format.VTT))) == 0


any_text = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40)


@given(any_text, any_text)
def test_no_text_breaks_the_format_of_a_subtitle(words: str, label: str) -> None:
    line = Line("C01", label, "g_1", 0, 10, words, words)
    writer = Writer(Format.SRT, Times(Clock.SESSION, 0), is_merged=True)
    subtitles = list(srt.parse(writer.lines([line, line]) + writer.tail()))
    assert len(subtitles) == (2 if line.plain else 0)
    captions = Writer(Format.VTT, Times(Clock.SESSION, 0), is_merged=True)
    body = captions.head() + captions.lines([line, line]) + captions.tail()
    assert len(webvtt.from_string(body)) == (2 if line.plain else 0)


@given(any_text)
def test_no_cell_is_a_formula(cell: str) -> None:
    assert not neutral(cell).strip().startswith(("=", "+", "-", "@"))
    row = Writer(Format.CSV, Times(Clock.SESSION, 0), is_merged=True)
    line = Line("C01", cell, "g_1", 0, 10, f"x{cell}", cell, cell, revised_by=cell, notes=(cell, cell))
    (values,) = csv.reader(io.StringIO(row.lines([line]), newline=""))
    assert len(values) == 14
    assert not [value for value in values if value.strip().startswith(("=", "+", "-", "@"))]
