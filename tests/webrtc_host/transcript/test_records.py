"""The questions to the record answer alike in SQLite and PostgreSQL."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.record import T0_WALL_MS, a_record
from webrtc_host.transcript import records
from webrtc_host.transcript.records import AuditLine, Span


async def test_every_query_of_the_record(tmp_path: Path, url: str) -> None:
    async with a_record(tmp_path, url) as record:
        log = record.session()
        record.session("s_2", "day shift")
        record.channel(log, "C01", "본부")
        record.final(log, "둘째", 5_000, latency_ms=900)
        record.final(log, "첫째", 1_000)
        record.final(log, "other", 1_000, "C02")
        record.coverage(log, 0, 2_000, "silence")
        record.coverage(log, 2_000, 9_000, "transcribed")
        await record.written()
        read, write = record.store.read, record.store.write

        known = await read(lambda c: records.session(c, "s_1"))
        assert known is not None and known.t0_wall_ms == T0_WALL_MS
        assert await read(lambda c: records.session(c, "'; --")) is None
        page = await read(lambda c: records.session_page(c, 1))
        rest = await read(lambda c: records.session_page(c, 5, (page[0].t0_wall_ms, page[0].id)))
        assert [row.id for row in (*page, *rest)] == ["s_2", "s_1"]
        assert [r.label for r in (await read(lambda c: records.channels_of(c, ["s_1", "s_2"])))["s_1"]] == [
            "본부"
        ]

        one = Span("s_1", frozenset({"C01"}))
        segments = await read(lambda c: records.segment_page(c, one, 0, 10))
        assert [json.loads(data)["text"] for _, data in segments] == ["둘째", "첫째"]
        assert await read(lambda c: records.segment_page(c, one, segments[-1][0], 10)) == []
        lines = await read(lambda c: records.line_page(c, Span("s_1"), (-1, 0), 10))
        assert [(row.text, row.label) for row in lines] == [
            ("첫째", "본부"),
            ("other", None),
            ("둘째", "본부"),
        ]
        part = Span("s_1", None, 4_000, 6_000)
        assert [r.text for r in await read(lambda c: records.line_page(c, part, (-1, 0), 9))] == ["둘째"]

        assert await read(lambda c: records.extents(c, Span("s_1", None, 500, 8_000))) == [
            ("C01", 500, 8_000)
        ]
        runs = await read(lambda c: records.coverage_runs(c, Span("s_1", None, 1_500, 2_500), 10))
        assert [(row.from_ms, row.state) for row in runs] == [(0, "silence"), (2_000, "transcribed")]
        figures = await read(lambda c: records.statistics(c, "s_1"))
        assert [(one["channel"], one["segments"], one["conf"]) for one in figures] == [
            ("C01", 2, -0.27),
            ("C02", 1, -0.27),
        ]
        assert figures[0]["coverage_ms"] == {"silence": 2_000, "transcribed": 7_000}

        assert await write(lambda c: records.rename(c, "s_1", "밤"))
        assert await write(lambda c: records.hold(c, "s_1", True))
        assert await read(lambda c: records.is_held(c, "s_1"))
        assert not await read(lambda c: records.is_held(c, "s_2"))
        assert await read(records.held_sessions) == ["s_1"]
        assert await read(lambda c: records.ended_before(c, 1 << 50, (), 9)) == []
        assert await read(lambda c: records.has_channel(c, "s_1", "C01"))
        assert not await read(lambda c: records.has_channel(c, "s_2", "C01"))
        assert await write(lambda c: records.hold_channel(c, "s_1", "C01", True))
        assert not await write(lambda c: records.hold_channel(c, "s_1", "C64", True))
        assert await read(records.held_channels) == [("s_1", "C01")]
        place = await read(lambda c: records.find_segment(c, json.loads(segments[0][1])["segment"]))
        assert place is not None and (place.session, place.channel, place.start_ms) == ("s_1", "C01", 5_000)
        assert await read(lambda c: records.find_segment(c, "g_404")) is None

        line = AuditLine("wall", "127.0.0.1", "deleted", "s_1")
        await write(lambda c: records.write_audit(c, T0_WALL_MS, line))
        assert await write(lambda c: records.remove(c, "s_1"))
        assert not await write(lambda c: records.remove(c, "s_1"))
        assert await read(lambda c: records.line_page(c, Span("s_1"), (-1, 0), 10)) == []
        (kept,) = await read(lambda c: records.audit_page(c, 10))
        assert (kept.who, kept.action, kept.session) == ("wall", "deleted", "s_1")
