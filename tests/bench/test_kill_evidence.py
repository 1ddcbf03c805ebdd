from pathlib import Path
from typing import Any

from bench.kill_evidence import events_around, kept_ms, kills_around
from bench.kill_score import Spoken
from tests.support.opus_packets import KEY, packets_between
from webrtc_host.archive.writer import AudioWriter, WriterConfig

ONE = Spoken(KEY.channel, "alpha one", 60_000, 2000, 2000, True, False)


def event(kind: str, start_ms: int, end_ms: int | None = None, channel: str = KEY.channel) -> dict[str, Any]:
    body = {"seq": start_ms, "type": kind, "channel": channel, "start_ms": start_ms, "words": ["a lot"]}
    return body if end_ms is None else {**body, "end_ms": end_ms}


def test_kills_of_the_phrases_time_are_told_with_theirs() -> None:
    kills = [("both", 10_000.0), ("media", 62_500.4), ("engine", 80_000.0), ("both", 95_000.0)]
    assert kills_around(ONE, kills) == ["media at 62500", "engine at 80000"]


def test_the_record_is_told_of_the_phrases_time_and_channel_alone() -> None:
    events = [
        event("speech.started", 40_000),
        event("channel.opened", 50_000),
        event("speech.started", 60_100),
        event("speech.started", 60_100, channel="C02"),
        {"seq": 7, "type": "coverage", "channel": KEY.channel, "from_ms": 50_000, "to_ms": 60_500},
        {"seq": 8, "type": "channel.closed", "channel": KEY.channel, "end_ms": 63_000},
        {"seq": 9, "type": "channel.state", "channel": KEY.channel, "state": "idle"},
    ]
    told = [(one["type"], one["seq"]) for one in events_around(ONE, events)]
    assert told == [
        ("channel.opened", 50_000),
        ("speech.started", 60_100),
        ("coverage", 7),
        ("channel.closed", 8),
    ]
    assert "words" not in events_around(ONE, events)[0]


def test_what_is_kept_of_a_phrase_is_counted(tmp_path: Path) -> None:
    writer = AudioWriter(WriterConfig(tmp_path))
    writer.put(KEY, [*packets_between(59_000, 60_400), *packets_between(61_000, 63_000)])
    writer.close()
    assert kept_ms(tmp_path, KEY.session, ONE) == 1400
