"""Finding what was said: Korean and English, raw and corrected, filters, pages, and attacks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, event, text

from tests.support.events import an_event
from tests.support.record import T0_WALL_MS, Record, a_record
from webrtc_host.errors import StoreError
from webrtc_host.seams import EventType
from webrtc_host.transcript import records, search
from webrtc_host.transcript.search import (
    SearchIndex,
    TextSearch,
    match_postgresql,
    match_sqlite,
)
from webrtc_host.transcript.search_text import phrases


class Searched:
    def __init__(self, record: Record, index: SearchIndex) -> None:
        self.record = record
        self.index = index

    async def found(self, words: str, **more: Any) -> list[str]:
        await self.record.written()
        return [hit.text for hit in await self.index.find(TextSearch(words, **more))]


@pytest.fixture
async def searched(tmp_path: Path, url: str) -> AsyncIterator[Searched]:
    async with a_record(tmp_path, url) as record:
        index = SearchIndex(record.store, record.search)
        index.start()
        await index.caught_up()
        log = record.session()
        record.channel(log, "C01", "본부")
        record.channel(log, "C02")
        record.final(log, "알파원 일번 게이트로 이동", 1_000)
        record.final(
            log, "Alpha-1 proceed to gate seven", 5_000, "C02", raw="alpha one proceed to gate 7", conf=-0.1
        )
        record.final(log, "브라보 투 수신양호", 9_000, conf=-1.2)
        yield Searched(record, index)
        await index.close()


async def test_korean_and_english_words_are_found_in_any_part(searched: Searched) -> None:
    assert await searched.found("알파") == await searched.found("게이트") == ["알파원 일번 게이트로 이동"]
    assert await searched.found("일번 이동") == ["알파원 일번 게이트로 이동"]
    assert await searched.found("gate") == ["Alpha-1 proceed to gate seven"]
    assert await searched.found("GATE seven proceed") == ["Alpha-1 proceed to gate seven"]
    assert await searched.found("gate 알파원") == []


async def test_the_raw_text_is_searched_too(searched: Searched) -> None:
    assert await searched.found("alpha one") == ["Alpha-1 proceed to gate seven"]
    assert await searched.found("seven-alpha") == [], (
        "a phrase does not reach from one reading into the other"
    )


async def test_filters(searched: Searched) -> None:
    everything = "a 이"
    record = searched.record
    other = record.session("s_2", "day shift")
    record.channel(other, "C01")
    edits = [{"from": "alpha", "to": "알파원", "term": "Alpha-1", "kind": "alias"}]
    record.final(other, "알파원 a 이동 100%", 1_000, edits=edits)
    record.final(record.logs["s_1"], "a 이", 70_000, "C02", conf=-2.0, language="en")
    assert await searched.found(everything) == ["a 이", "알파원 a 이동 100%"]
    assert await searched.found(everything, session="s_1") == ["a 이"]
    assert await searched.found(everything, channels=frozenset({"C01", "C09"})) == ["알파원 a 이동 100%"]
    assert await searched.found(everything, conf_min=-0.5) == ["알파원 a 이동 100%"]
    assert await searched.found(everything, language="en") == ["a 이"]
    assert await searched.found(everything, term="Alpha-1") == ["알파원 a 이동 100%"]
    assert await searched.found(everything, term="100%") == ["알파원 a 이동 100%"]
    assert await searched.found(everything, term="1_0%") == []
    assert await searched.found(everything, from_ms=60_000) == ["a 이"]
    assert await searched.found(everything, to_ms=70_000) == ["알파원 a 이동 100%"]
    assert await searched.found(everything, from_wall_ms=T0_WALL_MS + 60_000) == ["a 이"]
    assert await searched.found(everything, to_wall_ms=T0_WALL_MS + 60_000) == ["알파원 a 이동 100%"]


async def test_a_search_for_long_lines_reads_an_index_alone_the_newest_lines_first(
    searched: Searched,
) -> None:
    record, log = searched.record, searched.record.logs["s_1"]
    for number in range(10):
        record.final(log, f"long {number}", 20_000 + number, end_ms=24_000 + number)
    newest = [f"long {number}" for number in reversed(range(10))]  # g_13 to g_4: g_9 is before g_10
    assert await searched.found("", length_min_ms=3_000) == newest
    assert await searched.found("", length_min_ms=3_000, limit=2, before=10) == newest[4:7]
    since = T0_WALL_MS + 24_007
    assert await searched.found("", length_min_ms=3_000, from_wall_ms=since) == ["long 9", "long 8"]

    steps = await steps_of(record, TextSearch("", length_min_ms=3_000))
    is_postgresql = "cost=" in steps  # it takes another way through so few lines
    assert ("ix_segments_newest" if is_postgresql else "COVERING INDEX ix_segments_newest") in steps, steps


async def test_a_search_for_a_radio_reads_an_index_of_the_lines_with_radios_alone(searched: Searched) -> None:
    record, log = searched.record, searched.record.logs["s_1"]
    for number in range(10):
        talkers = [{"id": number, "start_ms": 20_000}] if number % 2 else []
        record.final(log, f"call {number}", 20_000 + number, talkers=talkers)
    assert await searched.found("", talker="7") == ["call 7"]
    assert await searched.found("", talker="8") == []
    steps = await steps_of(record, TextSearch("", talker="medic 77"))
    is_postgresql = "cost=" in steps
    assert ("ix_segments_radios" if is_postgresql else "COVERING INDEX ix_segments_radios") in steps, steps


async def steps_of(record: Record, query: TextSearch) -> str:
    """How the database would do the search."""

    def plan(connection: Connection) -> str:
        asked = []
        event.listen(connection, "before_cursor_execute", lambda *given: asked.append(given[2:4]))
        search._find(connection, query=query, wanted=())
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # it reads a small table as a whole
        explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
        rows = connection.exec_driver_sql(explain + asked[0][0], asked[0][1])
        return "\n".join(str(row) for row in rows)

    return str(await record.store.write(plan))


async def test_lines_by_their_length_and_by_the_radio_that_was_heard(searched: Searched) -> None:
    record, log = searched.record, searched.record.logs["s_1"]
    engine = {"id": 4501, "start_ms": 20_000, "label": "Engine 5"}
    record.final(log, "10-4", 20_000, end_ms=20_700, talkers=[engine])
    base = {"id": 7, "start_ms": 31_000, "label": "본부 2"}
    record.final(log, "구조대 출동합니다", 30_000, end_ms=34_000, talkers=[engine, base])
    record.final(log, "copy", 40_000, end_ms=40_500, talkers=[{"id": 45, "start_ms": 40_000}])
    rescue = "구조대 출동합니다"
    assert await searched.found("", length_min_ms=1501) == [rescue]
    assert await searched.found("10", length_min_ms=700) == ["10-4"]
    assert await searched.found("10", length_min_ms=701) == []
    for name in ("4501", "engine 5", "ENGINE-5", "eng"):
        assert await searched.found("", talker=name) == [rescue, "10-4"], name
    for name in ("본부", "본부 2", "7"):
        assert await searched.found("", talker=name) == [rescue], name
    assert await searched.found("", talker="45") == ["copy"], "a number matches as a whole"
    for name in ("engine 50", "gine", "start_ms", "%", "", "5 본"):
        assert await searched.found("", talker=name) == ([rescue] if name == "5 본" else []), name
    assert await searched.found("출동", talker="engine", channels=frozenset({"C02"})) == []
    (hit,) = await searched.index.find(TextSearch("출동"))
    assert [one.get("label") for one in hit.talkers] == ["Engine 5", "본부 2"]


async def test_lines_that_raised_an_alert(searched: Searched) -> None:
    log = searched.record.logs["s_1"]
    for number, segment in enumerate(("g_1", "g_2", "g_3"), 1):
        log.emit(an_event(EventType.ALERT_RAISED, alert=f"a_{number}", segment=segment))
    log.emit(an_event(EventType.ALERT_WITHDRAWN, alert="a_1"))
    log.emit(an_event(EventType.ALERT_ACKNOWLEDGED, alert="a_2"))
    alerted = frozenset({"alert"})
    assert await searched.found("", marked=alerted) == ["브라보 투 수신양호", "Alpha-1 proceed to gate seven"]
    assert await searched.found("gate", marked=alerted) == ["Alpha-1 proceed to gate seven"]
    assert await searched.found("", marked=alerted | {"star"}) == []


async def test_pages_are_newest_first(searched: Searched) -> None:
    log = searched.record.logs["s_1"]
    for number in range(5):
        searched.record.final(log, f"찰리 {number}", 20_000 + number)
    await searched.record.written()
    first = await searched.index.find(TextSearch("찰리", limit=2))
    assert [hit.text for hit in first] == ["찰리 4", "찰리 3", "찰리 2"]
    rest = await searched.index.find(TextSearch("찰리", limit=2, before=first[1].number))
    assert [hit.text for hit in rest] == ["찰리 2", "찰리 1", "찰리 0"]
    hit = first[0]
    assert (hit.session, hit.session_name, hit.channel, hit.label) == ("s_1", "night shift", "C01", "본부")


async def test_a_removed_session_is_not_found_any_more(searched: Searched) -> None:
    await searched.record.written()
    assert await searched.record.store.write(lambda c: records.remove(c, "s_1"))
    assert await searched.found("알파원") == []
    left = await searched.record.store.read(lambda c: c.execute(text("SELECT count(*) FROM search")).scalar())
    assert left == 0


async def test_finals_from_before_the_index_are_indexed_at_the_start(tmp_path: Path, url: str) -> None:
    async with a_record(tmp_path, url) as record:
        log = record.session()
        for number in range(1200):
            record.final(log, f"델타 {number}")
        await record.written()
        index = SearchIndex(record.store, record.search)
        with pytest.raises(StoreError, match="cannot be searched yet"):
            await index.find(TextSearch("델타"))
        index.start()
        await index.caught_up()
        assert [hit.text for hit in await index.find(TextSearch("델타 1000"))] == ["델타 1000"]
        await index.close()
    async with a_record(tmp_path, url) as again:
        index = SearchIndex(again.store, again.search)
        index.start()
        await index.caught_up()
        assert len(await index.find(TextSearch("델타 1199"))) == 1
        await index.close()


async def test_a_broken_index_does_not_stop_the_saving_of_finals(
    searched: Searched, caplog: pytest.LogCaptureFixture
) -> None:
    await searched.record.store.write(lambda c: c.execute(text("DROP TABLE search")))
    searched.record.final(searched.record.logs["s_1"], "에코")
    await searched.record.written()
    assert searched.record.search.failures == 1
    assert "were not indexed" in caplog.text
    found = await searched.record.store.read(
        lambda c: c.execute(text("SELECT text FROM segments")).scalars().all()
    )
    assert "에코" in found


ATTACKS = [
    '" OR 1=1 --',
    "'; DROP TABLE segments; --",
    "NEAR(a b)",
    "tokens : x",
    "^alpha*",
    '""""',
    "a\0b",
    "\\ % _ *",
    "{text} -a",
    "<-> & | ! :*",
    "가" * 5000,
    "\ud800",
]


async def test_syntax_in_a_query_is_treated_as_words(searched: Searched) -> None:
    for words in ATTACKS:
        assert set(await searched.found(words)) <= {"Alpha-1 proceed to gate seven"}, words
    assert len(await searched.found("알파")) == 1


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
def test_every_query_is_a_valid_fts5_expression(words: str) -> None:
    asked = phrases(words)
    if asked:
        with ENGINE.connect() as connection:
            connection.execute(
                text("SELECT rowid FROM t WHERE t MATCH :match"), {"match": match_sqlite(asked)}
            ).all()
    assert "''" not in match_postgresql(asked)


ENGINE = create_engine("sqlite://")
with ENGINE.begin() as _connection:
    _connection.execute(text("CREATE VIRTUAL TABLE t USING fts5(tokens, tokenize = 'ascii')"))
