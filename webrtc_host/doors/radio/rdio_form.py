"""The form of rdio-scanner's call upload, and the call JSON of trunk-recorder, as a `Call`. Pure.

Written after what trunk-recorder, Trunk Recorder Pro and SDRTrunk send: seconds, milliseconds or ISO 8601 for
the time, `source` or `sources` or `units` for the radios, `-` for an empty text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from webrtc_host.doors.radio.calls import (
    Call,
    CallTalker,
    IncompleteCall,
    json_list,
    moment,
    real,
    talkers_of,
    transmissions_of,
    whole,
    words,
)


def call_of_form(fields: Mapping[str, str]) -> Call:
    """Raises IncompleteCall."""
    start_s = moment(fields.get("timestamp")) or moment(fields.get("dateTime"))
    if start_s is None:
        raise IncompleteCall("no datetime")
    system = whole(fields.get("system"))
    if system is None:
        raise IncompleteCall("no system")
    talkgroup = whole(fields.get("talkgroup"))
    if talkgroup is None:
        raise IncompleteCall("no talkgroup")
    names = (str(system), words(fields.get("systemLabel")))
    return Call(
        systems=tuple(name for name in names if name is not None),
        talkgroup=talkgroup,
        start_s=start_s,
        label=words(fields.get("talkgroupLabel")) or words(fields.get("talkgroupName")),
        talkers=_talkers(fields),
        transmissions=transmissions_of(json_list(fields.get("frequencies"))),
    )


def _talkers(fields: Mapping[str, str]) -> tuple[CallTalker, ...]:
    found = talkers_of(
        json_list(fields.get("sources")), id_name="src", at_name="pos", label_name="tag"
    ) or talkers_of(json_list(fields.get("units")), id_name="id", at_name="offset", label_name="label")
    alias = words(fields.get("talkerAlias"))
    if not found:
        source = whole(fields.get("source")) or whole(fields.get("unit"))
        return () if not source else (CallTalker(source, 0.0, alias),)
    return found


def call_of_meta(text: str, system: str | None = None) -> Call:
    """The call of trunk-recorder's JSON. system: the field `system` of the form. Raises IncompleteCall."""
    try:
        meta = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise IncompleteCall("meta is not JSON") from error
    if not isinstance(meta, dict):
        raise IncompleteCall("meta is not a JSON object")
    start_s = moment(meta.get("start_time"))
    if start_s is None:
        raise IncompleteCall("no datetime")
    talkgroup = whole(meta.get("talkgroup"))
    if talkgroup is None:
        raise IncompleteCall("no talkgroup")
    names = (words(meta.get("short_name")), words(system))
    return Call(
        systems=tuple(name for name in names if name is not None),
        talkgroup=talkgroup,
        start_s=start_s,
        label=words(meta.get("talkgroup_tag")),
        talkers=_talkers_of_meta(meta),
        transmissions=transmissions_of(json_list(meta.get("freqList"))),
    )


def _talkers_of_meta(meta: Mapping[str, Any]) -> tuple[CallTalker, ...]:
    """trunk-recorder gives each entry its time; its place in the audio is `pos`."""
    entries = [entry for entry in json_list(meta.get("srcList")) if real(entry.get("pos")) is not None]
    return talkers_of(entries, id_name="src", at_name="pos", label_name="tag")
