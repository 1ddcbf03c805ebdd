"""The form of an upload to OpenMHz as a `Call`. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from webrtc_host.doors.radio.calls import (
    Call,
    CallTalker,
    IncompleteCall,
    json_list,
    moment,
    talkers_of,
    whole,
    words,
)

FILE_ENDS = (".m4a", ".mp3")
"""OpenMHz takes no other files; senders tell the format by the name."""


def call_of_openmhz(fields: Mapping[str, str], short_name: str) -> Call:
    """Raises IncompleteCall. `stop_time` is not used, because SDRTrunk sends the start there."""
    start_s = moment(fields.get("start_time"))
    if start_s is None:
        raise IncompleteCall("no start_time")
    talkgroup = whole(fields.get("talkgroup_num"))
    if talkgroup is None:
        raise IncompleteCall("no talkgroup_num")
    return Call((short_name,), talkgroup, start_s, talkers=_talkers(fields))


def _talkers(fields: Mapping[str, str]) -> tuple[CallTalker, ...]:
    found = talkers_of(json_list(fields.get("source_list")), id_name="src", at_name="pos", label_name="tag")
    alias = words(fields.get("talker_alias"))
    if len(found) == 1 and found[0].label is None:
        return (CallTalker(found[0].id, found[0].at_s, alias),)
    return found
