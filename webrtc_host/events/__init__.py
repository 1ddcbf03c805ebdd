"""The events of the server: their classes, the functions that make them, and the sink that takes them.

`sessions.py`, `segments.py` and `alerts.py` say what an event contains, and check it. `making.py` has one
function for each event type that more than one part of the server writes; such an event is made by that
function only. Every other type is made in the one part that writes it (a test has the table). The JSON of an
event is in `transcript.event_codec`; its number and time of emission are in `transcript.event_log`.
"""

from webrtc_host.events.alerts import (
    AlertAcknowledged,
    AlertConfirmed,
    AlertEscalated,
    AlertEvent,
    AlertRaised,
    AlertWithdrawn,
)
from webrtc_host.events.base import ChannelEvent, Event, EventSink
from webrtc_host.events.classes import EVENT_CLASSES
from webrtc_host.events.making import (
    ErrorCode,
    channel_state,
    error_report,
    segment_revised,
    speech_ended,
    speech_started,
)
from webrtc_host.events.segments import (
    Edit,
    NoteAdded,
    RangeRedacted,
    SegmentFinal,
    SegmentInterim,
    SegmentMarked,
    SegmentRevised,
    SpeechEnded,
    SpeechStarted,
    Talker,
    TimedWord,
    WindowFailed,
)
from webrtc_host.events.sessions import (
    ChannelClosed,
    ChannelOpened,
    ChannelStateChanged,
    CoverageChanged,
    ErrorReported,
    SessionEnded,
    SessionStarted,
    SummaryUpdated,
)

__all__ = [
    "EVENT_CLASSES",
    "AlertAcknowledged",
    "AlertConfirmed",
    "AlertEscalated",
    "AlertEvent",
    "AlertRaised",
    "AlertWithdrawn",
    "ChannelClosed",
    "ChannelEvent",
    "ChannelOpened",
    "ChannelStateChanged",
    "CoverageChanged",
    "Edit",
    "ErrorCode",
    "ErrorReported",
    "Event",
    "EventSink",
    "NoteAdded",
    "RangeRedacted",
    "SegmentFinal",
    "SegmentInterim",
    "SegmentMarked",
    "SegmentRevised",
    "SessionEnded",
    "SessionStarted",
    "SpeechEnded",
    "SpeechStarted",
    "SummaryUpdated",
    "Talker",
    "TimedWord",
    "WindowFailed",
    "channel_state",
    "error_report",
    "segment_revised",
    "speech_ended",
    "speech_started",
]
