"""The forms of call uploads, as their senders fill them, and with mistakes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webrtc_host.doors.radio.calls import (
    TALKERS_MAX,
    Call,
    CallTalker,
    IncompleteCall,
    moment,
    whole,
    words,
)
from webrtc_host.doors.radio.openmhz_form import call_of_openmhz
from webrtc_host.doors.radio.rdio_form import call_of_form, call_of_meta

TRUNK_RECORDER = {
    "audioName": "5001-1795000000_851.0125.m4a",
    "audioType": "audio/mp4",
    "dateTime": "1795000000",
    "frequencies": '[{"freq": 851012500, "time": 1795000000, "pos": 0.00, "len": 4.50, "errorCount": 0}]',
    "frequency": "851012500",
    "key": "secret",
    "patches": "[]",
    "source": "4001",
    "sources": '[{"pos": 0.00, "src": 4001, "tag": "Engine 12"}, {"pos": 2.34, "src": 4002, "tag": ""}]',
    "system": "11",
    "systemLabel": "county",
    "talkgroup": "5001",
    "talkgroupGroup": "Fire",
    "talkgroupLabel": "FD Disp",
    "talkgroupTag": "Fire Dispatch",
}
"""As trunk-recorder's plugin for rdio-scanner fills the form."""
META = {
    "freq": 851012500,
    "start_time": 1795000000,
    "stop_time": 1795000005,
    "emergency": 0,
    "call_length": 4,
    "talkgroup": 5001,
    "talkgroup_tag": "FD Disp",
    "talkgroup_group_tag": "Fire Dispatch",
    "talkgroup_group": "Fire",
    "audio_type": "digital",
    "short_name": "county",
    "freqList": [{"freq": 851012500, "time": 1795000000, "pos": 0.0, "len": 4.5, "error_count": "0"}],
    "srcList": [
        {"src": 4001, "time": 1795000000, "pos": 0.0, "emergency": 0, "tag": "Engine 12"},
        {"src": 4002, "time": 1795000002, "pos": 2.34, "emergency": 0, "tag": ""},
    ],
}
CALL = Call(
    ("11", "county"),
    5001,
    1795000000.0,
    "FD Disp",
    (CallTalker(4001, 0.0, "Engine 12"), CallTalker(4002, 2.34)),
)


def test_the_form_of_trunk_recorder() -> None:
    assert call_of_form(TRUNK_RECORDER) == CALL


def test_trunk_recorders_json() -> None:
    call = call_of_meta(json.dumps(META), "11")
    assert call.systems == ("county", "11")
    assert (call.talkgroup, call.start_s, call.label, call.talkers) == (
        5001,
        CALL.start_s,
        CALL.label,
        CALL.talkers,
    )


def test_the_form_of_sdrtrunk() -> None:
    form = {"dateTime": "1795000000", "talkgroup": "5001", "source": "4001", "talkerAlias": "Engine 12"}
    call = call_of_form({**form, "system": "11", "talkgroupLabel": "-", "systemLabel": "-"})
    assert call == Call(("11",), 5001, 1795000000.0, None, (CallTalker(4001, 0.0, "Engine 12"),))


def test_the_form_of_version_7_has_milliseconds_and_units() -> None:
    form = {"timestamp": "1795000000250", "system": "11", "talkgroup": "5001"}
    call = call_of_form({**form, "units": '[{"id": 7, "label": "Seven", "offset": 1.5}]'})
    assert (call.start_s, call.talkers) == (1795000000.25, (CallTalker(7, 1.5, "Seven"),))


def test_the_form_of_openmhz() -> None:
    form = {
        "freq": "851012500",
        "start_time": "1795000000",
        "stop_time": "1795000000",
        "call_length": "4",
        "talkgroup_num": "5001",
        "emergency": "0",
        "source_list": '[{ "pos": 0.00, "src": 4001 }]',
        "talker_alias": "Engine 12",
    }
    call = call_of_openmhz(form, "county")
    assert call == Call(("county",), 5001, 1795000000.0, None, (CallTalker(4001, 0.0, "Engine 12"),))


@pytest.mark.parametrize(
    ("without", "complaint"),
    [("dateTime", "no datetime"), ("system", "no system"), ("talkgroup", "no talkgroup")],
)
def test_what_is_missing_is_named_as_rdio_scanner_does(without: str, complaint: str) -> None:
    with pytest.raises(IncompleteCall, match=f"^{complaint}$"):
        call_of_form({name: value for name, value in TRUNK_RECORDER.items() if name != without})


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"talkgroup": 1}', '{"start_time": 1795000000}'])
def test_a_broken_meta_is_an_incomplete_call(text: str) -> None:
    with pytest.raises(IncompleteCall):
        call_of_meta(text)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1795000000", 1795000000.0),
        ("1795000000.5", 1795000000.5),
        (1795000000123, 1795000000.123),
        ("2026-11-18T11:06:40Z", 1795000000.0),
        ("2026-11-18T12:06:40.500+01:00", 1795000000.5),
        ("2026-11-18T11:06:40", 1795000000.0),
        ("yesterday", None),
        ("-5", None),
        ("nan", None),
        ("1e400", None),
        (None, None),
        (True, None),
    ],
)
def test_times_come_in_many_forms(value: object, seconds: float | None) -> None:
    found = moment(value)
    assert found == (None if seconds is None else pytest.approx(seconds, abs=0.001))


def test_numbers_and_labels() -> None:
    assert [whole(value) for value in ("5", 5, 5.0, "-1", 5.5, "x", 2**40, None)] == [5, 5, 5, *[None] * 5]
    assert [words(value) for value in ("-", "", "  ", "a\n b\x00c", 5)] == [None, None, None, "a b c", None]


@pytest.mark.parametrize(
    ("entries", "pauses"),
    [
        ([(0, 0), (2.5, 2), (4, 9)], [(4, 5.5)]),
        ([(0, 0), (2.5, 3)], []),  # half a second may be the rounding of a time
        ([(0, 0)], []),
        ([(0, 0), (2.5, 100)], []),
        ([(0, 5), (2.5, 2)], []),
        ([(1, 0), (2.5, 9)], []),
        ([(0, 0), (0, 9)], []),
        ([(0, 0), (2.5, None), (4, 9)], []),
    ],
)
def test_the_pauses_between_transmissions(
    entries: list[tuple[float, float | None]], pauses: list[tuple[float, float]]
) -> None:
    listed = [{"pos": at_s, "time": None if s is None else 1_795_000_000 + s} for at_s, s in entries]
    call = call_of_form({**TRUNK_RECORDER, "frequencies": json.dumps(listed)})
    assert call.pauses() == pauses
    assert call_of_meta(json.dumps({**META, "freqList": listed})).pauses() == pauses


def test_a_radio_that_is_named_twice_in_a_row_is_one_change() -> None:
    sources = [{"pos": 1, "src": 2}, {"pos": 0, "src": 1}, {"pos": 2, "src": 2}, {"pos": 3, "src": 1}]
    more: list[Any] = [{"pos": "x", "src": 5}, {"src": 6}, {"pos": -1, "src": 7}, {"pos": 9, "src": -1}, 5]
    call = call_of_form({**TRUNK_RECORDER, "sources": json.dumps(sources + more)})
    assert [(one.id, one.at_s) for one in call.talkers] == [(1, 0), (2, 1), (1, 3)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["pos", "src", "tag", "id", "offset", "talkgroup", "srcList"]), inner
        )
    ),
    max_leaves=8,
)
VALUES = st.text(max_size=12) | JSON.map(json.dumps) | st.sampled_from(["1795000000", "5001", "-", "1e999"])
NAMES = sorted(
    {*TRUNK_RECORDER, "units", "timestamp", "talkerAlias", "source_list", "start_time", "talkgroup_num"}
)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES), JSON, st.booleans())
def test_any_form_is_a_call_or_an_incomplete_one(form: dict[str, str], meta: Any, is_filled: bool) -> None:
    filled = (
        {**TRUNK_RECORDER, "start_time": "1795000000", "talkgroup_num": "1", **form} if is_filled else form
    )
    text = json.dumps({**META, **meta} if isinstance(meta, dict) and is_filled else meta)
    for read in (
        call_of_form,
        lambda fields: call_of_openmhz(fields, "county"),
        lambda _: call_of_meta(text),
    ):
        try:
            call = read(filled)
        except IncompleteCall:
            continue
        assert 0 <= call.talkgroup < 2**32 and 0 < call.start_s < 2**33
        assert len(call.talkers) <= TALKERS_MAX
        starts = [talker.at_s for talker in call.talkers]
        assert starts == sorted(starts) and all(start >= 0 for start in starts)
