"""A model that skips a sentence: every input restores the words, or the coverage shows where they lack.

The ports, their wire, the channel and both voice detectors are the real ones; only the engine is a fake that
knows the words and skips some, as Whisper does in windows with pauses.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from host_stt.engines.fake import FakeEngine
from host_stt.files.door import PATH
from tests.host_stt.test_server import serving
from tests.scenarios.test_every_second_has_one_state import Desk, assert_whole, feed_samples, states
from tests.support.peers import Rig, app_of
from tests.support.recordings import wav
from tests.support.speech import padded, say_words
from tests.webrtc_host.speech.helpers import MS, NoTerms, S, script
from webrtc_host.doors.push import PushDoor
from webrtc_host.seams import EventType
from webrtc_host.speech.ids import Ids
from webrtc_host.speech.transcriber import EngineClient, TranscriberConfig

pytestmark = pytest.mark.slow

SPOKEN = say_words("alpha one proceed to gate seven and report when you are there because the road is closed")
AUDIO = padded(SPOKEN.samples, 0.5, 1.5)
WORDS = script(SPOKEN.words, S // 2)
TEXT = " ".join(w.text for w in WORDS)
SKIPPED = WORDS[5:12]
HEARD = " ".join(w.text for w in (*WORDS[:5], *WORDS[12:]))
HOLE = (SKIPPED[0].start_sample, SKIPPED[-1].end_sample)


def skipping(*, always: bool = False) -> FakeEngine:
    return FakeEngine(WORDS, skipped=[HOLE], skipped_again=[HOLE] if always else ())


@asynccontextmanager
async def engine_client(engine: FakeEngine) -> AsyncIterator[EngineClient]:
    """8081 with this engine, and the client of 8082 for it."""
    async with serving(engine=engine) as http:
        client = EngineClient(TranscriberConfig(url=str(http.make_url("/"))))
        await client.start()
        try:
            yield client
        finally:
            await client.close()


def assert_is_the_hole(start_ms: int, end_ms: int) -> None:
    assert abs(start_ms - HOLE[0] // MS) < 400
    assert abs(end_ms - HOLE[1] // MS) < 400


async def test_a_recording_has_all_its_words() -> None:
    async with serving(engine=skipping()) as http:
        form = {"file": io.BytesIO(wav(AUDIO)), "response_format": "verbose_json", "language": "en"}
        answer = await http.post(PATH, data={**form, "timestamp_granularities[]": "word"})
        body = await answer.json()
        metrics = await (await http.get("/metrics")).text()
    assert body["text"].split() == TEXT.split() and body["unread"] == []
    starts = [word["start"] for word in body["words"]]
    assert starts == sorted(starts)
    assert 'host_stt_engine_holes_total{outcome="filled"} 1.0' in metrics


async def test_a_recording_says_which_speech_has_no_words() -> None:
    async with serving(engine=skipping(always=True)) as http:
        form = {"file": io.BytesIO(wav(AUDIO)), "response_format": "verbose_json", "language": "en"}
        body = await (await http.post(PATH, data=form)).json()
    assert body["text"].split() == HEARD.split()
    (unread,) = body["unread"]
    assert unread["reason"] == "no_words"
    assert_is_the_hole(round(1000 * unread["start"]), round(1000 * unread["end"]))


async def push(aiohttp_client: Any, engine: FakeEngine) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(the answer of /push, the coverage that was told)."""
    rig = Rig()
    async with engine_client(engine) as transcriber:
        door = PushDoor(rig.registry, transcriber, NoTerms(), Ids())
        http = await aiohttp_client(app_of(door))
        session = (await (await http.post("/sessions/create")).json())["session_id"]
        form = aiohttp.FormData(default_to_multipart=True)
        form.add_fields(("session_id", session), ("channel_id", "C01"), ("start_ts", "0"), ("lang", "en"))
        form.add_field("audio", io.BytesIO(wav(AUDIO)), filename="piece.wav")
        answer = await http.post("/push", data=form)
        assert answer.status == 200
        body = await answer.json()
        await rig.registry.close()
    return body, rig.logs[session].of(EventType.COVERAGE)


async def test_a_pushed_piece_has_all_its_words(aiohttp_client: Any) -> None:
    body, coverage = await push(aiohttp_client, skipping())
    assert " ".join(s["text"] for s in body["segments"]).split() == TEXT.split()
    assert {run["state"] for run in coverage} == {"transcribed"}


async def test_a_pushed_piece_says_which_speech_has_no_words(aiohttp_client: Any) -> None:
    body, coverage = await push(aiohttp_client, skipping(always=True))
    assert " ".join(s["text"] for s in body["segments"]).split() == HEARD.split()
    assert [(run["state"], run.get("reason")) for run in coverage] == [
        ("transcribed", None),
        ("failed", "no_words"),
        ("transcribed", None),
    ]
    assert_is_the_hole(coverage[1]["from_ms"], coverage[1]["to_ms"])


async def live(engine: FakeEngine) -> tuple[Desk, Any, str]:
    """(the desk, its channel, all final text)."""
    async with engine_client(engine) as transcriber:
        desk = Desk(transcriber)
        channel = desk.open()
        await feed_samples(channel, AUDIO)
        await channel.close("hung_up")
    finals = desk.log.of(EventType.SEGMENT_FINAL)
    assert all(a["end_ms"] <= b["start_ms"] for a, b in zip(finals, finals[1:], strict=False))
    return desk, channel, " ".join(final["text"] for final in finals)


async def test_a_live_channel_has_all_its_words() -> None:
    desk, channel, text = await live(skipping())
    assert text.split() == TEXT.split()
    assert [state for state, _ in states(channel)] == ["silence", "transcribed", "silence"]
    assert_whole(desk, channel, channel.end_sample // MS)


async def test_a_live_channel_says_which_speech_has_no_words() -> None:
    desk, channel, text = await live(skipping(always=True))
    assert text.split() == HEARD.split()
    assert states(channel) == [
        ("silence", None),
        ("transcribed", None),
        ("failed", "no_words"),
        ("transcribed", None),
        ("silence", None),
    ]
    (failed,) = [run for run in channel.coverage.runs() if run.reason == "no_words"]
    assert_is_the_hole(failed.from_ms, failed.to_ms)
    assert_whole(desk, channel, channel.end_sample // MS)


async def test_speech_that_the_model_calls_silence_is_decoded_silence() -> None:
    desk, channel, text = await live(FakeEngine([*WORDS[:5], *WORDS[12:]]))
    assert text.split() == HEARD.split()
    assert [state for state, _ in states(channel)] == ["silence", "transcribed", "silence"]


@pytest.mark.parametrize("always", [False, True])
async def test_unbroken_speech_over_several_windows_is_complete_and_reported(always: bool) -> None:
    """More speech than one window holds; the skipped words are in the overlap of two windows, or near it."""
    spoken = say_words("one two three four five six seven eight nine ten eleven twelve " * 4, pause_ms=60)
    words = script(spoken.words, S // 2)
    hole = (words[14].start_sample, words[22].end_sample)
    engine = FakeEngine(words, skipped=[hole], skipped_again=[hole] if always else ())
    async with engine_client(engine) as transcriber:
        desk = Desk(transcriber)
        channel = desk.open()
        await feed_samples(channel, padded(spoken.samples, 0.5, 1.5))
        await channel.close("hung_up")
    text = " ".join(final["text"] for final in desk.log.of(EventType.SEGMENT_FINAL))
    kept = [w.text for k, w in enumerate(words) if not (always and 14 <= k <= 22)]
    assert text.split() == kept
    failed = [run for run in channel.coverage.runs() if run.state.value == "failed"]
    assert bool(failed) is always
    if always:
        told_ms = sum(run.to_ms - run.from_ms for run in failed)
        assert abs(told_ms - (hole[1] - hole[0]) // MS) < 1200
    assert_whole(desk, channel, channel.end_sample // MS)
