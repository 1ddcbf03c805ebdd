"""The codec of pipecat's clients: messages of RTVI on the data channel of a call by WebRTC. Pure.

RTVI is pipecat's protocol between an application and a voice bot. This server is a bot that only listens: the
client gets its own words and the times of its speech. On the same channel come messages of the transport
(`signalling`), and a ping each second, which is no JSON.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from webrtc_host.errors import RequestError
from webrtc_host.wires.json_text import json_object
from webrtc_host.wires.messages import (
    SERVER_STOPPING,
    Action,
    End,
    Final,
    Finish,
    Frame,
    Goodbye,
    Interim,
    Opened,
    Result,
    Say,
    SpeechBegan,
    SpeechStopped,
)

VERSION = "2.2.0"
"""Of RTVI."""
LABEL = "rtvi-ai"
SIGNALLING = "signalling"
PING = "ping"
RESTARTED = "restarted"
"""The reason of an end: the client has made another connection in place of this one."""
ID_CHARS_MAX = 100


class PipecatCodec:
    def __init__(self, version: str, began: datetime) -> None:
        """version: of this server. began: when the call begins, in UTC; its results count from here."""
        self._version = version
        self._began = began
        self._has_left = False
        self._channel = ""

    # --- from the client ---

    def begin(self) -> list[Action]:
        return []

    def greeting(self) -> list[Frame]:
        """Nothing: the client speaks first."""
        return []

    def on_text(self, text: str, now_s: float) -> list[Action]:
        if text.startswith(PING):
            return []
        try:
            message = json_object(text)
        except RequestError as error:
            return [_complaint("", error.message)]
        if message.get("type") == SIGNALLING:
            return []  # which tracks are muted; the audio itself shows it
        if message.get("label") != LABEL:
            return [_complaint("", f"a message has the label {LABEL}")]
        return self._on_message(message.get("type"), _id_of(message))

    def on_bytes(self, data: bytes) -> list[Action]:
        return [_complaint("", "binary messages have no meaning here; send JSON")]

    def _on_message(self, kind: object, number: str) -> list[Action]:
        match kind:
            case "client-ready":
                about = {"library": "host-stt", "library_version": self._version}
                return [Say((_message("bot-ready", number, {"version": VERSION, "about": about}),))]
            case "disconnect-bot":
                return [Finish()]
            case str():
                return [_complaint(number, f"this server only transcribes; it has no {kind[:40]!r}")]
        return [_complaint(number, "a message has a `type`")]

    # --- to the client ---

    def on_result(self, result: Result) -> list[Frame]:
        match result:
            case Opened():
                self._channel = next(iter(result.channels.values()), "")
            case SpeechBegan():
                return [_message("user-started-speaking")]
            case SpeechStopped():
                return [_message("user-stopped-speaking")]
            case Interim() if result.text:
                return [self._transcription(result.text, result.end_ms, is_final=False)]
            case Final() if result.text:
                return [self._transcription(result.text, result.end_ms, is_final=True)]
            case _:
                pass
        return []

    def on_end(self, end: End) -> Goodbye:
        """`peerLeft` makes the client hang up. Without it, the client connects again, as it should when the
        server restarts.
        """
        if self._has_left or end.reason in (SERVER_STOPPING, RESTARTED):
            return Goodbye()
        self._has_left = True
        return Goodbye(frames=(json.dumps({"type": SIGNALLING, "message": {"type": "peerLeft"}}),))

    def _transcription(self, text: str, end_ms: int, *, is_final: bool) -> Frame:
        time = (self._began + timedelta(milliseconds=end_ms)).isoformat(timespec="milliseconds")
        said = {"text": text, "user_id": self._channel, "timestamp": time, "final": is_final}
        return _message("user-transcription", "", said)


def _id_of(message: dict[str, Any]) -> str:
    number = message.get("id")
    return number[:ID_CHARS_MAX] if isinstance(number, str) else ""


def _complaint(number: str, text: str) -> Say:
    """An answer to a message that this server cannot use; `error-response` to one with an id."""
    if number:
        frame = _message("error-response", number, {"error": text})
    else:
        frame = _message("error", "", {"error": text, "fatal": False})
    return Say((frame,), is_complaint=True)


def _message(kind: str, number: str = "", data: dict[str, Any] | None = None) -> str:
    fields: dict[str, Any] = {"label": LABEL, "type": kind}
    if number:
        fields["id"] = number
    if data is not None:
        fields["data"] = data
    return json.dumps(fields, ensure_ascii=False)
