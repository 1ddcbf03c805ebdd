"""Which terms fit the engine's prompt: 8082 asks a real engine with the starter model."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from host_stt.config import Device, EngineConfig
from host_stt.server import create_app
from tests.support.polling import until
from webrtc_host.desk.engine_prompt import EnginePrompts

pytestmark = pytest.mark.model


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """The address of an engine with room for very few terms."""
    server = TestServer(create_app(EngineConfig(model="starter", device=Device.CPU, terms_tokens=12)))
    await server.start_server()
    try:
        async with aiohttp.ClientSession() as client:

            async def ready() -> bool:
                return (await client.get(server.make_url("/ready"))).status == 200

            await until(ready, what="/ready answers 200")
        yield str(server.make_url(""))
    finally:
        await server.close()


async def test_the_first_terms_that_fit_come_back_as_they_were_sent(url: str) -> None:
    terms = [f"Alpha-{number}" for number in range(1, 30)]
    found = await EnginePrompts(url).of(terms)
    assert found is not None
    assert (found.use, found.tokens) == ("prompt", 12)
    assert found.fitting and found.fitting == tuple(terms[: len(found.fitting)]) and len(found.fitting) < 12


async def test_a_body_without_terms_is_refused_with_what_it_must_be(url: str) -> None:
    async with aiohttp.ClientSession() as client:
        for body in (b"{", b"[]", b'{"terms": "Alpha-1"}', b'{"terms": [1]}'):
            async with client.post(url.rstrip("/") + "/v1/prompt", data=body) as answer:
                assert answer.status == 422
                assert "the body must be" in (await answer.json())["error"]["message"]


async def test_without_an_engine_there_is_no_answer() -> None:
    assert await EnginePrompts("http://127.0.0.1:9").of(["Alpha-1"]) is None
