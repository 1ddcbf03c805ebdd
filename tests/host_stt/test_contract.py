from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from host_stt.contract import (
    FRAME_BYTES_MAX,
    HEADER,
    HEADER_BYTES_MAX,
    MAGIC,
    WINDOW_SAMPLES_MAX,
    Answer,
    ContractError,
    EndReason,
    Priority,
    Segment,
    Transcript,
    Window,
    WindowError,
    Word,
    decode_answer,
    decode_window,
    encode_answer,
    encode_window,
)
from tests.support.windows import window

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=64)
texts = st.text(st.characters(codec="utf-8"), max_size=100)
samples = st.one_of(
    hnp.arrays(np.int16, st.integers(1, 200)),
    hnp.arrays(np.float32, st.integers(1, 200), elements=st.floats(-1, 1, width=32)),
)
positions = st.integers(0, 2**53 - 1)
windows = st.builds(
    Window,
    id=names,
    channel=names,
    samples=samples,
    start_sample=positions,
    priority=st.sampled_from(Priority),
    language=st.sampled_from(["auto", "en", "ko"]),
    terms=st.lists(texts, max_size=5).map(tuple),
    echo_guard=st.booleans(),
    is_careful=st.booleans(),
    may_change_language=st.booleans(),
    is_noisy=st.booleans(),
    is_joined=st.booleans(),
    known_text=texts,
    history=texts,
    deadline_ms=st.integers(1, 600_000),
)
scores = st.floats(-10, 10).map(lambda x: round(x, 3))
words = st.builds(Word, texts, positions, positions, scores, st.booleans())
segments = st.builds(
    Segment, texts, positions, positions, scores, scores, scores, st.lists(words, max_size=3).map(tuple)
)
transcripts = st.builds(
    Transcript,
    id=names,
    segments=st.lists(segments, max_size=3).map(tuple),
    language=st.just("en"),
    language_probability=scores,
    avg_logprob=scores,
    no_speech_prob=scores,
    compression_ratio=scores,
    end_reason=st.sampled_from(EndReason),
    model=texts,
    queue_ms=st.integers(0, 10**6),
    decode_ms=st.integers(0, 10**6),
    gain=st.none() | scores,
    has_less_noise=st.booleans(),
)
errors = st.builds(WindowError, id=names, code=names, message=texts, is_retryable=st.booleans())


@given(windows)
def test_a_decoded_window_equals_the_encoded_one(w: Window) -> None:
    back = decode_window(encode_window(w))
    assert back.samples.dtype == w.samples.dtype
    np.testing.assert_array_equal(back.samples, w.samples)
    for field in ("id", "channel", "start_sample", "priority", "language", "terms", "history", "deadline_ms"):
        assert getattr(back, field) == getattr(w, field)
    assert back.known_text == w.known_text


@given(st.one_of(transcripts, errors))
def test_a_decoded_result_equals_the_encoded_one(answer: Answer) -> None:
    assert decode_answer(encode_answer(answer)) == answer


@given(st.binary(max_size=400))
@example(HEADER.pack(MAGIC, 1, 0, 2) + b"{}")
@example(HEADER.pack(MAGIC, 1, 0, 2) + b"[]")
@example(HEADER.pack(MAGIC, 1, 0, 2**32 - 1))
def test_any_bytes_are_a_window_or_a_contract_error(frame: bytes) -> None:
    with pytest.raises(ContractError):
        decode_window(frame)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(
            "id channel encoding sample_rate start_sample priority language terms history deadline_ms".split()
        ),
        json_values,
    ),
    st.binary(max_size=9),
)
def test_any_header_is_a_window_or_a_contract_error(changes: dict[str, Any], pcm: bytes) -> None:
    try:
        w = decode_window(frame_of(changes, pcm))
    except ContractError as error:
        error.window_id.encode()
    else:
        encode_window(w)


@given(st.integers(0, 200), st.binary(min_size=1, max_size=3))
def test_a_damaged_frame_is_a_window_or_a_contract_error(at: int, bytes_: bytes) -> None:
    frame = bytearray(encode_window(window()))
    frame[at : at + len(bytes_)] = bytes_
    try:
        decode_window(bytes(frame))
    except ContractError as error:
        assert error.message


@pytest.mark.parametrize(
    ("changes", "pcm", "code"),
    [
        ({"sample_rate": 8000}, b"\0\0", "wrong_sample_rate"),
        ({"encoding": "mp3"}, b"\0\0", "bad_encoding"),
        ({}, b"\0\0\0", "truncated"),
        ({}, b"", "empty_window"),
        ({}, bytes(2 * WINDOW_SAMPLES_MAX + 2), "window_too_long"),
        ({"encoding": "pcm_f32le"}, np.float32("nan").tobytes(), "not_finite"),
        ({"encoding": "pcm_f32le"}, np.float32("inf").tobytes(), "not_finite"),
        ({"id": ""}, b"\0\0", "bad_id"),
        ({"id": 7}, b"\0\0", "bad_id"),
        ({"id": "x" * 65}, b"\0\0", "bad_id"),
        ({"id": "\ud800"}, b"\0\0", "bad_id"),
        ({"history": "\ud800"}, b"\0\0", "bad_header"),
        ({"channel": ""}, b"\0\0", "bad_channel"),
        ({"start_sample": -1}, b"\0\0", "bad_start"),
        ({"start_sample": 1.5}, b"\0\0", "bad_header"),
        ({"start_sample": True}, b"\0\0", "bad_header"),
        ({"priority": "urgent"}, b"\0\0", "bad_header"),
        ({"language": "klingon-tlh"}, b"\0\0", "unknown_language"),
        ({"terms": "Alpha-1"}, b"\0\0", "bad_header"),
        ({"terms": ["x" * 201]}, b"\0\0", "term_too_long"),
        ({"terms": ["x"] * 1001}, b"\0\0", "too_many_terms"),
        ({"history": "x" * 4001}, b"\0\0", "history_too_long"),
        ({"deadline_ms": 0}, b"\0\0", "bad_deadline"),
    ],
)
def test_each_mistake_has_its_code_and_names_the_window(
    changes: dict[str, Any], pcm: bytes, code: str
) -> None:
    with pytest.raises(ContractError) as caught:
        decode_window(frame_of(changes, pcm))
    assert caught.value.code == code
    assert caught.value.status in (400, 422)
    if "id" not in changes:
        assert caught.value.window_id == "w1"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", "1", '{"v":2,"type":"error"}', '{"v":1,"type":"transcript","id":"x"}', '{"v":1}'],
)
def test_text_that_is_no_result_raises_a_contract_error(text: str) -> None:
    with pytest.raises(ContractError):
        decode_answer(text)


def test_the_largest_window_fits_the_frame_limit() -> None:
    w = window(samples=np.zeros(WINDOW_SAMPLES_MAX, np.float32), terms=["가" * 150] * 1000)
    frame = encode_window(w)
    assert len(frame) <= FRAME_BYTES_MAX
    assert len(frame) - 4 * WINDOW_SAMPLES_MAX < HEADER_BYTES_MAX
    assert len(decode_window(frame).samples) == WINDOW_SAMPLES_MAX


def test_int16_becomes_float_between_minus_one_and_one() -> None:
    w = window(samples=np.array([-32768, 0, 32767], np.int16))
    np.testing.assert_allclose(w.as_float32(), [-1, 0, 1], atol=1e-4)


def frame_of(changes: dict[str, Any], pcm: bytes) -> bytes:
    header = {
        "id": "w1",
        "channel": "C01",
        "encoding": "pcm_s16le",
        "sample_rate": 16000,
        "start_sample": 0,
        "priority": "final",
        "language": "auto",
        "terms": [],
        "history": "",
        "deadline_ms": 15000,
        **changes,
    }
    body = json.dumps(header).encode()
    return HEADER.pack(MAGIC, 1, 0, len(body)) + body + pcm
