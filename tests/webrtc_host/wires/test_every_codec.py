"""Wrong messages for the codecs of all protocols: whatever comes, it is followed or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_stt.contract import RequestError
from tests.support.codecs import BY_NAME, CODECS
from tests.support.streams import opened, tick
from webrtc_host.wires.messages import STOPPED, Codec, End, Goodbye, Settled
from webrtc_host.wires.pcm import PcmCodec

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)


def changed(message: object, path: list[int], value: object) -> object:
    """A message with another value at this place of it."""
    if not path or not isinstance(message, dict) or not message:
        return value
    name = sorted(message)[path[0] % len(message)]
    return {**message, name: changed(message[name], path[1:], value)}


def messages_of(name: str) -> st.SearchStrategy[str | bytes]:
    """Texts, bytes, and messages of the protocol in which one value is another."""
    door = BY_NAME.get(name)
    own = [] if door is None else [*door.begin, *door.end, door.frame(0, bytes(64))]
    objects = [json.loads(text) for text in own if isinstance(text, str)] or [{"type": "stop"}]
    wrong = st.builds(changed, st.sampled_from(objects), st.lists(st.integers(0, 9), max_size=3), VALUES)
    return wrong.map(json.dumps) | st.text(max_size=20) | st.binary(max_size=64)


def give(codec: Codec, message: str | bytes) -> None:
    if isinstance(message, str):
        codec.on_text(message, 1.0)
    else:
        codec.on_bytes(message)


@pytest.mark.parametrize("name", [*CODECS, "pcm, first message"])
def test_a_wrong_message_is_followed_or_refused(name: str) -> None:
    stream, make = CODECS.get(name, ("", lambda: PcmCodec("C01", {}, 64 * 1024)))

    @settings(max_examples=40, deadline=None)
    @given(messages=st.lists(messages_of(name.partition(",")[0]), max_size=4))
    def check(messages: list[str | bytes]) -> None:
        codec = make()
        end = End(STOPPED, None, 1)
        try:
            for message in messages:
                give(codec, message)
            for result in (opened(stream), tick(1000, stream=stream), Settled(stream, 1000)):
                codec.on_result(result)
        except RequestError as error:
            end = End(error.code, error, None)
        assert isinstance(codec.on_end(end), Goodbye)

    check()
