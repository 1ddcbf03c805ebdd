"""The server's events of OpenAI's Realtime transcription, as text frames. Pure."""

from __future__ import annotations

import json
from typing import Any

from webrtc_host.wires.messages import Frame
from webrtc_host.wires.openai_items import Item

LIFE_S = 365 * 24 * 3600
"""From the start of a session to its `expires_at`: a session of this server has no limit."""
TRANSCRIPTION = "conversation.item.input_audio_transcription"


class Events:
    def __init__(self, prefix: str, now_s: int) -> None:
        self._prefix = prefix
        self._count = 0
        self._expires_at = now_s + LIFE_S
        self.channel: str | None = None
        """Ours: where the text is in the record; a field that the protocol does not have."""

    def opened(self, channel: str) -> None:
        self.channel = channel

    def session(self, kind: str, audio_input: dict[str, Any]) -> Frame:
        return self._frame(kind, session=session_body(self._prefix, self._expires_at, audio_input))

    def error(self, message: str, code: str, event_id: str | None = None, param: str | None = None) -> Frame:
        error = {
            "type": "invalid_request_error",
            "code": code,
            "message": message,
            "param": param,
            "event_id": event_id,
        }
        return self._frame("error", error=error)

    def cleared(self) -> Frame:
        return self._frame("input_audio_buffer.cleared")

    def speech_started(self, item: Item, at_ms: int) -> Frame:
        return self._frame("input_audio_buffer.speech_started", audio_start_ms=at_ms, item_id=item.id)

    def speech_stopped(self, item: Item) -> Frame:
        return self._frame("input_audio_buffer.speech_stopped", audio_end_ms=item.end_ms, item_id=item.id)

    def committed(self, item: Item) -> list[Frame]:
        body, before = item_body(item.id, None), item.previous
        return [
            self._frame("input_audio_buffer.committed", item_id=item.id, previous_item_id=before),
            self._frame("conversation.item.added", item=body, previous_item_id=before),
            self._frame("conversation.item.done", item=body, previous_item_id=before),
        ]

    def retrieved(self, item_id: str, text: str | None) -> Frame:
        return self._frame("conversation.item.retrieved", item=item_body(item_id, text))

    def delta(self, item: Item, delta: str) -> Frame:
        return self._frame(f"{TRANSCRIPTION}.delta", item_id=item.id, content_index=0, delta=delta)

    def completed(self, item: Item) -> Frame:
        """The text of the item; `failed` when a part of it could not be decoded, and there is no text."""
        if item.failure is not None and not item.text:
            error = {
                "type": "server_error",
                "code": item.failure,
                "message": "the engine could not decode this item",
                "param": None,
            }
            return self._frame(f"{TRANSCRIPTION}.failed", item_id=item.id, content_index=0, error=error)
        seconds = max(0, (item.commit_ms or 0) - item.from_ms) / 1000
        more: dict[str, Any] = {"languages": [{"code": one} for one in item.languages]}
        if item.failure is not None:
            more["failure"] = item.failure  # ours: a part of the text is missing
        return self._frame(
            f"{TRANSCRIPTION}.completed",
            item_id=item.id,
            content_index=0,
            transcript=item.text,
            usage={"type": "duration", "seconds": seconds},
            **more,
        )

    def _frame(self, kind: str, **fields: Any) -> Frame:
        self._count += 1
        body = {"type": kind, "event_id": f"event_{self._prefix}{self._count:06d}", **fields}
        if self.channel is not None:
            body["channel"] = self.channel
        return json.dumps(body, ensure_ascii=False)


def item_body(item_id: str, text: str | None) -> dict[str, Any]:
    """text: the whole transcript; None: it is not final yet."""
    body: dict[str, Any] = {"id": item_id, "object": "realtime.item", "type": "message", "role": "user"}
    return {**body, "status": "completed", "content": [{"type": "input_audio", "transcript": text}]}


def session_body(prefix: str, expires_at: int, audio_input: dict[str, Any]) -> dict[str, Any]:
    """A transcription session as clients read it."""
    return {
        "id": f"sess_{prefix}",
        "object": "realtime.transcription_session",
        "type": "transcription",
        "expires_at": expires_at,
        "audio": {"input": audio_input},
        "include": None,
    }
