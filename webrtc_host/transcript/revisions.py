"""Revisions of finals: the stored event of a final, with the text of its newest `segment.revised`.

Pure. For readers who get each final once, as exports and the list of segments do; watchers get both events.
The two events stay as they are in the record, so the first text is never lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from webrtc_host.transcript.event_codec import encode_json

NOTHING: Mapping[str, Any] = MappingProxyType({})


def with_revision(final: str, revision: str | None, extras: Mapping[str, Any] = NOTHING) -> str:
    """The JSON of a final with the text, words and edits of its revision, and `revision`, its number.

    Both are stored JSON. They are not decoded into events: a newer server may have written fields that this
    version does not know, and readers get these fields unchanged. revision: None: the final was never
    revised. Words that the revision does not give are not known: those of the final belong to its first text.
    extras: further fields, such as the marks and notes of the line.
    """
    if revision is None:
        return encode_json({**json.loads(final), **extras}).decode() if extras else final
    body: dict[str, Any] = json.loads(final)
    newer: dict[str, Any] = json.loads(revision)
    body |= {"text": newer["text"], "words": newer.get("words", []), "edits": newer.get("edits", [])}
    body |= {name: newer[name] for name in ("raw", "glossary_version") if name in newer}
    body["revision"] = newer["revision"]
    body["revised_by"] = newer.get("by")
    body |= extras
    return encode_json(body).decode()
