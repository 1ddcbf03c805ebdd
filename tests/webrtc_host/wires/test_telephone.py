"""Twilio's Media Streams and Telnyx's variant: the codec alone, and scripted calls."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_stt.contract import Float32Array, RequestError
from tests.support.desk import Desk, a_config, running_desk
from tests.support.polling import until
from tests.support.socket_audio import g711_of
from tests.support.speech import padded, say
from tests.support.wires import frames, hearing_desk, left_tasks, pcm16
from webrtc_host.media.encodings import AudioFormat, Encoding
from webrtc_host.media.opus import Codec
from webrtc_host.wires.messages import Audio, End, Finish, Open
from webrtc_host.wires.telephone import WAITING_MAX, CallOptions, TelephoneCodec
from webrtc_host.wires.telephone_door import SIGNATURE, signature_of

PACKET = 160
"""Bytes of 20 ms."""


def start(**fields: Any) -> str:
    body = {"tracks": ["inbound", "outbound"], "customParameters": {}, **fields}
    form = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    return json.dumps({"event": "start", "start": {"mediaFormat": form, **body}})


def media(at_ms: float | None, data: bytes, track: str = "inbound", chunk: int | None = None) -> str:
    fields: dict[str, Any] = {"track": track, "payload": base64.b64encode(data).decode()}
    fields |= {} if at_ms is None else {"timestamp": str(at_ms)}
    fields |= {} if chunk is None else {"chunk": str(chunk)}
    return json.dumps({"event": "media", "media": fields})


def a_codec(**options: Any) -> TelephoneCodec:
    return TelephoneCodec(CallOptions(**{"channel": "C07", "session": None, **options}), lambda key: None)


def heard(codec: TelephoneCodec, texts: list[str], track: str = "inbound") -> bytes:
    actions = [action for text in texts for action in codec.on_text(text, 0.0)]
    return b"".join(one.data for one in actions if isinstance(one, Audio) and one.source == track)


def test_each_track_of_a_call_is_a_source_with_its_channel() -> None:
    codec = a_codec()
    parameters = {"outbound_channel": "C08", "inbound_label": "caller", "language": "ko", "session": "s_9"}
    first, second = codec.on_text(start(customParameters=parameters), 0.0)
    assert isinstance(first, Open) and isinstance(second, Open)
    assert first.format == AudioFormat(Encoding.ULAW, 8000)
    assert (first.source, first.streams[0].channel, first.streams[0].label) == ("inbound", "C07", "caller")
    assert (second.source, second.streams[0].channel) == ("outbound", "C08")
    assert {one.session for one in (first, second)} == {"s_9"}
    assert first.streams[0].language == "ko"
    only = a_codec().on_text(start(tracks=["outbound"]), 0.0)
    assert [one.streams[0].channel for one in only if isinstance(one, Open)] == ["C07"]


def test_audio_is_placed_by_its_timestamps() -> None:
    codec = a_codec()
    codec.on_text(start(), 0.0)
    packets = [bytes([n]) * PACKET for n in range(4)]
    said = [media(5, packets[0]), media(25, packets[1]), media(145, packets[2]), media(25, packets[3])]
    silence = b"\xff" * (8 * 100)
    assert heard(codec, said) == packets[0] + packets[1] + silence + packets[2]


def test_messages_in_another_order_are_sorted_and_a_lost_one_is_not_waited_for() -> None:
    codec = a_codec()
    codec.on_text(start(), 0.0)
    packets = [bytes([n]) * PACKET for n in range(40)]

    def sent(*chunks: int) -> bytes:
        return heard(codec, [media(n * 20, packets[n], chunk=n) for n in chunks])

    assert sent(1, 3, 2, 2) == packets[1] + packets[2] + packets[3]
    later = range(6, 6 + WAITING_MAX + 1)
    assert sent(*later[:-1]) == b"", "the fourth one may still come"
    gap = b"\xff" * (2 * PACKET)
    assert sent(later[-1]) == gap + b"".join(packets[n] for n in later)
    assert sent(4) == b"", "its place was given up"
    assert sent(30) == b""
    stop = codec.on_text('{"event": "stop"}', 0.0)
    assert isinstance(stop[-1], Finish) and isinstance(stop[0], Audio) and stop[0].data.endswith(packets[30])


def test_the_beginning_of_each_track_can_be_made_silent() -> None:
    codec = a_codec(skip_ms=40)
    codec.on_text(start(), 0.0)
    data = b"\x01" * PACKET
    assert heard(codec, [media(n * 20, data) for n in range(3)]) == b"\xff" * (2 * PACKET) + data
    assert heard(codec, [media(0, data, "outbound")], "outbound") == b"\xff" * PACKET


def test_a_call_of_telnyx_is_read_too() -> None:
    codec = a_codec()
    form = {"encoding": "PCMA", "sample_rate": 8000, "channels": 1}
    (one,) = codec.on_text(
        json.dumps(
            {"event": "start", "stream_id": "x", "start": {"media_format": form, "tracks": "inbound_track"}}
        ),
        0.0,
    )
    assert isinstance(one, Open) and one.format == AudioFormat(Encoding.ALAW, 8000)


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        (["no json"], 400),
        ([media(0, b"x")], 400),
        ([start(), start()], 400),
        ([start(), media(0, b"x", "left")], 400),
        ([start(), '{"event": "media", "media": {"payload": "***"}}'], 400),
        ([start(), '{"event": "media"}'], 400),
        ([start(mediaFormat={"encoding": "audio/opus"})], 415),
        ([start(mediaFormat={"sampleRate": 11})], 415),
    ],
)
def test_what_cannot_be_read_ends_the_call(messages: list[str], status: int) -> None:
    codec = a_codec()
    with pytest.raises(RequestError) as error:
        for one in messages:
            codec.on_text(one, 0.0)
    assert error.value.status == status
    assert codec.on_end(End("failed", error.value)).code == 1008


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(
    st.lists(
        st.builds(
            lambda event, part: json.dumps({"event": event, event: part}),
            st.sampled_from(["start", "media", "stop", "mark", "dtmf", "x"]),
            json_values
            | st.fixed_dictionaries(
                {"payload": st.sampled_from(["", "AAAA", "x"])},
                optional={"track": st.just("inbound"), "timestamp": json_values, "chunk": json_values},
            ),
        ),
        max_size=6,
    )
)
def test_any_messages_are_read_or_refused(messages: list[str]) -> None:
    codec = a_codec()
    codec.on_text(start(), 0.0)
    try:
        for one in messages:
            codec.on_text(one, 0.0)
    except RequestError as error:
        assert error.status in (400, 413, 415)


# --- with the server ----------------------------------------------------------------------------------------


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with hearing_desk(tmp_path) as made:
        yield made


def ulaw(samples: Float32Array) -> bytes:
    return g711_of(np.frombuffer(pcm16(samples, 8000), "<i2") / 32768, Codec.PCMU)


async def test_both_sides_of_a_call_are_transcribed_on_their_channels(desk: Desk) -> None:
    caller, other = (padded(say(text), 0.3, 0.8) for text in ("proceed to gate seven", "alpha one"))
    async with desk.client.ws_connect(f"{desk.url}/twilio/C02") as socket:
        await socket.send_str('{"event": "connected", "protocol": "Call", "version": "1.0.0"}')
        await socket.send_str(start(customParameters={"outbound_channel": "C03"}))
        for track, samples in (("inbound", caller), ("outbound", other)):
            for number, frame in enumerate(frames(ulaw(samples), PACKET)):
                await socket.send_str(media(number * 20, frame, track, number + 1))
        await socket.send_str('{"event": "mark", "mark": {"name": "m"}}')
        await socket.send_str('{"event": "stop", "stop": {}}')
        assert (
            await socket.receive(timeout=20)
        ).type is aiohttp.WSMsgType.CLOSE and socket.close_code == 1000
    await desk.settled()
    texts = {
        channel: [one.envelope.event.text for one in desk.session.log.segments(channel)]  # type: ignore[attr-defined]
        for channel in ("C02", "C03")
    }
    assert texts["C02"] == ["one two three four five six"]
    assert texts["C03"] and texts["C03"] != texts["C02"]
    await until(lambda: not left_tasks() and not desk.registry.connections)


TOKENS = ({"name": "calls", "token": "correct-horse", "role": "operator"},)


async def test_the_token_may_come_as_a_parameter_of_the_stream(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, tokens=TOKENS)) as desk:
        for token, code in (("correct-horse", 1000), ("wrong", 1008), ("", 1008)):
            async with desk.client.ws_connect(f"{desk.url}/twilio/C02") as socket:
                await socket.send_str(start(tracks=["inbound"], customParameters={"token": token}))
                await socket.send_str('{"event": "stop"}')
                await socket.receive(timeout=20)
                assert socket.close_code == code


async def test_with_an_account_only_signed_requests_are_accepted(tmp_path: Path) -> None:
    doors = {"telephone": {"auth_token": "account", "public_url": "wss://stt.example"}}
    async with running_desk(a_config(tmp_path, tokens=TOKENS, doors=doors)) as desk:
        signature = signature_of("wss://stt.example/twilio/C02", "account")
        async with desk.client.ws_connect(f"{desk.url}/twilio/C02", headers={SIGNATURE: signature}) as socket:
            await socket.send_str(start(tracks=["inbound"]))
            await socket.send_str('{"event": "stop"}')
            await socket.receive(timeout=20)
            assert socket.close_code == 1000
        for headers in ({}, {SIGNATURE: "x"}, {"Authorization": "Bearer correct-horse"}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await desk.client.ws_connect(f"{desk.url}/twilio/C02", headers=headers)
            assert refused.value.status == 403
