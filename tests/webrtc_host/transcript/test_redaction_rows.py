"""Redacted words leave the files of the record, also where pages were split and rows were moved."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.support.events import an_event
from tests.support.record import Record, a_record
from webrtc_host.events import RangeRedacted
from webrtc_host.seams import EventType
from webrtc_host.transcript.event_log import EventLog
from webrtc_host.transcript.redaction import Removed
from webrtc_host.transcript.search import SearchIndex
from webrtc_host.transcript.search_writer import forget_old_words

LETTERS = "abcdefghijklmnopqrstuvwxyz"
LINES = 400


def a_word(rng: random.Random, length: int) -> str:
    return "".join(rng.choices(LETTERS, k=length))


def a_redaction(segment: str, channel: str, from_ms: int = 0, to_ms: int = 10**9) -> RangeRedacted:
    what = {"has_text": True, "has_audio": False, "reason": "private", "by": "kim"}
    times = {"from_ms": from_ms, "to_ms": to_ms}
    return RangeRedacted(channel=channel, segments=(segment,), **what, **times)  # type: ignore[arg-type]  # tables


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def fill(record: Record, log: EventLog) -> dict[str, tuple[str, str]]:
    """Lines of many lengths, some of them corrected. Returns segment -> (channel, a word of its own)."""
    rng = random.Random(15)
    words: dict[str, tuple[str, str]] = {}
    for number in range(LINES):
        word, channel = a_word(rng, 14), f"C{rng.randint(1, 16):02}"
        text = " ".join(a_word(rng, rng.randint(2, 9)) for _ in range(rng.randint(1, 60))) + f" {word}"
        segment = record.final(log, text, number * 1000, channel=channel)
        words[segment] = (channel, word)
        if rng.random() < 0.3:
            names = {"segment": segment, "old_text": text, "text": f"corrected {word}"}
            log.emit(an_event(EventType.SEGMENT_REVISED, channel, **names))
        if number % 37 == 0:
            await record.written()
    return words


async def test_no_word_stays_in_the_free_space_of_the_database(tmp_path: Path, url: str) -> None:
    async with a_record(tmp_path, url) as record:
        index = SearchIndex(record.store, record.search)
        index.start()
        await index.caught_up()
        log = record.session()
        words = await fill(record, log)
        gone = sorted(words)[::10]
        for segment in gone:
            log.emit(a_redaction(segment, words[segment][0], to_ms=0))
        await record.store.write(forget_old_words)
        await record.store.scrub()
        await index.close()
        if not url:
            data = all_bytes(tmp_path)
            assert [word for word in (words[one][1] for one in gone) if word.encode() in data] == []
            assert words["g_2"][1].encode() in data


@pytest.mark.parametrize(
    ("event", "is_redacted"),
    [
        ({"type": "segment.final", "segment": "g_1", "text": "x"}, True),
        ({"type": "segment.final", "segment": "g_11", "text": "x"}, False),
        ({"type": "alert.raised", "alert": "a_1", "matched": "x"}, True),
        ({"type": "segment.final", "segment": "g_2", "text": '"segment":"g_1"'}, False),
        ({"type": "summary.updated", "from_ms": 0, "to_ms": 500, "text": "x"}, True),
        ({"type": "summary.updated", "from_ms": 0, "to_ms": 500, "text": "x", "channel": "C02"}, False),
        ({"type": "summary.updated", "from_ms": 900, "to_ms": 1500, "text": "x"}, False),
    ],
)
def test_events_of_the_range_lose_their_words_and_keep_their_ids(
    event: dict[str, object], is_redacted: bool
) -> None:
    removed = Removed(frozenset(("g_1", "a_1")), "C01", 100, 900)
    data = removed.redacted(json.dumps({"seq": 5, **event}, separators=(",", ":")).encode())
    assert (data is not None) is is_redacted
    if data is not None:
        body = json.loads(data)
        assert "x" not in body.values()
        assert {name: body[name] for name in ("seq", "type")} == {"seq": 5, "type": event["type"]}


def test_a_field_that_is_not_known_loses_its_words() -> None:
    removed = Removed(frozenset(("g_1",)), "C01", 0, 1)
    data = removed.redacted(b'{"segment":"g_1","new":{"text":"x"},"list":["x"],"n":1,"is":true}')
    assert data is not None
    assert json.loads(data) == {"segment": "g_1", "new": {}, "list": [], "n": 1, "is": True}
