"""Text stages: what they change, and where the change arrives."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from host_stt.engines.fake import FakeEngine
from tests.support.peers import Rig
from tests.support.record import T0_WALL_MS, a_record
from tests.support.speech import padded, say_words
from tests.webrtc_host.speech.helpers import EngineTranscriber, S, blocks_of, script
from webrtc_host.config import DataConfig, MediaProcessConfig
from webrtc_host.events import Edit
from webrtc_host.services.speech import SpeechService
from webrtc_host.speech.final_text import FinalText, apply_stages
from webrtc_host.transcript import records
from webrtc_host.transcript.export import Exporter, ExportRequest
from webrtc_host.transcript.export_formats import Clock, Format
from webrtc_host.transcript.records import Span
from webrtc_host.transcript.search import SearchIndex, TextSearch

SPOKEN = say_words("alpha one proceed to gate seven")
FINAL = FinalText("C01", "u_1", 0, 16_000, "alpha one", "alpha one", "en", -0.25, (), 1)


def corrected(final: FinalText) -> FinalText:
    edit = Edit("alpha one", "Alpha-1", "Alpha-1", "alias")
    return replace(final, text=final.text.replace("alpha one", "Alpha-1"), edits=(*final.edits, edit))


def shouted(final: FinalText) -> FinalText:
    return replace(final, text=final.text.upper(), raw="a stage cannot change this")


def broken(final: FinalText) -> FinalText:
    raise LookupError("no such term")


def test_stages_run_in_their_order_and_leave_the_engines_text() -> None:
    after = apply_stages([corrected, shouted], FINAL, lambda *_: None)
    assert (after.text, after.raw) == ("ALPHA-1", "alpha one")
    assert [edit.after for edit in after.edits] == ["Alpha-1"]


def test_a_stage_that_fails_is_skipped_and_reported() -> None:
    failed = []
    after = apply_stages([broken, corrected], FINAL, lambda stage, error: failed.append((stage, str(error))))
    assert after.text == "Alpha-1"
    assert failed == [(broken, "no such term")]


async def test_the_change_of_a_stage_reaches_the_log_the_record_the_search_and_the_exports(
    tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    speech = SpeechService(MediaProcessConfig(data=DataConfig(dir=tmp_path)), stages=[broken, corrected])
    registry = Rig().registry
    channel = registry.channel(registry.current(), "C01")
    async with a_record(tmp_path, url) as record:
        index = SearchIndex(record.store, record.search)
        index.start()
        log = record.session()
        record.channel(log, "C01")
        engine = EngineTranscriber(FakeEngine(script(SPOKEN.words, S // 2)))
        pipeline = speech.make_past_pipeline(channel, log, channel.coverage.repairing(), engine)
        pipeline.start()
        with caplog.at_level(logging.ERROR):
            for block in blocks_of(padded(SPOKEN.samples, 0.5, 1.0)):
                await pipeline.wait_for_space()
                pipeline.feed(block)
            await pipeline.close()
        await record.written()
        await index.caught_up()
        await record.written()
        text = "Alpha-1 proceed to gate seven"
        (logged,) = log.segments()
        wire = json.loads(logged.data)
        assert (wire["text"], wire["raw"]) == (text, "alpha one proceed to gate seven")
        assert wire["edits"] == [{"from": "alpha one", "to": "Alpha-1", "term": "Alpha-1", "kind": "alias"}]
        (row,) = await record.store.read(lambda c: records.line_page(c, Span("s_1"), (-1, 0), 10))
        assert (row.text, row.raw) == (text, "alpha one proceed to gate seven")
        assert [hit.text for hit in await index.find(TextSearch("alpha-1"))] == [text]
        export = ExportRequest(Span("s_1"), Clock.SESSION, T0_WALL_MS, "night shift")
        for kind in Format:
            assert (
                text
                in b"".join([piece async for piece in Exporter(record.store).text(export, kind)]).decode()
            )
        await index.close()
    speech.executor.shutdown()
    assert sum("the text stage" in line for line in caplog.messages) == 1
