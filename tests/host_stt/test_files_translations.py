"""`POST /v1/audio/translations`: OpenAI's own client, unmodified, and an engine that knows the words."""

from __future__ import annotations

import io
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import openai
import pytest
import srt
from openai.types.audio import TranslationVerbose

from host_stt.contract import AUTO, Answer, Priority, Task, Window
from host_stt.engines.fake import FakeEngine, script_of
from tests.host_stt.test_server import serving
from tests.support.recordings import spoken_phrases, wav

SAID = "one two three four five six seven eight nine ten"
SECOND = wav(np.zeros(16_000, np.float32))


class Translator(FakeEngine):
    """Keeps the windows, except those of the warm-up. It skips words, as Whisper does: a transcription has
    them decoded a second time.
    """

    def __init__(self) -> None:
        super().__init__(
            script_of(SAID), languages=("ko", "en"), can_translate=True, skipped=((32_000, 64_000),)
        )
        self.windows: list[Window] = []

    def decode(self, windows: Sequence[Window]) -> list[Answer]:
        self.windows += [one for one in windows if one.channel != "warm-up"]
        return super().decode(windows)


@pytest.fixture(scope="module")
def calls() -> bytes:
    return wav(spoken_phrases(["alpha one proceed to gate seven"] * 2, pause_s=0.3)[0])


@asynccontextmanager
async def asking(engine: FakeEngine) -> AsyncIterator[openai.AsyncOpenAI]:
    async with serving(engine=engine) as client:
        url = str(client.make_url("/v1"))
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as made:
            yield made


async def ask(client: openai.AsyncOpenAI, data: bytes, **more: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # OpenAI itself ends this call in 2027
        return await client.audio.translations.create(model="whisper-1", file=("night.wav", data), **more)


async def test_every_format_has_the_english_text(calls: bytes) -> None:
    async with asking(Translator()) as client:
        text = (await ask(client, calls)).text
        assert "one two three" in text
        assert (await ask(client, calls, response_format="text")).strip() == text
        (cue,) = srt.parse(await ask(client, calls, response_format="srt"))
        assert cue.content.split() == text.split()
        assert (await ask(client, calls, response_format="vtt")).startswith("WEBVTT\n")
        verbose = await ask(client, calls, response_format="verbose_json")
        assert isinstance(verbose, TranslationVerbose) and verbose.segments
        assert (verbose.language, verbose.text) == ("english", text)
        more = verbose.model_dump()
        assert (more["task"], more["languages"]) == ("translate", [{"code": "ko"}])
        assert "unread" not in more and more["is_complete"] is True
        assert [one.text for one in verbose.segments] == [text]


async def test_the_engine_gets_the_task_and_the_prompt_and_reads_no_window_twice(calls: bytes) -> None:
    engine = Translator()
    async with asking(engine) as client:
        await ask(client, calls, prompt="radio traffic", temperature=0.2, extra_body={"colour": "blue"})
        (sent,) = engine.windows
        assert (sent.task, sent.language, sent.priority) == (Task.TRANSLATE, AUTO, Priority.BACKGROUND)
        assert (sent.history, sent.terms) == ("radio traffic", ())
        # The same recording as a transcription: the engine skipped words, so their stretch is decoded again.
        await client.audio.transcriptions.create(model="whisper-1", file=("night.wav", calls))
        assert len(engine.windows) > 2 and {one.task for one in engine.windows[1:]} == {Task.TRANSCRIBE}


async def test_language_may_name_the_language_of_the_text(calls: bytes) -> None:
    async with asking(Translator()) as client:
        assert (await ask(client, calls, extra_body={"language": "en", "stream": "false"})).text


@pytest.mark.parametrize(
    ("data", "fields", "status", "code", "param"),
    [
        (b"not a recording at all", {}, 415, "wrong_type", "file"),
        (b"", {}, 422, "empty_audio", "file"),
        (SECOND, {"response_format": "poem"}, 400, "bad_field", "response_format"),
        (SECOND, {"response_format": "diarized_json"}, 400, "not_supported", "response_format"),
        (SECOND, {"temperature": 7}, 400, "bad_field", "temperature"),
        (SECOND, {"extra_body": {"language": "ko"}}, 400, "bad_field", "language"),
        (SECOND, {"extra_body": {"language": "klingon"}}, 400, "unknown_language", "language"),
        (SECOND, {"extra_body": {"languages": ["ko"]}}, 400, "bad_field", "languages"),
        (SECOND, {"extra_body": {"hotwords": "Alpha-1"}}, 400, "bad_field", "hotwords"),
        (SECOND, {"extra_body": {"keywords[0]": "Alpha-1"}}, 400, "bad_field", "keywords"),
        (SECOND, {"extra_body": {"timestamp_granularities": ["word"]}}, 400, "bad_field",
         "timestamp_granularities"),
        (SECOND, {"extra_body": {"stream": "true"}}, 400, "bad_field", "stream"),
        (SECOND, {"extra_body": {"track": "7"}}, 422, "unknown_track", "track"),
    ],
)  # fmt: skip
async def test_bad_input_is_refused_by_name(
    data: bytes, fields: dict[str, Any], status: int, code: str, param: str
) -> None:
    async with asking(Translator()) as client:
        with pytest.raises(openai.APIStatusError) as error:
            await ask(client, data, **fields)
        assert (error.value.status_code, error.value.code, error.value.param) == (status, code, param)
        assert (await ask(client, SECOND)).text == ""


async def test_a_model_that_cannot_translate_says_so_before_the_upload() -> None:
    async with asking(FakeEngine(script_of(SAID))) as client:
        with pytest.raises(
            openai.NotFoundError, match="the model fake cannot translate into English"
        ) as error:
            await ask(client, io.BytesIO(b"not even a recording").getvalue())
        assert (error.value.code, error.value.type) == ("not_supported", "invalid_request_error")
        (model,) = (await client.models.list()).data
        assert model.model_dump()["can_translate"] is False


async def test_a_base_url_without_v1_works_too(calls: bytes) -> None:
    async with serving(engine=Translator()) as client:
        url = str(client.make_url("/"))
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as made:
            assert (await ask(made, calls)).text
