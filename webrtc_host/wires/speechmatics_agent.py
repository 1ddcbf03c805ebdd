"""The codec of Speechmatics' Agent STT: `GET /v2/agent` as a WebSocket. Pure.

It begins and ends like the real-time API. The text comes as segments: `AddSegment` stands, and
`AddPartialSegment` is what comes after it, which replaces the partial one before. Where the client leaves the
ends of turns to the server (`turn_config`), each utterance is a turn.
"""

from __future__ import annotations

from typing import Any

from webrtc_host.wires.messages import (
    Action,
    Failed,
    Final,
    Forced,
    Frame,
    Interim,
    Result,
    SpeechBegan,
    SpeechStopped,
    Tick,
    UtteranceDone,
)
from webrtc_host.wires.speechmatics_live import SpeechmaticsLive, frame_of

AGENT = "agent"
"""The last part of the address, where the real-time API has a language."""
EXTERNAL = "external"


class SpeechmaticsAgent(SpeechmaticsLive):
    _has_turns = True
    """Whether the server tells the starts and ends of speech and of turns."""

    def on_result(self, result: Result) -> list[Frame]:
        match result:
            case SpeechBegan():
                return self._turn("SpeechStarted", "StartOfTurn", start_time=result.start_ms / 1000)
            case SpeechStopped():
                return self._turn("SpeechEnded", end_time=result.end_ms / 1000)
            case UtteranceDone():
                return self._turn("EndOfTurn", end_time=result.end_ms / 1000)
            case Interim():
                has_partials = bool(result.text) and self._started().has_partials
                return [_segment("AddPartialSegment", result)] if has_partials else []
            case Final():
                return [_segment("AddSegment", result)]
            case Failed() | Forced() | Tick():
                return []
        return super().on_result(result)

    def _start(self, message: dict[str, Any]) -> list[Action]:
        turns = message.get("turn_config")
        self._has_turns = not isinstance(turns, dict) or turns.get("turn_detection_mode") != EXTERNAL
        return super()._start(message)

    def _turn(self, *kinds: str, **times: float) -> list[Frame]:
        return [frame_of(kind, metadata=times) for kind in kinds] if self._has_turns else []


def _segment(kind: str, result: Interim | Final) -> Frame:
    times = {"start_time": result.start_ms / 1000, "end_time": result.end_ms / 1000}
    return frame_of(kind, segment={"transcript": result.text, "speaker": None}, metadata=times)
