"""A revision of a final, in every place that shows the final's text."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.support.record import T0_WALL_MS, Record, a_record
from webrtc_host.desk.subscribers import Subscribers
from webrtc_host.events import Edit, SegmentRevised
from webrtc_host.transcript import records, schema
from webrtc_host.transcript.event_log import EventLog
from webrtc_host.transcript.export import Exporter, ExportRequest
from webrtc_host.transcript.export_formats import Clock, Format
from webrtc_host.transcript.records import Span
from webrtc_host.transcript.replay import Replay
from webrtc_host.transcript.revisions import with_revision
from webrtc_host.transcript.search import SearchIndex, TextSearch

HEARD = "alfa one proceed to gate seven"
WORDS = [{"text": "alfa", "start_ms": 1000, "end_ms": 1400, "p": 0.9}]
REVISED = SegmentRevised(
    channel="C01",
    segment="g_1",
    revision=1,
    old_text=HEARD,
    text="Alpha-1 proceed to gate seven",
    edits=(Edit("alfa one", "Alpha-1", "Alpha-1", "alias"),),
    glossary_version=4,
    by="glossary",
)
WISH = ExportRequest(Span("s_1"), Clock.SESSION, T0_WALL_MS, "night shift")


class Revised:
    """A record with two finals, of which the first can be revised."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.index = SearchIndex(record.store, record.search)
        self.log: EventLog = record.session()
        record.channel(self.log, "C01")
        record.final(self.log, HEARD, 1000, words=WORDS)
        record.final(self.log, "hold there", 4000)

    async def revise(self, *revisions: SegmentRevised) -> None:
        for revision in revisions:
            self.log.emit(revision)
        await self.record.written()

    async def rows(self) -> records.Rows:
        return await self.record.store.read(
            lambda c: c.execute(select(schema.segments).order_by(schema.segments.c.seq)).all()
        )

    async def found(self, words: str) -> list[str]:
        return [hit.text for hit in await self.index.find(TextSearch(words))]

    async def export(self, kind: Format) -> str:
        pieces = [piece async for piece in Exporter(self.record.store).text(WISH, kind)]
        return b"".join(pieces).decode()


@pytest.fixture
async def revised(tmp_path: Path, url: str) -> AsyncIterator[Revised]:
    async with a_record(tmp_path, url) as record:
        one = Revised(record)
        one.index.start()
        await one.index.caught_up()
        await record.written()
        yield one
        await one.index.close()


async def test_the_row_has_the_new_text_and_keeps_what_the_engine_said(revised: Revised) -> None:
    await revised.revise(REVISED)
    first, second = await revised.rows()
    assert (first.text, first.raw) == ("Alpha-1 proceed to gate seven", HEARD)
    assert json.loads(first.edits)[0]["to"] == "Alpha-1"
    assert json.loads(first.words) == WORDS
    assert (first.glossary_version, first.start_ms, first.end_ms) == (4, 1000, 2500)
    assert (second.text, second.revised_seq) == ("hold there", None)


async def test_the_record_keeps_the_events_of_the_final_and_of_its_revisions(revised: Revised) -> None:
    await revised.revise(REVISED, replace(REVISED, revision=2, old_text=REVISED.text, text="Alpha-1 go"))
    data = await revised.record.store.read(
        lambda c: c.execute(select(schema.events.c.data).order_by(schema.events.c.seq)).scalars().all()
    )
    texts = [(body["type"], body["text"]) for body in map(json.loads, data) if "text" in body]
    assert texts == [
        ("segment.final", HEARD),
        ("segment.final", "hold there"),
        ("segment.revised", "Alpha-1 proceed to gate seven"),
        ("segment.revised", "Alpha-1 go"),
    ]


@pytest.mark.parametrize("late", [1, 2])
async def test_the_revision_with_the_highest_number_holds(revised: Revised, late: int) -> None:
    await revised.revise(REVISED, replace(REVISED, revision=2, text="Alpha-1 go"))
    await revised.revise(replace(REVISED, revision=late, text="too late"))
    assert [row.text for row in await revised.rows()] == ["Alpha-1 go", "hold there"]
    assert "too late" not in await revised.export(Format.JSONL)
    assert await revised.found("too late") == []


@pytest.mark.parametrize("segment", ["g_77", "g_2; DROP TABLE segments"])
async def test_a_revision_of_a_segment_that_is_not_there_changes_nothing(
    revised: Revised, segment: str
) -> None:
    await revised.revise(replace(REVISED, segment=segment))
    assert [row.text for row in await revised.rows()] == [HEARD, "hold there"]


async def test_a_session_cannot_revise_the_final_of_another_one(revised: Revised) -> None:
    other = revised.record.session("s_2")
    other.emit(REVISED)
    await revised.record.written()
    assert [row.text for row in await revised.rows()] == [HEARD, "hold there"]


async def test_a_final_and_its_revision_may_be_written_in_one_transaction(revised: Revised) -> None:
    segment = revised.record.final(revised.log, "bravo too", 7000)
    await revised.revise(replace(REVISED, segment=segment, old_text="bravo too", text="Bravo-2"))
    assert await revised.found("bravo-2") == ["Bravo-2"]
    assert await revised.found("too") == ["Bravo-2"]  # by the engine's text


async def test_search_finds_the_new_text_and_no_longer_the_one_before(revised: Revised) -> None:
    assert await revised.found("gate seven") == [HEARD]
    await revised.revise(replace(REVISED, text="Alpha-1 proceed to gate nine"))
    assert await revised.found("gate nine") == ["Alpha-1 proceed to gate nine"]
    await revised.revise(replace(REVISED, revision=2, text="Alpha-1 proceed"))
    assert await revised.found("nine") == []
    assert await revised.found("alfa") == ["Alpha-1 proceed"]  # the engine's text stays searchable
    hits = await revised.index.find(TextSearch("proceed", term="Alpha-1"))
    assert [hit.segment for hit in hits] == ["g_1"]


async def test_an_index_that_is_made_later_has_the_new_text(tmp_path: Path, url: str) -> None:
    async with a_record(tmp_path, url) as record:
        one = Revised(record)
        await one.revise(REVISED)
        one.index.start()
        await one.index.caught_up()
        assert await one.found("alpha-1") == ["Alpha-1 proceed to gate seven"]
        await one.index.close()


@pytest.mark.parametrize("kind", Format)
async def test_exports_have_the_new_text(revised: Revised, kind: Format) -> None:
    await revised.revise(REVISED)
    text = await revised.export(kind)
    assert text.count("Alpha-1 proceed to gate seven") == 1
    assert text.count("hold there") == (2 if kind in (Format.CSV, Format.JSONL) else 1)  # `raw` too


async def test_a_line_of_json_is_the_final_with_its_revision(revised: Revised) -> None:
    await revised.revise(REVISED)
    first, second = [json.loads(line) for line in (await revised.export(Format.JSONL)).splitlines()]
    assert (first["type"], first["seq"], first["segment"]) == ("segment.final", 3, "g_1")
    assert (first["text"], first["raw"]) == ("Alpha-1 proceed to gate seven", HEARD)
    assert (first["revision"], first["glossary_version"], first["words"]) == (1, 4, [])
    assert "revision" not in second


async def test_the_list_of_segments_has_the_new_text(revised: Revised) -> None:
    await revised.revise(REVISED)
    page = await revised.record.store.read(lambda c: records.segment_page(c, Span("s_1"), 0, 10))
    assert [(seq, json.loads(data)["text"]) for seq, data in page] == [
        (3, "Alpha-1 proceed to gate seven"),
        (4, "hold there"),
    ]


async def test_the_words_of_a_revision_are_those_of_its_line() -> None:
    final = json.dumps({"type": "segment.final", "text": "a", "words": WORDS})
    revision = json.dumps({"type": "segment.revised", "text": "b", "words": WORDS[:1], "revision": 3})
    body = json.loads(with_revision(final, revision))
    assert (body["type"], body["text"], body["words"], body["revision"]) == ("segment.final", "b", WORDS, 3)
    assert with_revision(final, None) == final


async def test_a_watcher_that_reconnects_gets_the_revision_after_its_final(revised: Revised) -> None:
    await revised.revise(REVISED)
    page = await Replay(revised.record.store).page("s_1", 2, revised.log.head_seq, frozenset({"C01"}))
    memory = list(revised.log.since(2, frozenset({"C01"})))
    assert [event.data for event in page.events] == [event.data for event in memory]
    assert [json.loads(event.data)["type"] for event in page.events] == [
        *("segment.final", "segment.final", "segment.revised")
    ]
    watcher = Subscribers(watchers_max=1, queue_events=10).join(revised.log, frozenset({"C01"}), since=4)
    (missed,) = watcher.take(10)
    assert json.loads(missed.data)["text"] == "Alpha-1 proceed to gate seven"


async def test_a_watcher_of_another_channel_gets_no_revision(revised: Revised) -> None:
    await revised.revise(REVISED)
    assert list(revised.log.since(4, frozenset({"C02"}))) == []
