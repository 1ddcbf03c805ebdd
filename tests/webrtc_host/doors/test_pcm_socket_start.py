"""How a feed over `/ws/pcm` begins: the query, the first message, and the errors in them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.desk import a_config, running_desk
from tests.support.polling import until
from tests.webrtc_host.doors.pcm_world import (
    RAW,
    TWENTY_MS,
    World,
    close_code,
    error_of,
    received_audio,
    running,
    stop,
)
from webrtc_host.seams import EventType


@pytest.fixture
async def world(aiohttp_client: Any) -> AsyncIterator[World]:
    async with running(aiohttp_client) as made:
        yield made


@pytest.mark.parametrize(
    ("first", "code", "close"),
    [
        ("hello", "no_start", 4400),
        ("[1]", "no_start", 4400),
        ("[" * 50_000, "no_start", 4400),
        ("{}", "no_start", 4400),
        (b"\0\0", "no_start", 4400),
        ({"encoding": "mp3"}, "unknown_encoding", 4415),
        ({"encoding": ["webm"]}, "unknown_encoding", 4415),
        ({"encoding": "pcm_s16le"}, "bad_field", 4422),
        ({**RAW, "sample_rate": 7_999}, "bad_field", 4422),
        ({**RAW, "sample_rate": 48_001}, "bad_field", 4422),
        ({**RAW, "sample_rate": True}, "bad_field", 4422),
        ({**RAW, "sample_rate": "16000"}, "bad_field", 4422),
        ({**RAW, "start_ms": -1}, "bad_field", 4422),
        ({**RAW, "start_ms": 3_600_000}, "bad_field", 4422),
        ({**RAW, "label": 5}, "bad_field", 4422),
        ({**RAW, "glossary": "Alpha-1"}, "bad_field", 4422),
        ({**RAW, "language": "xx"}, "unknown_language", 4422),
        ({**RAW, "session": "s_none"}, "unknown_session", 4404),
        ({**RAW, "sampleRate": 16_000}, "unknown_field", 4422),
        ({**RAW, "channels": 0}, "bad_field", 4422),
        ({**RAW, "channels": 9}, "bad_field", 4422),
        ({**RAW, "channels": "2"}, "bad_field", 4422),
        ({**RAW, "channels": True}, "bad_field", 4422),
        ({"encoding": "opus", "channels": 3}, "bad_field", 4422),
        ({"encoding": "webm", "channels": 2}, "bad_field", 4422),
        ("x" * 70_000, "too_large", 4413),
    ],
)
async def test_a_wrong_first_message_gets_an_error_message(
    world: World, first: Any, code: str, close: int
) -> None:
    socket = await world.connect()
    if isinstance(first, bytes):
        await socket.send_bytes(first)
    else:
        await socket.send_str(first if isinstance(first, str) else json.dumps(first))
    assert await error_of(socket) == (code, close)
    assert not world.rig.registry.connections


async def test_an_invalid_channel_is_4422(world: World) -> None:
    socket = await world.connect("C65")
    await socket.send_json(RAW)
    assert await error_of(socket) == ("unknown_channel", 4422)


async def test_the_format_may_be_given_in_the_address(world: World) -> None:
    socket = await world.connect(query="?encoding=pcm_s16le&sample_rate=8000&label=Gate&language=en")
    assert (await socket.receive_json())["type"] == "started"
    await socket.send_bytes(bytes(1600))
    await stop(socket)
    assert world.log.of(EventType.CHANNEL_OPENED)[0]["label"] == "Gate"
    wrong = await world.connect(query="?encoding=pcm_s16le&sample_rate=x")
    assert await error_of(wrong) == ("bad_field", 4422)


@pytest.mark.parametrize(
    ("tag", "code"), [("en-US", "en"), ("Korean", "ko"), ("", "auto"), ("AUTO", "auto"), (None, "auto")]
)
async def test_a_language_is_accepted_in_the_forms_that_clients_use(
    world: World, tag: str | None, code: str
) -> None:
    socket = await world.begin(language=tag)
    await stop(socket)
    assert world.log.of(EventType.CHANNEL_OPENED)[0]["language"] == code


async def test_start_ms_is_the_time_of_the_first_sample(world: World) -> None:
    await world.begin("C02")
    session = world.rig.pipeline("C02").channel.session
    await until(lambda: session.now_sample() > 523 * 16)  # longer than the audio sent below
    socket = await world.begin("C01", start_ms=123)
    for _ in range(20):
        await socket.send_bytes(TWENTY_MS)
    await stop(socket)
    blocks = world.rig.pipeline("C01").blocks
    assert blocks[0].start_sample == 123 * 16
    assert blocks[-1].end_sample == 523 * 16


async def test_a_wrong_token_is_4401(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, token="right-token")) as desk:
        for query, code in (("?token=wrong", "token_wrong"), ("", "token_missing")):
            socket = await desk.client.ws_connect(f"{desk.url}/ws/pcm/C01{query}")
            assert await error_of(socket) == (code, 4401)
        socket = await desk.client.ws_connect(f"{desk.url}/ws/pcm/C01?token=right-token")
        await socket.send_json(RAW)
        assert (await socket.receive_json())["type"] == "started"
        await stop(socket)


async def test_address_and_first_message_are_combined(world: World) -> None:
    other = world.rig.registry.create("other")
    world.rig.registry.create("current")
    socket = await world.connect(
        query=f"?session={other.id}&label=Tower&sample_rate=16000&channels=2&language=ko"
    )
    await socket.send_json(
        {"encoding": "pcm_s16le", "sample_rate": 16_000, "session": None, "glossary": ["gate"]}
    )
    answer = await socket.receive_json(timeout=10)
    assert (answer["type"], answer["session"]) == ("started", other.id)
    channel = other.channels["C01"]
    assert (channel.label, channel.language, channel.terms) == ("Tower", "ko", ("gate",))
    await socket.send_bytes(TWENTY_MS * 10)
    await stop(socket)
    assert len(received_audio(world)) == 1_600, "two channels"


@pytest.mark.parametrize(
    ("query", "first", "name", "values"),
    [
        ("sample_rate=8000", RAW, "sample_rate", ("8000", "16000")),
        ("session=s_1", {**RAW, "session": "s_2"}, "session", ("s_1", "s_2")),
        ("label=Tower", {**RAW, "label": "Ground"}, "label", ("Tower", "Ground")),
        ("start_ms=5", {**RAW, "start_ms": 6}, "start_ms", ("5", "6")),
        ("encoding=mulaw&sample_rate=16000", RAW, "encoding", ("mulaw", "pcm_s16le")),
    ],
)
async def test_a_contradiction_names_both_values(
    world: World, query: str, first: dict[str, Any], name: str, values: tuple[str, str]
) -> None:
    socket = await world.connect(query=f"?{query}")
    await socket.send_json(first)
    answer = await socket.receive_json(timeout=10)
    if answer["type"] == "started":  # the address was enough
        answer = await socket.receive_json(timeout=10)
    assert answer["code"] == "contradiction"
    assert all(part in answer["message"] for part in (f"`{name}`", *values))
    assert await close_code(socket) == 4422


async def test_a_first_message_may_repeat_the_values_of_the_address(world: World) -> None:
    socket = await world.connect(query="?encoding=pcm_s16le&sample_rate=16000")
    assert (await socket.receive_json(timeout=10))["type"] == "started"
    await socket.send_json(RAW)
    await socket.send_bytes(TWENTY_MS)
    assert (await stop(socket))["type"] == "stopped"


async def test_a_field_that_is_sent_too_late_is_refused(world: World) -> None:
    socket = await world.connect(query="?encoding=pcm_s16le&sample_rate=16000")
    await socket.receive_json(timeout=10)
    await socket.send_json({**RAW, "label": "Tower"})
    assert await error_of(socket) == ("late_field", 4422)


@pytest.mark.parametrize("query", ["", "?sesion=s_1", "?encoding=pcm_s16le&samplerate=16000"])
async def test_an_unknown_field_is_named_with_the_known_ones(world: World, query: str) -> None:
    socket = await world.connect(query=query)
    await socket.send_json({**RAW, "sampel_rate": 16_000})
    answer = await socket.receive_json(timeout=10)
    assert answer["code"] == "unknown_field"
    wrong = query.partition("samplerate")[1] or ("sesion" if query else "sampel_rate")
    assert f"'{wrong}'" in answer["message"] and "sample_rate" in answer["message"]
    assert await close_code(socket) == 4422
