"""Redaction of stored JSON: the event of a line without what was said in it.

Pure. A list of the fields that may stay, and not of those that must go: an event of a type that is added
later then loses its words, too. Invariant: the result has the same `seq`, times and ids as the event.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from webrtc_host.transcript.event_codec import encode_json

REDACTED = "[redacted]"
"""In place of the text of a line, everywhere."""
KEPT = frozenset(
    (
        *("v", "seq", "session", "type", "wall", "channel", "durable"),
        *("utterance", "segment", "segments", "revision", "start", "end", "language", "source"),
        *("by", "mark", "rule", "alert", "level", "cause", "summary", "maker", "model", "prompt"),
    )
)
"""Fields of text that say nothing of the words. Numbers and true or false stay in every field."""
_SUBJECT = re.compile(rb'"(?:segment|alert)":"([ga]_[0-9a-z]+)"')
_SUMMARY = b'"type":"summary.updated"'


@dataclass(frozen=True, slots=True)
class Removed:
    """What a redaction removes from stored events. subjects: ids of lines and alerts.

    A summary of the range goes as a whole: it may have the words without citing the line.
    """

    subjects: frozenset[str]
    channel: str
    from_ms: int
    to_ms: int

    def concerns(self, data: bytes) -> bool:
        """Whether this stored event, or the body of a webhook's delivery, has words that were removed."""
        # Quotes inside of a text are escaped in JSON, so a text cannot look like the field of an id.
        if any(found.decode() in self.subjects for found in _SUBJECT.findall(data)):
            return True
        return _SUMMARY in data and self._has_part_in(json.loads(data))

    def _has_part_in(self, body: dict[str, Any]) -> bool:
        summary: dict[str, Any] = body.get("data", body)
        is_of_channel = summary.get("channel") in (None, self.channel)
        return bool(is_of_channel and summary["from_ms"] < self.to_ms and summary["to_ms"] > self.from_ms)

    def redacted(self, data: bytes) -> bytes | None:
        """The event without its words; None: it stays as it is."""
        return encode_json(without_words(json.loads(data))) if self.concerns(data) else None


def without_words(body: dict[str, Any]) -> dict[str, Any]:
    """The fields of an event: texts become REDACTED, lists and objects become empty."""
    return {name: _without_words(name, value) for name, value in body.items()}


def _without_words(name: str, value: Any) -> Any:
    if name in KEPT or value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return REDACTED
    return [] if isinstance(value, list) else {}
