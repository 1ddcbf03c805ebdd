"""The glossary's text stage on finals and interims, and the index of each version."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from host_stt.contract import Word
from host_stt.engines.fake import FakeEngine
from tests.support.peers import Rig
from tests.support.speech import padded, say_words
from tests.webrtc_host.speech.helpers import EngineTranscriber, ListSink, S, blocks_of, script
from webrtc_host.config import DataConfig, MediaProcessConfig
from webrtc_host.events import SegmentInterim
from webrtc_host.glossary.store import Glossary
from webrtc_host.seams import EventType
from webrtc_host.services.speech import SpeechService
from webrtc_host.speech.final_text import FinalText
from webrtc_host.speech.glossary_stage import GlossaryStage
from webrtc_host.speech.ids import Ids
from webrtc_host.speech.lines import LineWriter
from webrtc_host.speech.merge import InterimText
from webrtc_host.speech.segments import SegmentsConfig

BODY: dict[str, Any] = {
    "terms": [
        {"canonical": "Alpha-1", "display": {"ko": "알파원"}, "channels": ["C01"]},
        {"canonical": "Bravo-2", "active": {"from": "06:00", "to": "18:00"}},
    ]
}


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 30, 12, 0)

    def __call__(self) -> datetime:
        return self.now


def final(text: str, channel: str = "C01", language: str | None = "en", version: int = 0) -> FinalText:
    words = tuple(Word(word, 100 * i, 100 * i + 90, 0.9) for i, word in enumerate(text.split()))
    return FinalText(channel, "u_1", 0, 1000, text, text, language, -0.2, words, version)


def test_a_final_gets_its_terms_its_edits_and_the_version_of_the_list() -> None:
    glossary = Glossary()
    stage = GlossaryStage(glossary)
    glossary.replace(BODY)
    after = stage(final("alpha one over"))
    assert (after.text, after.raw, after.glossary_version) == (
        "Alpha-1 over",
        "alpha one over",
        glossary.version,
    )
    assert [edit.term for edit in after.edits] == ["Alpha-1"]
    assert [word.text for word in after.words] == ["Alpha-1", "over"]


def test_channel_language_and_roster_decide() -> None:
    glossary, clock = Glossary(), Clock()
    stage = GlossaryStage(glossary, clock)
    glossary.replace(BODY)
    text = "alpha one, bravo two"
    assert stage(final(text)).text == "Alpha-1, Bravo-2"
    assert stage(final(text, "C02")).text == "alpha one, Bravo-2"
    assert stage(final("alpha one", language="ko")).text == "알파원"
    assert stage(final("alpha one", language=None)).text == "Alpha-1"
    clock.now = datetime(2026, 11, 30, 20, 0)
    assert stage(final(text)).text == "Alpha-1, bravo two"


def test_a_change_is_used_at_once_and_its_index_is_made_before() -> None:
    glossary = Glossary()
    stage = GlossaryStage(glossary)
    glossary.replace(BODY)
    first = glossary.version
    assert stage(final("echo three")).text == "echo three"
    glossary.replace({"terms": [{"canonical": "Echo-3"}]})
    second = glossary.version
    assert [index.version for index in stage.indices] == [second, first]
    after = stage(final("alpha one, echo three"))
    assert (after.text, after.glossary_version) == ("alpha one, Echo-3", second)


def test_an_empty_glossary_changes_nothing(tmp_path: Path) -> None:
    line = final("alpha one")
    assert GlossaryStage(Glossary(tmp_path / "glossary.yaml"))(line) is line


class Sink:
    def __init__(self) -> None:
        self.interims: list[SegmentInterim] = []

    def emit(self, event: Any) -> int | None:
        self.interims.append(event)
        return None


def test_interims_show_the_corrected_text_and_count_their_stable_characters_in_it() -> None:
    glossary = Glossary()
    stage = GlossaryStage(glossary)
    glossary.replace(BODY)
    sink = Sink()
    lines = LineWriter("C01", 0, sink, Ids(), SegmentsConfig(), [stage])
    said = [("we see", 0), ("we see alpha", 6), ("we see alpha one", 12), ("we see alpha one coming", 16)]
    for revision, (text, stable) in enumerate(said, 1):
        lines.interim(InterimText("u_1", text, stable, revision, 0, 1000, "en"))
    shown = [(interim.text, interim.stable_chars) for interim in sink.interims]
    assert shown == [
        *(("we see", 0), ("we see alpha", 6)),
        *(("we see Alpha-1", 7), ("we see Alpha-1 coming", 14)),
    ]


async def test_a_running_service_corrects_what_the_engine_wrote(tmp_path: Path) -> None:
    spoken = say_words("alpha one proceed to gate seven")
    speech = SpeechService(MediaProcessConfig(data=DataConfig(dir=tmp_path)))
    speech.glossary.replace(BODY | {"terms": [*BODY["terms"], {"canonical": "Gate 7"}]})
    registry = Rig().registry
    channel = registry.channel(registry.current(), "C01")
    engine = EngineTranscriber(FakeEngine(script(spoken.words, S // 2)))
    sink = ListSink()
    pipeline = speech.make_past_pipeline(channel, sink, channel.coverage.repairing(), engine)
    pipeline.start()
    for block in blocks_of(padded(spoken.samples, 0.5, 1.0)):
        await pipeline.wait_for_space()
        pipeline.feed(block)
    await pipeline.close()
    speech.executor.shutdown()
    (final_event,) = sink.of(EventType.SEGMENT_FINAL)
    assert final_event["text"] == "Alpha-1 proceed to Gate 7"
    assert final_event["raw"] == "alpha one proceed to gate seven"
    assert [edit["term"] for edit in final_event["edits"]] == ["Alpha-1", "Gate 7"]
    assert [word["text"] for word in final_event["words"]] == ["Alpha-1", "proceed", "to", "Gate 7"]
    assert final_event["glossary_version"] == speech.glossary.version
