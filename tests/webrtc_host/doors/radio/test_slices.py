"""The datagrams of simplestream: with JSON, with the talkgroup alone, and broken ones."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webrtc_host.doors.radio.slices import BadSlice, SliceEvent, read_slice

PCM = np.array([0, 16384, -32768, 1], "<i2").tobytes()
HEAD = {
    "src": 4001,
    "src_tag": "Engine 12",
    "talkgroup": 5001,
    "patched_talkgroups": "5001",
    "freq": 851012500.0,
    "short_name": "county",
    "audio_sample_rate": 16000,
    "event": "audio",
}


def datagram(audio: bytes = PCM, **fields: Any) -> bytes:
    head = json.dumps({**HEAD, **fields}).encode()
    return len(head).to_bytes(4, "little") + head + audio


def known(talkgroup: int) -> bool:
    return talkgroup == 5001


def test_audio_with_json() -> None:
    found = read_slice(datagram(), known)
    assert (found.talkgroup, found.system, found.event, found.rate) == (
        5001,
        "county",
        SliceEvent.AUDIO,
        16000,
    )
    assert (found.source, found.source_label) == (4001, "Engine 12")
    assert found.samples.tolist() == [0, 0.5, -1, pytest.approx(1 / 32768)]


def test_audio_with_the_talkgroup_alone() -> None:
    found = read_slice((5001).to_bytes(4, "little") + PCM, known)
    assert (found.talkgroup, found.system, found.rate, len(found.samples)) == (5001, None, 8000, 4)


def test_start_and_end_have_no_audio() -> None:
    start = read_slice(datagram(b"", event="call_start", talkgroup_tag="Fire dispatch"), known)
    assert (start.event, start.label, len(start.samples)) == (SliceEvent.CALL_START, "Fire dispatch", 0)
    assert read_slice(datagram(b"", event="call_end"), known).event is SliceEvent.CALL_END


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "shorter"),
        (b"\x01\x02", "shorter"),
        (PCM, "no JSON and no known talkgroup"),
        ((5001).to_bytes(4, "little") + b"\x01", "no whole samples"),
        ((5001).to_bytes(4, "little"), "no whole samples"),
        (datagram(b""), "no whole samples"),
        (datagram(event="applause"), "event"),
        (datagram(talkgroup="all"), "no talkgroup"),
        (datagram(audio_sample_rate=1), "sample rate"),
        (datagram(audio_sample_rate="fast"), "sample rate"),
        (b"\x03\x00\x00\x00{x}" + PCM, "JSON is broken"),
        (b"\xff\xff\x00\x00{" + PCM, "no JSON and no known talkgroup"),
    ],
)
def test_a_broken_datagram_says_what_is_wrong(data: bytes, complaint: str) -> None:
    with pytest.raises(BadSlice, match=complaint):
        read_slice(data, known)


@given(
    st.binary(max_size=64)
    | st.dictionaries(st.sampled_from(sorted(HEAD)), st.none() | st.text() | st.integers() | st.floats()).map(
        lambda fields: datagram(PCM, **fields)
    )
    | st.tuples(st.just(datagram()), st.integers(0, 300), st.binary(max_size=3)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
    )
)
def test_any_datagram_is_a_slice_or_a_bad_one(data: bytes) -> None:
    try:
        found = read_slice(data, known)
    except BadSlice:
        return
    assert 0 <= found.talkgroup < 2**32 and 4000 <= found.rate <= 384_000
    assert np.isfinite(found.samples).all() and len(found.samples) * 2 <= len(data)
