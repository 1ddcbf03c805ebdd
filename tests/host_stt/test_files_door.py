"""The door for recordings, asked by OpenAI's own client, unmodified, in front of a real engine process."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import jiwer
import numpy as np
import openai
import pytest
import srt
import webvtt
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from host_stt.config import EngineConfig
from host_stt.engines.fake import FakeEngine, FakeFault, script_of
from host_stt.files.config import FilesConfig
from host_stt.files.door import PATH
from host_stt.server import create_app
from tests.host_stt.test_server import serving
from tests.host_stt_common.test_audio_tracks import with_tracks
from tests.support.audio_files import encoded, wav_header
from tests.support.engine_process import running
from tests.support.polling import until, until_blocking
from tests.support.recordings import SpokenPhrase, at_48k, spoken_phrases, wav

pytestmark = pytest.mark.model

CALLS = [
    "red seven hold at tunnel seven",
    "black four seven all units hold position",
    "papa zero this is juliett four all units hold position",
    "security five affirmative roger",
    "message received over",
    "tower nine this is zulu zero negative out",
    "foxtrot eight proceed to runway six",
]
KOREAN = ["수신 양호 이상", "현재 위치 보고하라", "블루파이브 현재 위치 보고하라"]
ENGLISH = ["alpha one proceed to gate seven", "bravo two all units hold position"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with (
        running(model="starter") as (_, address),
        openai.OpenAI(base_url=address, api_key="none", max_retries=0) as asking,
    ):

        def is_ready() -> bool:
            try:
                asking.get("/ready", cast_to=object)
            except openai.InternalServerError:
                return False
            return True

        until_blocking(is_ready, 60)
        yield address


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=110) as made:
        yield made


@pytest.fixture(scope="module")
def radio() -> tuple[bytes, list[SpokenPhrase]]:
    """An Ogg of two calls."""
    samples, said = spoken_phrases(ENGLISH)
    return encoded(np.stack([at_48k(samples)]), 48_000, "ogg", "libopus"), said


def words_off(heard: str, said: str) -> float:
    return jiwer.wer(said, heard)


def ask(client: openai.OpenAI, data: bytes, **more: Any) -> Any:
    return client.audio.transcriptions.create(model="whisper-1", file=("night.ogg", data), **more)


def test_json_is_the_default_and_holds_the_text(
    client: openai.OpenAI, radio: tuple[bytes, list[SpokenPhrase]]
) -> None:
    answer = ask(client, radio[0])
    assert words_off(answer.text, " ".join(ENGLISH)) <= 0.1
    assert answer.usage.seconds == pytest.approx(radio[1][-1].end_s + 1.2, abs=1)


def test_text_srt_and_vtt_have_their_content_types(
    client: openai.OpenAI, radio: tuple[bytes, list[SpokenPhrase]]
) -> None:
    text = ask(client, radio[0], response_format="text")
    assert isinstance(text, str)
    subtitles = list(srt.parse(ask(client, radio[0], response_format="srt")))
    captions = webvtt.from_buffer(io.StringIO(ask(client, radio[0], response_format="vtt"))).captions
    assert len(subtitles) == len(captions) == len(ENGLISH)
    assert (
        " ".join(cue.content for cue in subtitles) == " ".join(cue.text for cue in captions) == text.strip()
    )
    for cue, said in zip(subtitles, radio[1], strict=True):
        assert cue.start.total_seconds() == pytest.approx(said.start_s, abs=0.5)
        assert cue.end.total_seconds() == pytest.approx(said.end_s, abs=0.5)


def test_verbose_json_holds_segments_and_words_in_their_places(
    client: openai.OpenAI, radio: tuple[bytes, list[SpokenPhrase]]
) -> None:
    answer = ask(
        client, radio[0], response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert (answer.language, answer.task) == ("english", "transcribe")
    assert [segment.id for segment in answer.segments] == [0, 1]
    for segment, said in zip(answer.segments, radio[1], strict=True):
        assert segment.start == pytest.approx(said.start_s, abs=0.5)
        assert segment.end == pytest.approx(said.end_s, abs=0.5)
        assert (segment.tokens, segment.temperature) == ([], 0)
        assert segment.avg_logprob < 0
    assert " ".join(word.word for word in answer.words) == answer.text
    times = [time_s for word in answer.words for time_s in (word.start, word.end)]
    assert times == sorted(times)


def test_a_stream_gives_the_text_in_parts_and_then_whole(
    client: openai.OpenAI, radio: tuple[bytes, list[SpokenPhrase]]
) -> None:
    events = list(ask(client, radio[0], stream=True))
    assert [event.type for event in events[:-1]] == ["transcript.text.delta"] * len(ENGLISH)
    assert events[-1].type == "transcript.text.done"
    assert events[-1].text == "".join(event.delta for event in events[:-1])
    assert words_off(events[-1].text, " ".join(ENGLISH)) <= 0.1


def test_korean_is_transcribed_and_its_language_named(client: openai.OpenAI) -> None:
    samples, _ = spoken_phrases(KOREAN, "ko")
    for language in (openai.omit, "ko", "korean"):
        answer = ask(client, wav(samples), response_format="verbose_json", language=language)
        assert answer.language == "korean"
        assert jiwer.cer(" ".join(KOREAN), answer.text) <= 0.15


def test_three_minutes_are_transcribed_completely_with_correct_times(client: openai.OpenAI) -> None:
    texts = CALLS * 8
    samples, said = spoken_phrases(texts)
    assert len(samples) > 180 * 16_000
    answer = ask(client, wav(samples), response_format="verbose_json", language="en")
    assert answer.duration == pytest.approx(len(samples) / 16_000, abs=0.01)
    assert words_off(answer.text, " ".join(texts)) <= 0.1
    for phrase in said:
        assert any(
            segment.start < phrase.end_s and segment.end > phrase.start_s for segment in answer.segments
        ), phrase
    starts = [segment.start for segment in answer.segments]
    assert starts == sorted(starts)


def test_silence_is_an_empty_text(client: openai.OpenAI) -> None:
    quiet = wav(np.zeros(5 * 16_000, np.float32))
    assert ask(client, quiet).text == ""
    (done,) = ask(client, quiet, stream=True)
    assert (done.type, done.text) == ("transcript.text.done", "")


def test_hotwords_keywords_prompt_and_temperature_are_taken(
    client: openai.OpenAI, radio: tuple[bytes, list[SpokenPhrase]]
) -> None:
    answer = ask(
        client,
        radio[0],
        prompt="alpha one, bravo two",
        temperature=0.2,
        extra_body={"hotwords": "alpha one, bravo two", "keywords": ["gate seven"], "include": ["logprobs"]},
    )
    assert words_off(answer.text, " ".join(ENGLISH)) <= 0.2


@pytest.mark.parametrize(
    ("granularities", "has_words", "has_segments"),
    [
        ({"timestamp_granularities[0]": "word"}, True, False),
        ({"timestamp_granularities[0]": "word", "timestamp_granularities[1]": "segment"}, True, True),
        ({"timestamp_granularities[]": "segment"}, False, True),
        ({"timestamp_granularities": "word,segment"}, True, True),
        ({"timestamp_granularities": ""}, False, True),
    ],
)
def test_granularities_are_taken_as_form_libraries_write_lists(
    client: openai.OpenAI,
    radio: tuple[bytes, list[SpokenPhrase]],
    granularities: dict[str, str],
    has_words: bool,
    has_segments: bool,
) -> None:
    answer = ask(client, radio[0], response_format="verbose_json", language="en-US", extra_body=granularities)
    assert (bool(answer.words), bool(answer.segments)) == (has_words, has_segments)


def test_a_base_url_without_v1_works_too(url: str, radio: tuple[bytes, list[SpokenPhrase]]) -> None:
    with openai.OpenAI(base_url=f"{url}/", api_key="none", max_retries=0) as client:
        assert words_off(ask(client, radio[0]).text, " ".join(ENGLISH)) <= 0.1


def test_the_starter_model_does_not_translate(
    client: openai.OpenAI, radio: tuple[bytes, list[SpokenPhrase]]
) -> None:
    # `audio.translations.create` of this client warns that the call is on its way out.
    with pytest.raises(openai.NotFoundError, match="the model starter cannot translate into English"):
        client.post("/audio/translations", cast_to=object, files={"file": radio[0]})


def test_a_recording_that_breaks_off_says_so_in_every_form(
    client: openai.OpenAI, radio: tuple[bytes, list[SpokenPhrase]]
) -> None:
    whole = wav(spoken_phrases(ENGLISH)[0])
    cut = whole[: len(whole) * 3 // 5]
    announced_s = (len(whole) - 44) / 32_000
    for form in ("json", "verbose_json"):
        answer = ask(client, cut, response_format=form)
        assert answer.is_complete is False
        assert answer.announced_seconds == pytest.approx(announced_s, abs=0.01)
        assert answer.seconds == pytest.approx(0.6 * announced_s, abs=0.01)
    done = list(ask(client, cut, stream=True))[-1]
    assert (done.type, done.is_complete) == ("transcript.text.done", False)
    raw = client.audio.transcriptions.with_raw_response.create(
        model="whisper-1", file=("night.wav", cut), response_format="srt"
    )
    assert raw.headers["X-Audio-Complete"] == "false"
    assert float(raw.headers["X-Audio-Announced-Seconds"]) == pytest.approx(announced_s, abs=0.01)
    assert ask(client, whole).is_complete is True


def test_speech_on_the_second_track_is_transcribed_and_the_track_named(
    client: openai.OpenAI, tmp_path: Path
) -> None:
    speech = spoken_phrases(ENGLISH)[0]
    data = with_tracks(tmp_path / "obs.mkv", np.zeros_like(speech), speech).read_bytes()
    answer = ask(client, data)
    assert words_off(answer.text, " ".join(ENGLISH)) <= 0.1
    assert (answer.track, answer.tracks) == (1, 2)
    assert ask(client, data, extra_body={"track": "0"}).text == ""
    with pytest.raises(openai.UnprocessableEntityError, match="audio tracks 0 to 1; 2 is none of them"):
        ask(client, data, extra_body={"track": "2"})


@pytest.mark.parametrize("dbfs", [-46, -52])
def test_quiet_speech_is_transcribed(client: openai.OpenAI, dbfs: int) -> None:
    speech = spoken_phrases(ENGLISH)[0]
    quiet = speech * np.float32(10 ** (dbfs / 20) / np.abs(speech).max())
    assert words_off(ask(client, wav(quiet)).text, " ".join(ENGLISH)) <= 0.2


SECOND = wav(np.zeros(16_000, np.float32))


@pytest.mark.parametrize(
    ("data", "fields", "status", "code", "param"),
    [
        (b"not a recording at all", {}, 415, "wrong_type", "file"),
        (b"", {}, 422, "empty_audio", "file"),
        (wav_header(0), {}, 422, "empty_audio", "file"),
        (SECOND, {"response_format": "diarized_json"}, 400, "not_supported", "response_format"),
        (SECOND, {"response_format": "poem"}, 400, "bad_field", "response_format"),
        (SECOND, {"extra_body": {"languages": ["en", "auto"]}}, 400, "unknown_language", "languages"),
        (SECOND, {"language": "tlh"}, 400, "unknown_language", "language"),
        (SECOND, {"temperature": 7}, 400, "bad_field", "temperature"),
        (SECOND, {"stream": True, "response_format": "srt"}, 400, "bad_field", "stream"),
        (SECOND, {"timestamp_granularities": ["word"]}, 400, "bad_field", "timestamp_granularities"),
        (SECOND, {"response_format": "verbose_json", "extra_body": {"timestamp_granularities[x]": "word"}},
         400, "bad_field", "timestamp_granularities"),
        (SECOND, {"extra_body": {"track": "first"}}, 400, "bad_field", "track"),
        (SECOND, {"extra_body": {"track": "7"}}, 422, "unknown_track", "track"),
        (wav_header(64_000, rate=1) + bytes(64_000), {}, 422, "bad_audio", "file"),
        (SECOND, {"extra_body": {"hotwords[0][a]": "alpha"}}, 400, "bad_field", "hotwords"),
        (SECOND, {"extra_body": {"stream": "perhaps"}}, 400, "bad_field", "stream"),
        (SECOND, {"extra_body": {"hotwords": "x" * 300}}, 400, "term_too_long", "hotwords"),
        (SECOND, {"extra_body": {"hotwords": "a,b," * 600 + ",".join(map(str, range(1200)))}}, 400,
         "too_many_terms", "hotwords"),
        (SECOND, {"prompt": "x" * 100_000}, 413, "too_large", "prompt"),
    ],
)  # fmt: skip
def test_bad_input_is_answered_in_openais_form_and_ours(
    client: openai.OpenAI, data: bytes, fields: dict[str, Any], status: int, code: str, param: str
) -> None:
    with pytest.raises(openai.APIStatusError) as error:
        ask(client, data, **fields)
    assert (error.value.status_code, error.value.code, error.value.param) == (status, code, param)
    assert error.value.type == "invalid_request_error"
    assert ask(client, SECOND).text == ""


PIECES = [
    *(b"--x", b"--x--", b"\r\n", b"\r\n\r\n", b"\n", b"--", b"text", b"\x00\xff"),
    b'Content-Disposition: form-data; name="file"; filename="a"',
    b'Content-Disposition: form-data; name="language"',
    b"Content-Type: multipart/mixed; boundary=x",
    b"Content-Transfer-Encoding: base64",
    b"Content-Encoding: gzip",
]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "application/json", 415),
        (b"", "multipart/form-data; boundary=x", 400),
        (b"--x\r\nContent-Disp", "multipart/form-data; boundary=x", 400),
        (b"rubbish" * 1000, "multipart/form-data; boundary=x", 400),
        (b"--x\r\n\r\n\r\n--x--\r\n", "multipart/form-data; boundary=x", 400),
        (b"--x--\r\n", "multipart/form-data", 400),
    ],
)
async def test_a_body_that_is_not_a_form_is_refused(
    url: str, body: bytes, content_type: str, status: int
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(url + PATH, data=body, headers={"Content-Type": content_type}) as answer,
    ):
        assert answer.status == status
        assert set((await answer.json())["error"]) == {"code", "message", "type", "param"}


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=st.binary(max_size=300) | st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join))
def test_any_form_gets_a_response_and_later_requests_work(url: str, body: bytes) -> None:
    async def post() -> int:
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(url + PATH, data=body, headers=headers) as a,
        ):
            return a.status

    assert asyncio.run(post()) in (400, 413, 415, 422)


# --- with the fake engine, in this process ------------------------------------------------------------


def form_of(data: bytes, **fields: str) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("file", data, filename="a.wav", content_type="audio/wav")
    for name, value in fields.items():
        form.add_field(name, value)
    return form


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.fixture
def calls() -> bytes:
    samples, _ = spoken_phrases(ENGLISH * 3, pause_s=2.5)
    return wav(samples)


async def test_a_window_that_fails_ends_a_stream_with_an_error(calls: bytes) -> None:
    # Two of the warm-up, one that works, then a window's two tries, each alone after its batch.
    engine = Flaky(script_of("one two three " * 40), works=4)
    async with serving(engine=engine, batch_max=1) as client:
        answer = await client.post(PATH, data=form_of(calls, stream="true"))
        events = [json.loads(line[6:]) for line in (await answer.text()).splitlines() if line]
    assert answer.status == 200
    assert [event["type"] for event in events] == ["transcript.text.delta"] * 2 + ["error"]
    assert events[-1]["error"]["code"] == "window_failed"
    assert events[-1]["error"]["type"] == "server_error"


class Flaky(FakeEngine):
    """Works so many times, then never again."""

    def __init__(self, script: Any, works: int) -> None:
        super().__init__(script, fault=FakeFault.RAISE, fault_on_call=-1)
        self._works = works

    def _have_fault(self) -> None:
        self._fault_on_call = 0 if self.calls > self._works else -1
        super()._have_fault()


async def test_a_caller_that_disconnects_ends_the_job_and_leaves_no_file(
    calls: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    engine = FakeEngine(script_of("one two three"), decode_s=0.3)
    async with serving(engine=engine, batch_max=1) as client:
        with pytest.raises(TimeoutError):
            await client.post(PATH, data=form_of(calls), timeout=aiohttp.ClientTimeout(total=0.8))
        await until(lambda: left_in(tmp_path) == [])
        decoded = engine.calls
        await asyncio.sleep(3 * 0.3)  # three windows more, if the work went on
        assert engine.calls <= decoded + 1


async def test_recordings_over_the_limit_are_refused_with_retry_after(calls: bytes) -> None:
    engine = FakeEngine(script_of("one two three"), decode_s=0.2)
    async with serving(engine=engine, batch_max=1) as client:
        answers = await asyncio.gather(
            *(client.post(PATH, data=form_of(calls)) for _ in range(FilesConfig().jobs_max + 2))
        )
    assert sorted(answer.status for answer in answers) == [200] * 4 + [429] * 2
    assert all("Retry-After" in answer.headers for answer in answers if answer.status == 429)


async def test_recordings_need_the_token_and_a_model() -> None:
    async with serving(token="secret") as client:
        assert (await client.post(PATH, data=form_of(SECOND))).status == 401
        key = {"Authorization": "Bearer secret"}
        assert (await client.post(PATH, data=form_of(SECOND), headers=key)).status == 200
    app = create_app(EngineConfig(model="/nowhere", stop_grace_s=1))
    async with TestClient(TestServer(app)) as unready:
        answer = await unready.post(PATH, data=form_of(SECOND))
        assert (answer.status, (await answer.json())["error"]["code"]) == (503, "not_ready")


async def test_an_upload_over_the_limit_is_refused_by_its_header_or_while_it_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("host_stt.files.door.FilesConfig", lambda: FilesConfig(bytes_max=100_000))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    async def endless() -> Any:
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        yield head
        for _ in range(100):
            yield bytes(10_000)

    async with serving() as client:
        answer = await client.post(PATH, data=form_of(bytes(300_000)))
        assert (answer.status, (await answer.json())["error"]["code"]) == (413, "too_large")
        header = {"Content-Type": "multipart/form-data; boundary=x"}
        try:
            answer = await client.post(PATH, data=endless(), headers=header)
            assert answer.status == 413
        except aiohttp.ClientError:
            pass  # the server closed while the client was still sending, which is as good
    assert left_in(tmp_path) == []


async def test_a_stalled_upload_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("host_stt.files.door.FilesConfig", lambda: FilesConfig(upload_stall_s=0.2))

    async def stalling() -> Any:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nsome'
        await asyncio.Event().wait()

    async with serving() as client:
        header = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = await client.post(PATH, data=stalling(), headers=header)
        assert (answer.status, (await answer.json())["error"]["code"]) == (408, "upload_stalled")
