"""Bad input to a running 8081: each mistake is answered by itself, and the windows beside it are read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from host_stt.contract import (
    HEADER,
    MAGIC,
    SAMPLE_RATE,
    WIRE_VERSION,
    Answer,
    Transcript,
    WindowError,
    decode_answer,
    encode_window,
)
from tests.support.engine_process import running
from tests.support.polling import until
from tests.support.windows import window

pytestmark = pytest.mark.net
GOOD = encode_window(window("good"))
SECOND = bytes(2 * SAMPLE_RATE)
HOUR_S = 3600


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """An engine that answers every window with the same words."""
    with running(decode_s=0.0001) as (_, url):
        asyncio.run(_until_ready(url))
        yield url


async def _until_ready(url: str) -> None:
    async with aiohttp.ClientSession() as http:

        async def is_ready() -> bool:
            async with http.get(f"{url}/ready") as answer:
                return answer.status == 200

        await until(is_ready)


def frame(pcm: bytes = SECOND, *, version: int = WIRE_VERSION, **changes: Any) -> bytes:
    """A window's frame with some of its header's fields changed."""
    good = {
        "id": "bad",
        "channel": "C01",
        "encoding": "pcm_s16le",
        "sample_rate": SAMPLE_RATE,
        "start_sample": 0,
        "priority": "final",
        "language": "en",
        "terms": [],
        "history": "",
        "deadline_ms": 15_000,
    }
    header = json.dumps(good | changes).encode()
    return HEADER.pack(MAGIC, version, 0, len(header)) + header + pcm


def floats(*values: float) -> bytes:
    return np.array([0.0, *values], np.float32).tobytes()


async def answers_of(url: str, *frames: bytes) -> list[Answer]:
    """Sent over one connection, in order; as many answers as frames."""
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/v1/windows") as ws:
        for each in frames:
            await ws.send_bytes(each)
        return [decode_answer((await ws.receive(timeout=20)).data) for _ in frames]


@pytest.mark.parametrize(
    ("bad", "code", "window_id"),
    [
        (frame(sample_rate=44_100), "wrong_sample_rate", "bad"),
        (frame(floats(float("nan")), encoding="pcm_f32le"), "not_finite", "bad"),
        (frame(floats(float("inf")), encoding="pcm_f32le"), "not_finite", "bad"),
        (frame(floats(float("-inf")), encoding="pcm_f32le"), "not_finite", "bad"),
        (frame(b""), "empty_window", "bad"),
        (frame(bytes(2 * 31 * SAMPLE_RATE)), "window_too_long", "bad"),
        (frame(language="tlh"), "unknown_language", "bad"),
        (frame(terms=[f"Kilo-{n}" for n in range(10_000)]), "too_many_terms", "bad"),
        (frame()[:-1], "truncated", "bad"),
        (frame()[:40], "truncated", ""),
        (frame()[:3], "truncated", ""),
        (frame(version=WIRE_VERSION + 1), "wrong_version", ""),
        (b"RIFF" + SECOND, "not_a_window", ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_bad_window_gets_its_own_error_and_the_next_windows_are_decoded(
    url: str, bad: bytes, code: str, window_id: str
) -> None:
    good, other = encode_window(window("before")), encode_window(window("after", channel="C02"))
    answers = asyncio.run(answers_of(url, good, bad, other))
    read = {answer.id for answer in answers if isinstance(answer, Transcript)}
    (error,) = [answer for answer in answers if isinstance(answer, WindowError)]
    assert read == {"before", "after"}
    assert (error.code, error.id, error.is_retryable) == (code, window_id, False)
    assert len(error.message) > 10


def test_a_window_of_one_hour_is_refused_and_the_next_window_is_decoded(url: str) -> None:
    hour = frame(bytes(4 * HOUR_S * SAMPLE_RATE), encoding="pcm_f32le")
    error, after = asyncio.run(answers_of(url, hour, GOOD))
    assert isinstance(error, WindowError)
    assert (error.code, error.id, error.is_retryable) == ("window_too_long", "bad", False)
    assert isinstance(after, Transcript)


wild = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
fields = st.sampled_from(
    ["channel", "encoding", "sample_rate", "start_sample", "priority", "language", "terms", "deadline_ms"]
)
frames = st.one_of(
    st.binary(max_size=80),
    st.builds(
        lambda changes, pcm: frame(pcm, **changes),
        st.dictionaries(fields, wild, max_size=3),
        st.binary(max_size=40),
    ),
    st.builds(
        lambda at, byte: frame()[:at] + bytes([byte]) + frame()[at + 1 :],
        st.integers(0, 300),
        st.integers(0, 255),
    ),
    st.builds(lambda end: frame()[:end], st.integers(0, len(frame()))),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(frames, min_size=1, max_size=8))
def test_every_frame_gets_one_response_and_a_good_window_is_decoded(url: str, sent: list[bytes]) -> None:
    # Each good window has a channel of its own: a fuzzed interim may be replaced by a newer one.
    answers = asyncio.run(answers_of(url, *sent, encode_window(window("good", channel="good"))))
    assert len(answers) == len(sent) + 1
    assert [a.id for a in answers if isinstance(a, Transcript)].count("good") == 1
    assert all(answer.message for answer in answers if isinstance(answer, WindowError))
