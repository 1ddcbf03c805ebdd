"""The response to a list with mistakes: the glossary or the alert rules."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from host_stt.contract import error_body
from webrtc_host.glossary.mistakes import Mistake, dotted
from webrtc_host.http.server import json_response


def mistakes_response(code: str, message: str, mistakes: Sequence[Mistake]) -> web.Response:
    """422 with all mistakes, each with its place in the list and, for YAML, its line."""
    body = error_body(code, message)
    body["error"]["mistakes"] = [
        {
            "place": dotted(one.path),
            "path": list(one.path),
            "message": one.message,
            "term": one.term,
            "line": one.line,
        }
        for one in mistakes
    ]
    return json_response(body, 422)
