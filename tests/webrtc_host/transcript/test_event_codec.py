"""The codec of events: every class there and back, and records that another version wrote."""

from __future__ import annotations

import inspect
import json
import types
from dataclasses import FrozenInstanceError, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.events import an_event
from webrtc_host import events
from webrtc_host.events import EVENT_CLASSES, Edit, Event, SegmentFinal, Talker, TimedWord
from webrtc_host.seams import ChannelState, CoverageState, EventType, Source
from webrtc_host.transcript.event_codec import (
    Envelope,
    UnreadableEvent,
    decode,
    decode_readable,
    encode,
)

WALL = datetime(2026, 11, 21, 6, 10, 1, 234_000, tzinfo=UTC)
CLASSES = [
    one
    for _, one in inspect.getmembers(events, inspect.isclass)
    if issubclass(one, Event) and "kind" in vars(one)
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
MS = st.integers(0, 10**10)
MOMENT = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
)
ORDERED = (("start_ms", "end_ms"), ("from_ms", "to_ms"))
"""Pairs of fields of which the first may not be later."""


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        return st.one_of([values_of(one) for one in arguments])
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return st.sampled_from(hint)
    if hint in (TimedWord, Edit, Talker):
        hints = get_type_hints(hint)
        return st.builds(hint, **{field.name: values_of(hints[field.name]) for field in fields(hint)})
    return {
        str: TEXT,
        bool: st.booleans(),
        int: st.integers(1, 10**10),
        float: st.floats(-100, 1),
        datetime: MOMENT,
        types.NoneType: st.none(),
    }[hint]


@st.composite
def any_event(draw: st.DrawFn, cls: type[Event]) -> Event:
    hints = get_type_hints(cls)
    given_values = {field.name: draw(values_of(hints[field.name])) for field in fields(cls)}
    for first, last in ORDERED:
        if first in given_values and last in given_values:
            given_values[first], given_values[last] = sorted((given_values[first], given_values[last]))
    return cls(**given_values)


def test_every_event_type_has_one_class() -> None:
    assert {one.kind for one in CLASSES} == set(EventType)
    assert set(EVENT_CLASSES.values()) == set(CLASSES)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda one: one.__name__)
@settings(deadline=None)
@given(data=st.data(), seq=st.none() | st.integers(1, 10**9), latency_ms=st.none() | MS)
def test_a_decoded_event_equals_the_encoded_one(
    cls: type[Event], data: st.DataObject, seq: int | None, latency_ms: int | None
) -> None:
    envelope = Envelope(data.draw(any_event(cls)), "s_1", seq, data.draw(MOMENT), latency_ms)
    assert decode(encode(envelope)) == envelope


@pytest.mark.parametrize("kind", EventType)
def test_an_event_cannot_be_changed(kind: EventType) -> None:
    event = an_event(kind)
    with pytest.raises(FrozenInstanceError):
        event.channel = "C02"  # type: ignore[misc]  # that is what the test is about
    assert not hasattr(event, "__dict__")


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (EventType.SPEECH_STARTED, {"start_ms": -1}),
        (EventType.SPEECH_STARTED, {"start_ms": 1.5}),
        (EventType.SPEECH_ENDED, {"start_ms": 9, "end_ms": 8}),
        (EventType.SEGMENT_FINAL, {"start_ms": 9, "end_ms": 8}),
        (EventType.SEGMENT_FINAL, {"source": "radio"}),
        (EventType.SEGMENT_REVISED, {"revision": 0}),
        (EventType.COVERAGE, {"state": "idle"}),
        (EventType.CHANNEL_STATE, {"state": "lost"}),
        (EventType.CHANNEL_STATE, {"channel": ""}),
        (EventType.SESSION_STARTED, {"t0_wall": "2026-11-21T06:10:01"}),
    ],
    ids=lambda one: str(one),
)
def test_an_event_with_wrong_values_is_refused(kind: EventType, wrong: dict[str, Any]) -> None:
    with pytest.raises(UnreadableEvent):
        an_event(kind, **wrong)


STORED = (
    '{"v":1,"seq":7,"session":"s_1","type":"segment.final","wall":"2026-11-21T06:10:01.234Z","channel":"C03",'
    '"utterance":"u_17","segment":"g_52","start_ms":61234,"end_ms":63120,"start":"01:01.234",'
    '"end":"01:03.120","text":"proceed"}'
)
"""A final as a server wrote it that knew no `raw`, `words`, `conf` or `source`."""


def test_a_final_of_an_old_record_has_the_defaults_of_what_is_missing() -> None:
    assert decode(STORED) == Envelope(
        SegmentFinal(
            channel="C03", utterance="u_17", segment="g_52", start_ms=61234, end_ms=63120, text="proceed"
        ),
        "s_1",
        7,
        WALL,
    )


def test_a_field_that_this_version_does_not_know_is_skipped() -> None:
    newer = {**json.loads(STORED), "speaker": "tower"}
    assert decode(json.dumps(newer)) == decode(STORED)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "alert"},
        {"start_ms": None},
        {"start_ms": "early"},
        {"source": "radio"},
        {"wall": "yesterday"},
        {"words": [3]},
        {"words": 3},
    ],
    ids=str,
)
def test_an_event_that_cannot_be_understood_is_skipped_and_the_others_are_read(
    change: dict[str, Any],
) -> None:
    strange = json.dumps({**json.loads(STORED), **change})
    with pytest.raises(UnreadableEvent, match="a stored event cannot be read"):
        decode(strange)
    assert list(decode_readable([STORED, strange, "{", "[]", STORED])) == [decode(STORED)] * 2


@pytest.mark.parametrize("enum", [ChannelState, CoverageState, Source])
def test_enums_are_written_as_their_values(enum: type[StrEnum]) -> None:
    kind, name = {
        ChannelState: (EventType.CHANNEL_STATE, "state"),
        CoverageState: (EventType.COVERAGE, "state"),
        Source: (EventType.SEGMENT_FINAL, "source"),
    }[enum]
    for member in enum:
        event = an_event(kind, **{name: member.value})
        assert json.loads(encode(Envelope(event, "s_1", 1, WALL)))[name] == member.value
