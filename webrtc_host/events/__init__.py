"""The events of the server: their classes, the functions that make them, and the sink that takes them.

`classes.py` says what an event contains, and checks it. `making.py` has one function for each event type
that more than one part of the server writes; such an event is made by that function only. Every other type
is made in the one part that writes it (a test has the table). The JSON of an event is in
`transcript.event_codec`; its number and time of emission are in `transcript.event_log`.
"""

from webrtc_host.events.classes import (
    EVENT_CLASSES,
    ChannelClosed,
    ChannelEvent,
    ChannelOpened,
    ChannelStateChanged,
    CoverageChanged,
    Edit,
    ErrorReported,
    Event,
    EventSink,
    SegmentFinal,
    SegmentInterim,
    SegmentRevised,
    SessionEnded,
    SessionStarted,
    SpeechEnded,
    SpeechStarted,
    TimedWord,
    WindowFailed,
)
from webrtc_host.events.making import (
    ErrorCode,
    channel_state,
    error_report,
    speech_ended,
    speech_started,
)

__all__ = [
    "EVENT_CLASSES",
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
    "SegmentFinal",
    "SegmentInterim",
    "SegmentRevised",
    "SessionEnded",
    "SessionStarted",
    "SpeechEnded",
    "SpeechStarted",
    "TimedWord",
    "WindowFailed",
    "channel_state",
    "error_report",
    "speech_ended",
    "speech_started",
]
