"""Words, talk time, delay and confidence of each channel."""

from __future__ import annotations

from pathlib import Path

from tests.support.desk import a_config, running_desk
from tests.support.record import a_record
from webrtc_host.desk.stats_api import StatsResponse
from webrtc_host.transcript.stats import channel_stats


async def test_the_stats_of_a_session_by_channel(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        desk.final("alpha one  is here", "C01", 0, conf=-0.5)
        desk.final("네 알겠습니다", "C01", 1000, conf=-1.5)
        desk.final("", "C02", 2000)
        await desk.written()
        status, body = await desk.get(f"/api/sessions/{desk.session.id}/stats")
        assert status == 200
        StatsResponse.model_validate(body)
        first, second = body["channels"]
        assert (first["channel"], first["lines"], first["talk_ms"]) == ("C01", 2, 1000)
        assert (first["conf"], first["confidence"]) == (-1.0, 0.368)
        assert (first["first_ms"], first["last_ms"]) == (0, 1500)
        assert (second["words"], second["conf"], second["words_per_minute"]) == (0, None, 0.0)
        assert body["totals"]["lines"] == 3
        assert (await desk.get("/api/sessions/s_none/stats"))[0] == 404


async def test_percentiles_of_the_delay_are_those_of_the_lines(tmp_path: Path, url: str) -> None:
    async with a_record(tmp_path, url) as record:
        log = record.session()
        record.channel(log, "C01", "Tower")
        for number in range(100):
            record.final(log, "two words", number * 1000)
        await record.written()
        # The log of this record stands still at t = 0, so every delay is 0: give each line its own.
        await record.store.write(
            lambda c: c.exec_driver_sql("UPDATE segments SET latency_ms = start_ms / 10 + 100")
        )
        (stats,) = await record.store.read(lambda c: channel_stats(c, "s_1"))
        assert (stats.label, stats.lines, stats.words, stats.characters) == ("Tower", 100, 200, 900)
        assert (stats.delay_ms_p50, stats.delay_ms_p95, stats.delay_ms_max) == (5000, 9500, 10_000)
        assert await record.store.read(lambda c: channel_stats(c, "s_none")) == []
