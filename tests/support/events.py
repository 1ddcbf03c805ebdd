"""Events for tests: only the fields that a test is about, the rest filled in."""

from __future__ import annotations

from typing import Any

from webrtc_host.events import Event
from webrtc_host.seams import EventType
from webrtc_host.transcript.event_codec import decode, encode_json

_WHEN = "2026-11-21T06:10:00.000Z"
_DEFAULTS: dict[EventType, dict[str, Any]] = {
    EventType.SESSION_STARTED: {"name": "night", "t0_wall": _WHEN},
    EventType.SESSION_ENDED: {"reason": "requested"},
    EventType.CHANNEL_OPENED: {"connection": "c_1", "label": "C01", "language": "auto", "door": "webrtc"},
    EventType.CHANNEL_CLOSED: {"connection": "c_1", "reason": "requested"},
    EventType.CHANNEL_STATE: {"state": "idle", "at_ms": 0},
    EventType.SPEECH_ENDED: {"rule": "hangover"},
    EventType.SEGMENT_INTERIM: {"revision": 1},
    EventType.SEGMENT_REVISED: {"revision": 1, "old_text": "x", "by": "glossary"},
    EventType.SEGMENT_MARKED: {"mark": "star", "is_set": True, "by": "kim"},
    EventType.NOTE_ADDED: {"note": "x", "by": "kim"},
    EventType.RANGE_REDACTED: {
        **{"from_ms": 0, "to_ms": 1000, "has_text": True, "has_audio": True},
        **{"reason": "private", "by": "kim"},
    },
    EventType.WINDOW_FAILED: {"window": "w_1", "code": "deadline", "reason": "it took too long"},
    EventType.COVERAGE: {"from_ms": 0, "to_ms": 1000, "state": "silence"},
    EventType.ALERT_RAISED: {"alert": "a_1", "rule": "mayday", "level": "critical", "cause": "terms"},
    EventType.ALERT_CONFIRMED: {"alert": "a_1", "matched": "mayday"},
    EventType.ALERT_WITHDRAWN: {"alert": "a_1", "reason": "final_differs"},
    EventType.ALERT_ESCALATED: {"alert": "a_1", "level": "critical"},
    EventType.ALERT_ACKNOWLEDGED: {"alert": "a_1", "by": "kim"},
    EventType.SUMMARY_UPDATED: {
        "summary": "y_1",
        "revision": 1,
        "from_ms": 0,
        "to_ms": 1000,
        "maker": "extract",
        "title": "x",
    },
    EventType.ERROR: {"code": "internal", "message": "the server's log has the details"},
}


def an_event(kind: EventType, channel: str | None = None, **fields: Any) -> Event:
    """An event from its fields as they are on the wire. A field with the value None is left out."""
    given = {name: value for name, value in fields.items() if value is not None}
    start_ms = given.get("start_ms", 0)
    common = {"utterance": "u_1", "segment": "g_1", "text": "x", "start_ms": start_ms}
    body = {**common, "end_ms": start_ms, **_DEFAULTS.get(kind, {}), **given}
    if kind not in (EventType.SESSION_STARTED, EventType.SESSION_ENDED, EventType.ERROR):
        body["channel"] = "C01"
    if channel is not None:
        body["channel"] = channel
    envelope = {"session": "s_1", "type": kind, "wall": _WHEN}
    return decode(encode_json({**body, **envelope})).event
