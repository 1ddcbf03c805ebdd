"""`POST /push`: recorded pieces are transcribed in the response, and invalid requests are refused."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from host_stt.contract import Segment, Transcript, Window, Word
from tests.host_stt_common.test_audio_tracks import with_tracks
from tests.support.audio_files import encoded, wav_header
from tests.support.peers import Rig, app_of
from tests.support.polling import until
from tests.support.recordings import spoken_phrases
from webrtc_host.archive.block_encoder import BlockEncoder
from webrtc_host.archive.upload_reservations import UploadReservations
from webrtc_host.config import LimitsConfig
from webrtc_host.doors.form import terms_of
from webrtc_host.doors.push import PUSHES_MAX, PushDoor
from webrtc_host.errors import EngineError
from webrtc_host.glossary.store import Glossary
from webrtc_host.seams import EventType
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.speech.final_text import FinalText
from webrtc_host.speech.ids import Ids


def reading(window: Window) -> Transcript:
    """One segment from half a second in to half a second before the end, named after the window's start."""
    start, end = window.start_sample + 8_000, window.start_sample + len(window.samples) - 8_000
    text = f"piece at {window.start_sample // 16_000}"
    words = (Word("piece", start, end, 0.9),)
    segment = Segment(f" {text} ", start, end, -0.25, 0.01, 1.2, words)
    return Transcript(window.id, (segment,), "en", 0.98, -0.25, 0.01, 1.2)


class Engine:
    """Returns the results of `read`, and keeps the windows."""

    def __init__(self) -> None:
        self.windows: list[Window] = []
        self.read: Callable[[Window], Transcript] = reading
        self.is_free = asyncio.Event()
        self.is_free.set()

    async def transcribe(self, window: Window) -> Transcript:
        self.windows.append(window)
        await self.is_free.wait()
        return self.read(window)


class World:
    def __init__(self, rig: Rig, http: Any, engine: Engine) -> None:
        self.rig = rig
        self.http = http
        self.engine = engine

    async def create(self, **form: Any) -> str:
        async with self.http.post("/sessions/create", data=form) as response:
            assert response.status == 200
            session: str = (await response.json())["session_id"]
            return session

    async def push(self, audio: bytes | None = None, **fields: str) -> tuple[int, dict[str, Any]]:
        form = aiohttp.FormData(default_to_multipart=True)
        for name, value in fields.items():
            form.add_field(name, value)
        if audio is not None:
            form.add_field("audio", io.BytesIO(audio), filename="piece.wav")
        async with self.http.post("/push", data=form) as response:
            return response.status, await response.json()

    async def refused(self, status: int, code: str, audio: bytes | None = None, **fields: str) -> str:
        answered, body = await self.push(audio, **fields)
        assert (answered, body.get("error", {}).get("code")) == (status, code), body
        assert not self.rig.registry.connections
        message: str = body["error"]["message"]
        return message


@pytest.fixture
async def world(aiohttp_client: Any) -> AsyncIterator[World]:
    rig, engine, glossary = Rig(LimitsConfig(push_bytes=4_000_000)), Engine(), Glossary()
    glossary.replace({"version": 1, "terms": [{"canonical": "Alpha-1"}, {"canonical": "Bravo"}]})
    door = PushDoor(rig.registry, engine, glossary, Ids())
    yield World(rig, await aiohttp_client(app_of(door)), engine)
    await rig.registry.close()


def flac_with_length(seconds: int) -> bytes:
    """A second of FLAC whose STREAMINFO announces another length: the low 36 of the 64 bits at byte 18."""
    data = encoded(np.zeros((1, 16_000), np.float32), 16_000, "flac", "flac")
    announced = int.from_bytes(data[18:26]) >> 36 << 36 | seconds * 16_000
    return data[:18] + announced.to_bytes(8) + data[26:]


def wav(seconds: float) -> bytes:
    """A hum, so that it is not taken for digital silence."""
    t = np.arange(int(seconds * 16_000)) / 16_000
    return encoded((0.1 * np.sin(2 * np.pi * 100 * t)).astype(np.float32)[np.newaxis], 16_000)


async def test_a_session_is_created_from_a_form_from_json_and_from_nothing(world: World) -> None:
    named = await world.create(name="night shift")
    assert world.rig.registry.get(named).name == "night shift"
    async with world.http.post("/sessions/create", json={"name": "day shift"}) as response:
        assert world.rig.registry.get((await response.json())["session_id"]).name == "day shift"
    async with world.http.post("/sessions/create") as response:
        assert response.status == 200
    async with world.http.post("/sessions/create", json={"name": 5}) as response:
        assert response.status == 422
    async with world.http.post("/sessions/create", json={"title": "night shift"}) as response:
        assert response.status == 422
        assert "'title'" in await response.text()
    async with world.http.post("/sessions/create", data=b"{", headers={"Content-Type": "text/json"}) as r:
        assert r.status == 400
    async with world.http.get("/sessions/create") as response:
        assert response.status == 405


async def test_text_in_the_response_is_not_escaped(world: World) -> None:
    def korean(window: Window) -> Transcript:
        segment = Segment("알파원", window.start_sample, window.start_sample + 8_000, -0.25, 0.01, 1.2, ())
        return Transcript(window.id, (segment,), "ko", 0.98, -0.25, 0.01, 1.2)

    world.engine.read = korean
    form = aiohttp.FormData({"session_id": await world.create(), "channel_id": "C01", "start_ts": "0"})
    form.add_field("audio", io.BytesIO(wav(1)), filename="piece.wav")
    async with world.http.post("/push", data=form) as response:
        assert "알파원" in await response.text()
        assert response.headers["Cache-Control"] == "no-store"


async def test_the_response_has_the_segments_of_a_piece_and_they_are_in_the_log(world: World) -> None:
    session = await world.create()
    status, body = await world.push(
        wav(3.0), session_id=session, channel_id="C03", start_ts="12.5", lang="en"
    )
    assert status == 200
    assert body == {
        "stream_id": f"{session}_C03",
        "segments": [{"start": 13.0, "end": 15.0, "text": "piece at 12", "conf": -0.25}],
        "commit_point": 15.5,
        "audio_kept": False,  # there is no archive here
        "is_complete": True,
        "seconds": 3.0,
        "announced_seconds": 3.0,
        "track": 0,
        "tracks": 1,
    }
    log = world.rig.logs[session]
    assert [(kind, channel) for kind, channel, _ in log.events] == [
        (EventType.SESSION_STARTED, None),
        (EventType.CHANNEL_OPENED, "C03"),
        (EventType.SEGMENT_FINAL, "C03"),
        (EventType.COVERAGE, "C03"),
        (EventType.CHANNEL_CLOSED, "C03"),
    ]
    coverage = {"from_ms": 12_500, "to_ms": 15_500, "state": "transcribed"}
    assert log.of(EventType.COVERAGE) == [coverage]
    final = log.of(EventType.SEGMENT_FINAL)[0]
    assert final == {
        "utterance": "u_1",
        "segment": "g_1",
        "start_ms": 13_000,
        "end_ms": 15_000,
        "start": "00:13.000",
        "end": "00:15.000",
        "text": "piece at 12",
        "raw": "piece at 12",
        "language": "en",
        "conf": -0.25,
        "words": [{"text": "piece", "start_ms": 13_000, "end_ms": 15_000, "p": 0.9}],
        "edits": [],
        "glossary_version": 1,
    }
    window = world.engine.windows[0]
    assert (window.language, window.terms, window.history) == ("en", ("Alpha-1", "Bravo"), "")
    assert not world.rig.registry.connections


async def test_a_text_stage_changes_the_response_and_the_log(aiohttp_client: Any) -> None:
    def loud(final: FinalText) -> FinalText:
        return replace(final, text=f"{final.channel} {final.text.upper()}")

    rig, engine = Rig(LimitsConfig(push_bytes=4_000_000)), Engine()
    door = PushDoor(rig.registry, engine, Glossary(), Ids(), stages=[loud])
    world = World(rig, await aiohttp_client(app_of(door)), engine)
    session = await world.create()
    status, body = await world.push(wav(3.0), session_id=session, channel_id="C03", start_ts="12.5")
    assert status == 200
    assert [segment["text"] for segment in body["segments"]] == ["C03 PIECE AT 12"]
    (final,) = rig.logs[session].of(EventType.SEGMENT_FINAL)
    assert (final["text"], final["raw"]) == ("C03 PIECE AT 12", "piece at 12")
    await rig.registry.close()


@pytest.mark.parametrize(
    ("container", "codec"),
    [("wav", "pcm_s16le"), ("flac", "flac"), ("ogg", "libopus"), ("mp3", "libmp3lame")],
)
async def test_every_kind_of_file_is_decoded(world: World, container: str, codec: str) -> None:
    sound = np.random.default_rng(1).normal(0, 0.1, 2 * 48_000).astype(np.float32)
    audio = encoded(sound[np.newaxis], 48_000, container, codec)
    status, body = await world.push(audio, session_id=await world.create(), channel_id="C01", start_ts="0")
    assert status == 200, body
    assert abs(body["commit_point"] - 2.0) < 0.06


async def test_a_prompt_becomes_terms_when_it_is_a_list_and_history_when_it_is_a_sentence(
    world: World,
) -> None:
    fields = {"session_id": await world.create(), "channel_id": "C01"}
    await world.push(wav(1), **fields, start_ts="0", initial_prompt="Zulu-9, gate seven")
    await world.push(wav(1), **fields, start_ts="5", initial_prompt="The tower asked for a report.")
    first, second = world.engine.windows
    assert first.terms == ("Zulu-9", "gate seven", "Alpha-1", "Bravo") and first.history == ""
    assert second.terms == ("Alpha-1", "Bravo") and second.history == "The tower asked for a report."


def test_which_prompts_are_lists() -> None:
    assert terms_of("Alpha-1") == ("Alpha-1",)
    assert terms_of("알파 원; 브라보") == ("알파 원", "브라보")
    assert terms_of("") == ()
    assert terms_of("Proceed to gate seven, then hold and wait for the tower.") == ()


async def test_pieces_may_arrive_in_any_order_but_may_not_overlap(world: World) -> None:
    fields = {"session_id": await world.create(), "channel_id": "C01"}
    _, later = await world.push(wav(10), **fields, start_ts="20")
    _, first = await world.push(wav(10), **fields, start_ts="0")
    _, between = await world.push(wav(10), **fields, start_ts="10.01")  # 10 ms of rounding
    assert [body["commit_point"] for body in (later, first, between)] == [30.0, 10.0, 30.0]
    for start in ("0", "5", "29.9", "25"):
        message = await world.refused(409, "time_committed", wav(2), **fields, start_ts=start)
        assert "C01" in message
    status, _ = await world.push(wav(1), **fields, start_ts="30")
    assert status == 200
    other, _ = await world.push(wav(2), **{**fields, "channel_id": "C02"}, start_ts="5")
    assert other == 200


async def test_two_simultaneous_pieces_of_one_channel_are_processed_one_by_one(world: World) -> None:
    fields = {"session_id": await world.create(), "channel_id": "C01"}
    world.engine.is_free.clear()
    pushes = [asyncio.create_task(world.push(wav(2), **fields, start_ts=start)) for start in ("10", "0", "1")]
    await until(lambda: len(world.engine.windows) == 1)
    await asyncio.sleep(0.05)
    assert len(world.engine.windows) == 1
    world.engine.is_free.set()
    statuses = sorted([(await push)[0] for push in pushes])
    assert statuses == [200, 200, 409]


async def test_a_long_piece_is_transcribed_in_windows_of_30_s_at_most(world: World) -> None:
    sound = np.random.default_rng(1).normal(0, 0.1, 75 * 16_000).astype(np.float32)
    audio = encoded(sound[np.newaxis], 16_000)
    fields = {"session_id": await world.create(), "channel_id": "C01"}
    status, body = await world.push(audio, **fields, start_ts="100")
    assert status == 200
    windows = world.engine.windows
    assert all(len(window.samples) <= 30 * 16_000 for window in windows)
    assert sum(len(window.samples) for window in windows) == 75 * 16_000
    assert windows[0].start_sample == 100 * 16_000
    ends = [0.0] + [segment["end"] for segment in body["segments"]]
    assert all(segment["start"] >= end for segment, end in zip(body["segments"], ends, strict=False))


async def test_digital_silence_needs_no_engine(world: World) -> None:
    audio = wav_header(64_000) + bytes(64_000)
    status, body = await world.push(audio, session_id=await world.create(), channel_id="C01", start_ts="0")
    assert (status, body["segments"], body["commit_point"]) == (200, [], 2.0)
    assert not world.engine.windows


async def test_the_error_names_the_missing_field(world: World) -> None:
    whole = {"session_id": await world.create(), "channel_id": "C01", "start_ts": "0"}
    for name in whole:
        fields = {key: value for key, value in whole.items() if key != name}
        assert name in await world.refused(422, "missing_field", wav(1), **fields)
    assert "audio" in await world.refused(422, "missing_field", None, **whole)


class FullArchive:
    """An archive whose encoder has no free space until `encoder` releases some."""

    trouble: str | None = None

    def __init__(self) -> None:
        self.kept: list[tuple[str, int]] = []
        self.uploads = UploadReservations(
            lambda space_freed: BlockEncoder(
                lambda key, packets: self.kept.append((key.channel, sum(p.samples for p in packets))),
                upload_samples_max=2 * 16_000,
                on_space_freed=space_freed,
            )
        )
        self.encoder = self.uploads.encoder


async def test_a_piece_without_space_in_the_archive_is_503_and_leaves_no_state(
    aiohttp_client: Any,
) -> None:
    rig, engine, archive = Rig(), Engine(), FullArchive()
    glossary = Glossary()
    door = PushDoor(rig.registry, engine, glossary, Ids(), archive=archive, space_wait_s=0.01)
    world = World(rig, await aiohttp_client(app_of(door)), engine)
    session = await world.create()
    fields = {"session_id": session, "channel_id": "C01", "start_ts": "0"}
    assert archive.encoder.reserve(2 * 16_000)
    said = await world.refused(503, "archive_busy", wav(1), **fields)
    assert "nothing was transcribed; send it again" in said
    assert not engine.windows and not rig.logs[session].of(EventType.SEGMENT_FINAL)
    assert not rig.registry.get(session).channels["C01"].taken
    archive.encoder.release(2 * 16_000)
    status, body = await world.push(wav(1), **fields)
    assert (status, body["audio_kept"]) == (200, True)
    await asyncio.to_thread(archive.encoder.close)
    assert [channel for channel, _ in archive.kept] == ["C01"] * len(archive.kept)
    assert sum(samples for _, samples in archive.kept) == pytest.approx(16_000, abs=700)
    assert archive.encoder.reserve(2 * 16_000)
    await rig.registry.close()


async def test_the_response_says_that_a_piece_is_not_archived(aiohttp_client: Any) -> None:
    rig, engine, archive = Rig(), Engine(), FullArchive()
    archive.trouble = "the disk is full"
    door = PushDoor(rig.registry, engine, Glossary(), Ids(), archive=archive)
    world = World(rig, await aiohttp_client(app_of(door)), engine)
    fields = {"session_id": await world.create(), "channel_id": "C01", "start_ts": "0"}
    assert (await world.push(wav(1), **fields))[1]["audio_kept"] is False
    await asyncio.to_thread(archive.encoder.close)
    await rig.registry.close()


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("ipod", "aac"),
        ("webm", "libopus"),
        ("asf", "mp2"),
        ("aiff", "pcm_s16be"),
        ("caf", "pcm_s16le"),
        ("adts", "aac"),
    ],
)
async def test_push_accepts_the_files_that_8081_accepts(world: World, container: str, codec: str) -> None:
    planes = (0.1 * np.sin(np.arange(96_000) * 0.05)).astype(np.float32)[np.newaxis]
    fields = {"session_id": await world.create(), "channel_id": "C01", "start_ts": "0"}
    status, body = await world.push(encoded(planes, 48_000, container, codec), **fields)
    assert (status, body["seconds"]) == (200, pytest.approx(2, abs=0.15))


async def test_speech_on_the_second_track_is_transcribed_and_the_track_named(
    world: World, tmp_path: Path
) -> None:
    speech, _ = spoken_phrases(["alpha one proceed to gate seven"])
    data = with_tracks(tmp_path / "obs.mkv", np.zeros_like(speech), speech).read_bytes()
    fields = {"session_id": await world.create(), "channel_id": "C01", "start_ts": "0"}
    status, body = await world.push(data, **fields)
    assert (status, body["track"], body["tracks"]) == (200, 1, 2)
    assert np.abs(world.engine.windows[0].samples).max() > 0.1


@pytest.mark.parametrize(
    "data",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:1/a.ts\n",
        b"ffconcat version 1.0\nfile '/etc/hostname'\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
        b"\x89PNG\r\n\x1a\n" + bytes(400),
    ],
    ids=["hls", "concat", "sdp", "picture"],
)
async def test_play_lists_and_pictures_are_refused(world: World, data: bytes) -> None:
    fields = {"session_id": await world.create(), "channel_id": "C01", "start_ts": "0"}
    said = await world.refused(415, "wrong_type", data, **fields)
    assert said.startswith("the file cannot be read as a recording: ")


async def test_the_response_says_that_a_piece_is_incomplete(world: World) -> None:
    fields = {"session_id": await world.create(), "channel_id": "C01", "start_ts": "0"}
    whole = wav(3.0)
    status, body = await world.push(whole[: len(whole) * 2 // 3], **fields)
    assert status == 200
    assert (body["is_complete"], body["announced_seconds"]) == (False, 3.0)
    assert body["seconds"] == pytest.approx(2.0, abs=0.01)


async def test_the_track_may_be_given_and_must_exist(world: World) -> None:
    fields = {"session_id": await world.create(), "channel_id": "C01", "start_ts": "0"}
    said = await world.refused(422, "unknown_track", wav(1), **fields, track="1")
    assert said == "the file has one audio track, number 0; 1 is none of them"
    await world.refused(422, "bad_field", wav(1), **fields, track="-1")
    assert (await world.push(wav(1), **fields, track="0"))[1]["track"] == 0


async def test_headerless_telephone_audio_is_detected_by_its_name(world: World) -> None:
    planes = (0.1 * np.sin(np.arange(16_000) * 0.3)).astype(np.float32)[np.newaxis]
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in {"session_id": await world.create(), "channel_id": "C01", "start_ts": "0"}.items():
        form.add_field(name, value)
    form.add_field("audio", encoded(planes, 8_000, "alaw", "pcm_alaw"), filename="call.alaw")
    async with world.http.post("/push", data=form) as response:
        assert (response.status, (await response.json())["seconds"]) == (200, pytest.approx(2, abs=0.01))


async def test_languages_are_accepted_in_the_forms_that_clients_use(world: World) -> None:
    session = await world.create()
    for number, (lang, code) in enumerate(
        {"en-US": "en", "ko_KR": "ko", "English": "en", "Auto": "auto", "": "auto", "nb-NO": "no"}.items()
    ):
        fields = {"session_id": session, "channel_id": "C02", "start_ts": str(2 * number), "lang": lang}
        assert (await world.push(wav(1), **fields))[0] == 200
        assert world.engine.windows[-1].language == code


async def test_a_language_that_the_model_lacks_is_an_error_of_the_request(world: World) -> None:
    def refuse(window: Window) -> Transcript:
        raise EngineError("unknown_language", "the model starter does not know 'cy'; it knows en, ko")

    world.engine.read = refuse
    fields = {"session_id": await world.create(), "channel_id": "C02", "start_ts": "0", "lang": "cy"}
    assert "it knows en, ko" in await world.refused(422, "unknown_language", wav(1), **fields)


async def test_invalid_fields_are_refused(world: World) -> None:
    whole = {"session_id": await world.create(), "channel_id": "C01", "start_ts": "0"}
    for start in ("soon", "-1", "nan", "inf", "1e30"):
        assert "start_ts" in await world.refused(422, "bad_field", wav(1), **{**whole, "start_ts": start})
    await world.refused(422, "unknown_channel", wav(1), **{**whole, "channel_id": "C65"})
    await world.refused(404, "unknown_session", wav(1), **{**whole, "session_id": "s_nowhere"})
    await world.refused(422, "unknown_language", wav(1), **whole, lang="xx")
    await world.refused(422, "bad_field", wav(1), **whole, initial_prompt="x" * 5_000)
    ended = world.rig.registry.create()
    await world.rig.registry.end(ended)
    await world.refused(409, "session_ended", wav(1), **{**whole, "session_id": ended.id})


async def test_invalid_files_are_refused(world: World) -> None:
    whole = {"session_id": await world.create(), "channel_id": "C01", "start_ts": "0"}
    await world.refused(415, "wrong_type", b"just some text\n" * 50, **whole)
    await world.refused(422, "empty_audio", b"", **whole)
    await world.refused(422, "empty_audio", wav_header(0), **whole)
    await world.refused(413, "too_large", wav_header(5_000_000) + bytes(5_000_000), **whole)
    await world.refused(413, "too_long", flac_with_length(3 * 3600), **whole)
    status, _ = await world.push(wav(1), **whole)
    assert status == 200


async def test_bodies_that_are_no_form_are_refused(world: World) -> None:
    for headers, data, status, code in (
        ({"Content-Type": "application/json"}, b"{}", 415, "wrong_type"),
        ({"Content-Type": "multipart/form-data"}, b"hello", 400, "bad_form"),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"hello", 400, "bad_form"),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x\r\n\r\nhello", 400, "bad_form"),
    ):
        async with world.http.post("/push", data=data, headers=headers) as response:
            body = await response.json()
            assert (response.status, body["error"]["code"]) == (status, code), (data, body)
    async with world.http.get("/push") as response:
        assert response.status == 405


async def test_a_channel_with_live_audio_accepts_no_pieces(world: World) -> None:
    session = world.rig.registry.get(await world.create())

    async def end(reason: str) -> int:
        world.rig.registry.disconnect(live)
        return 0

    live = world.rig.registry.connect(session, DoorKind.WEBRTC, [ChannelSpec("C01")], end)
    status, body = await world.push(wav(1), session_id=session.id, channel_id="C01", start_ts="0")
    assert (status, body["error"]["code"]) == (409, "channel_fed")


async def test_a_piece_that_the_engine_failed_on_may_be_sent_again(world: World) -> None:
    def fail(window: Window) -> Transcript:
        raise EngineError("unreachable", "8081 does not answer", is_retryable=True)

    whole = {"session_id": await world.create(), "channel_id": "C01", "start_ts": "5"}
    world.engine.read = fail
    assert "8081" in await world.refused(503, "engine_failed", wav(2), **whole)
    failed = world.rig.logs[whole["session_id"]].of(EventType.WINDOW_FAILED)[0]
    assert (failed["start_ms"], failed["end_ms"], failed["code"]) == (5_000, 7_000, "unreachable")
    world.engine.read = reading
    status, _ = await world.push(wav(2), **whole)
    assert status == 200


async def test_a_window_that_fails_does_not_affect_the_others(world: World) -> None:
    def fail_once(window: Window) -> Transcript:
        if window.start_sample == 0:
            raise EngineError("engine_failed", "out of memory")
        return reading(window)

    world.engine.read = fail_once
    sound = np.random.default_rng(1).normal(0, 0.1, 40 * 16_000).astype(np.float32)
    session = await world.create()
    status, body = await world.push(
        encoded(sound[np.newaxis], 16_000), session_id=session, channel_id="C01", start_ts="0"
    )
    assert (status, len(body["segments"])) == (200, 1)
    assert len(world.rig.logs[session].of(EventType.WINDOW_FAILED)) == 1


async def test_too_many_simultaneous_files_get_a_retry_time(world: World) -> None:
    session = await world.create()
    world.engine.is_free.clear()
    pushes = [
        asyncio.create_task(world.push(wav(1), session_id=session, channel_id=f"C{n:02d}", start_ts="0"))
        for n in range(1, PUSHES_MAX + 1)
    ]
    await until(lambda: len(world.engine.windows) == PUSHES_MAX)
    status, body = await world.push(wav(1), session_id=session, channel_id="C60", start_ts="0")
    assert (status, body["error"]["code"]) == (503, "too_many_pushes")
    world.engine.is_free.set()
    assert {(await push)[0] for push in pushes} == {200}


async def test_ending_the_session_waits_for_the_piece_in_progress(world: World) -> None:
    session = await world.create()
    world.engine.is_free.clear()
    push = asyncio.create_task(world.push(wav(1), session_id=session, channel_id="C01", start_ts="0"))
    await until(lambda: bool(world.engine.windows))
    ended = world.rig.registry.get(session)
    ending = asyncio.create_task(world.rig.registry.end(ended))
    await until(lambda: ended.is_ended)
    world.engine.is_free.set()
    await ending
    assert (await push)[0] == 200
    assert world.rig.logs[session].events[-1][0] is EventType.SESSION_ENDED


async def test_an_unknown_field_is_named_with_the_known_ones(world: World) -> None:
    fields = {"session_id": await world.create(), "channel_id": "C01", "start_ts": "0"}
    message = await world.refused(422, "unknown_field", wav(1), **fields, language="ko")
    assert "'language'" in message and "lang" in message and "audio" in message
