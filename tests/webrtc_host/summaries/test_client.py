"""The client of a language model against a stand-in server that speaks both wires and misbehaves."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.support.language_model import FakeModel, a_language_model
from webrtc_host.config import LlmConfig
from webrtc_host.summaries import client as client_module
from webrtc_host.summaries.client import ModelClient, ModelError

KEY = "sk-very-secret-key"
MESSAGES = [
    {"role": "system", "content": "rules"},
    {"role": "user", "content": "g_1 | 00:01 | C01 | fuel is late"},
]
SCHEMA: dict[str, Any] = {"type": "object"}
KINDS = ["openai", "ollama"]


class Waits(list[float]):
    async def sleep(self, seconds: float) -> None:
        self.append(seconds)


def a_client(model: FakeModel, kind: str, waits: Waits | None = None, **more: Any) -> ModelClient:
    base = f"{model.url}/v1" if kind == "openai" else model.url
    values = {"kind": kind, "base_url": base, "model": "small-1", "api_key": KEY, **more}
    return ModelClient(LlmConfig(**values), sleep=(waits if waits is not None else Waits()).sleep)


async def failure(model: FakeModel, kind: str = "openai", **more: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await a_client(model, kind, **more).answer(MESSAGES, SCHEMA)
    assert KEY not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
async def test_a_streamed_answer_comes_without_the_reasoning(kind: str) -> None:
    async with a_language_model(answers=["the answer " * 20], reasoning="let me think") as model:
        answer = await a_client(model, kind).answer(MESSAGES, SCHEMA)
    assert (answer.text, answer.is_cut) == ("the answer " * 20, False)
    ((path, body, headers),) = model.requests
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert (body["model"], body["stream"], body["messages"]) == ("small-1", True, MESSAGES)
    assert "max_tokens" not in body
    if kind == "ollama":
        assert path == "/api/chat"
        assert body["options"] == {"num_ctx": 8192}
        assert body["format"] == SCHEMA
    else:
        assert path == "/v1/chat/completions"
        assert body["response_format"]["json_schema"]["schema"] == SCHEMA


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_does_not_stream_is_understood(kind: str) -> None:
    async with a_language_model(answers=["whole"], is_streaming=False) as model:
        assert (await a_client(model, kind).answer(MESSAGES, SCHEMA)).text == "whole"


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_reached_a_limit_of_tokens_says_so(kind: str) -> None:
    async with a_language_model(answers=["half"], end="length") as model:
        assert (await a_client(model, kind).answer(MESSAGES, SCHEMA)).is_cut


@pytest.mark.parametrize("kind", KINDS)
async def test_a_connection_that_is_cut_off_is_tried_again(kind: str) -> None:
    waits = Waits()
    async with a_language_model(answers=["x" * 200, "y" * 200], cut_after=80, cuts=1) as model:
        assert (await a_client(model, kind, waits).answer(MESSAGES, SCHEMA)).text == "y" * 200
    assert waits == [1.0]


@pytest.mark.parametrize("kind", KINDS)
async def test_retries_are_limited_and_wait_longer_each_time(kind: str) -> None:
    waits = Waits()
    async with a_language_model(cut_after=0) as model:
        error = await failure(model, kind, waits=waits)
        assert len(model.requests) == 4
    assert error.code == "failed"
    assert waits == [1.0, 2.0, 4.0]


async def test_a_busy_server_decides_how_long_to_wait() -> None:
    waits = Waits()
    busy = [(429, {"Retry-After": "7"}, "slow down"), (503, {}, "loading")]
    async with a_language_model(statuses=busy, answers=["done"]) as model:
        assert (await a_client(model, "openai", waits).answer(MESSAGES, SCHEMA)).text == "done"
    assert waits == [7.0, 2.0]


async def test_a_server_that_asks_for_a_long_wait_is_given_up() -> None:
    waits = Waits()
    async with a_language_model(statuses=[(429, {"Retry-After": "86400"}, "quota is used up")]) as model:
        error = await failure(model, waits=waits)
    assert (error.code, waits, "quota is used up" in str(error)) == ("busy", [], True)


async def test_a_date_in_retry_after_is_understood() -> None:
    waits = Waits()
    past = {"Retry-After": "Sat, 21 Nov 2020 06:10:00 GMT"}
    async with a_language_model(statuses=[(429, past, "")], answers=["done"]) as model:
        await a_client(model, "openai", waits).answer(MESSAGES, SCHEMA)
    assert waits == [0.0]


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "refused"), (403, "refused"), (404, "unknown_model"), (418, "failed"), (302, "failed")],
)
async def test_a_refusal_is_not_tried_again_and_never_shows_the_key(
    status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    text = f'{{"error": {{"message": "no access with {KEY}"}}}}'
    headers = {"Location": "http://127.0.0.1:9/elsewhere"} if status == 302 else {}
    async with a_language_model(statuses=[(status, headers, text)]) as model:
        error = await failure(model)
        assert len(model.requests) == 1
    assert error.code == code
    assert "[key]" in str(error)
    assert KEY not in caplog.text


async def test_what_the_server_repeats_of_the_speech_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with a_language_model(statuses=[(500, {}, "cannot read: fuel is late")] * 2) as model:
        error = await failure(model, retries=1)
    assert "fuel is late" in str(error)
    assert "trying again" in caplog.text
    assert "fuel" not in caplog.text


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_knows_no_schemas_is_asked_without_one(kind: str) -> None:
    async with a_language_model(answers=["a", "b"], knows_schemas=False) as model:
        client = a_client(model, kind)
        assert [(await client.answer(MESSAGES, SCHEMA)).text for _ in range(2)] == ["a", "b"]
        assert len(model.requests) == 3, "it remembers"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("said", ["schema uses minItems", "failed to parse grammar"])
async def test_a_server_that_refuses_the_limits_of_a_schema_gets_it_without_them(
    kind: str, said: str
) -> None:
    cites = {"type": "array", "items": {"type": "string", "enum": ["g_1"]}, "minItems": 1, "maxItems": 9}
    schema = {"type": "object", "properties": {"enum": cites}, "required": ["enum"]}
    async with a_language_model(answers=["a", "b"], statuses=[(400, {}, said)]) as model:
        client = a_client(model, kind)
        assert [(await client.answer(MESSAGES, schema)).text for _ in range(2)] == ["a", "b"]
    sent = [
        body["format"] if kind == "ollama" else body["response_format"]["json_schema"]["schema"]
        for _, body, _ in model.requests
    ]
    assert sent[0] == schema
    loose = {"type": "array", "items": {"type": "string"}}
    assert sent[1] == sent[2] == {"type": "object", "properties": {"enum": loose}, "required": ["enum"]}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_text_over_the_context_is_named(kind: str) -> None:
    async with a_language_model(tokens_max=10) as model:
        assert (await failure(model, kind)).code == "too_long"
    async with a_language_model(answers=["x"], prompt_tokens=8192) as model:
        if kind == "ollama":
            assert (await failure(model, kind)).code == "too_long", "Ollama cut the prompt silently"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("garbage", ["{not json", "[1]", '{"choices": 3}', '"text"'])
async def test_a_malformed_response_is_named(kind: str, garbage: str) -> None:
    async with a_language_model(garbage=garbage) as model:
        error = await failure(model, kind, retries=1)
    assert error.code == ("failed" if kind == "ollama" and garbage == '{"choices": 3}' else "malformed")


@pytest.mark.parametrize("kind", KINDS)
async def test_an_error_inside_of_a_response_is_named(kind: str) -> None:
    async with a_language_model(error_inside=f"out of memory {KEY}") as model:
        error = await failure(model, kind)
    assert "out of memory [key]" in str(error)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_endless_answer_ends_at_the_limit(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "ANSWER_BYTES_MAX", 50_000)
    async with a_language_model(endless="again " * 100) as model:
        assert (await failure(model, kind)).code == "over_long"


async def test_a_silent_server_meets_the_time_limit() -> None:
    async with a_language_model(is_silent=True) as model:
        error = await failure(model, timeout_s=1)
    assert error.code == "slow"
    assert "llm.timeout_s" in str(error)


async def test_a_server_that_is_not_there_is_named() -> None:
    waits = Waits()
    error = await failure(FakeModel(url="http://127.0.0.1:9"), waits=waits)
    assert (error.code, len(waits)) == ("unreachable", 3)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"kind": "openai"}, "needs base_url and model"),
        ({"base_url": "ftp://x"}, "is not an address"),
        ({"base_url": "http://me:secret@x/v1"}, "put a key into api_key"),
    ],
)
def test_mistakes_in_the_configuration_are_named(values: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        LlmConfig.model_validate(values)
    assert KEY not in repr(LlmConfig(api_key=KEY))
