"""`GET /api/openapi.json`: what 8082 can be asked, made from the routes themselves.

Owns the document's form. What a route says of itself stands at its handler (`asking.describes`) or, for doors
and streams, in the table below; parameters, bodies and answers are the models that check them. A test wants
every route described and nothing described that is no route.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from aiohttp import hdrs, web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from webrtc_host.http.pages import Page
from webrtc_host.http.requests import Operation, operation_of
from webrtc_host.http.responses import ErrorAnswer
from webrtc_host.http.roles import NEEDED
from webrtc_host.http.server import json_response

OPENAPI_VERSION = "3.1.0"
_PART = re.compile(r"{(\w+)}")
_SUCCESS = {
    ("POST", "/whip/{channel}"): 201,
    ("GET", "/whip/{channel}"): 204,
    ("PATCH", "/whip/{channel}/{publication}"): 204,
    ("GET", "/whip/{channel}/{publication}"): 204,
    ("GET", "/ws"): 101,
}

TABLE: dict[tuple[str, str], Operation] = {
    ("GET", "/health"): Operation("200 while the process is up"),
    ("GET", "/ready"): Operation(
        "200 when a real decode has worked, else 503 with the reason", errors=(503,)
    ),
    ("GET", "/metrics"): Operation("Figures for Prometheus", content_type="text/plain"),
    ("GET", "/ws"): Operation("Events of a session, over a WebSocket"),
    ("GET", "/events"): Operation(
        "Events of a session, as server-sent events", content_type="text/event-stream"
    ),
    ("POST", "/offer"): Operation("WebRTC: an offer, answered", errors=(422,)),
    ("DELETE", "/offer/{connection}"): Operation("Hang up: last words first", errors=(404,)),
    ("GET", "/offer/{connection}"): Operation("What a connection feeds", errors=(404,)),
    ("GET", "/api/ice"): Operation("STUN and TURN servers for the client's side"),
    ("POST", "/whip/{channel}"): Operation(
        "WHIP: publish a channel", content_type="application/sdp", errors=(409, 413, 415, 422)
    ),
    ("GET", "/whip/{channel}"): Operation("Nothing: WHIP publishes by POST"),
    ("OPTIONS", "/whip/{channel}"): Operation("What WHIP takes here"),
    ("PATCH", "/whip/{channel}/{publication}"): Operation(
        "WHIP: candidates", errors=(404, 412, 415, 422, 428)
    ),
    ("DELETE", "/whip/{channel}/{publication}"): Operation("WHIP: end a publication", errors=(404,)),
    ("GET", "/whip/{channel}/{publication}"): Operation("Nothing"),
    ("OPTIONS", "/whip/{channel}/{publication}"): Operation("What WHIP takes here"),
    ("GET", "/ws/pcm/{channel}"): Operation("Sound of a channel over a WebSocket"),
    ("GET", "/ws/backfill/{channel}"): Operation("Sound of a gap over a WebSocket"),
    ("POST", "/sessions/create"): Operation("A new session", errors=(422, 429)),
    ("POST", "/push"): Operation("A recorded piece, answered with its text", errors=(409, 415, 422)),
    ("GET", "/api/glossary"): Operation("The glossary in force"),
    ("PUT", "/api/glossary"): Operation("Replace the glossary", errors=(422,)),
    ("GET", "/api/glossary/prompt"): Operation("The terms that a channel's windows are asked with"),
    ("GET", "/api/segments/{segment}/audio"): Operation(
        "The sound of a final, as it came", content_type="audio/ogg", errors=(404,)
    ),
    ("GET", "/api/sessions/{session}/channels/{channel}/audio"): Operation(
        "The sound of a range of a channel, as it came", content_type="audio/ogg", errors=(404, 413)
    ),
    ("GET", "/api/openapi.json"): Operation("This document"),
}


class OpenApi:
    def __init__(self, version: str) -> None:
        self._version = version
        self._document: dict[str, Any] | None = None

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/api/openapi.json", self.show)

    async def show(self, request: web.Request) -> web.Response:
        if self._document is None:
            self._document = document_of(request.app, self._version)
        return json_response(self._document)


def described(app: web.Application) -> Iterator[tuple[str, str, Operation | None]]:
    """(method, path template, what it says of itself) of every route but the pages."""
    for route in app.router.routes():
        if route.method == hdrs.METH_HEAD or route.resource is None:
            continue
        if isinstance(getattr(route.handler, "__self__", None), Page):
            continue
        key = (route.method, route.resource.canonical)
        yield *key, operation_of(route.handler) or TABLE.get(key)


def document_of(app: web.Application, version: str) -> dict[str, Any]:
    found = [(method, path, one) for method, path, one in described(app) if one is not None]
    models: set[type[BaseModel]] = {ErrorAnswer}
    for _, _, one in found:
        models |= {model for model in (one.body, one.answer) if model is not None}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema(
        [(model, "validation") for model in ordered], ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for method, path, one in found:
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, one)
    return {
        "openapi": OPENAPI_VERSION,
        "info": {
            "title": "host-stt",
            "version": version,
            "description": "Times are whole milliseconds since the session's t = 0 unless the name says "
            "otherwise. Errors are {error: {code, message}}.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }


def _operation(method: str, path: str, one: Operation) -> dict[str, Any]:
    role = NEEDED.get((method, path))
    answer: dict[str, Any] = {"description": "done"}
    if one.answer is not None:
        answer["content"] = {one.content_type: {"schema": _ref(one.answer)}}
    elif one.content_type != "application/json":
        answer["content"] = {one.content_type: {"schema": {"type": "string"}}}
    body: dict[str, Any] = {
        "operationId": _id_of(method, path),
        "summary": one.summary,
        "description": f"Wants the role `{role}`." if role else "Open to all.",
        "tags": [path.split("/")[2 if path.startswith("/api/") else 1]],
        "parameters": [*_path_parameters(path), *_query_parameters(one.query)],
        "responses": {
            str(_SUCCESS.get((method, path), 200)): answer,
            **{str(status): _error() for status in sorted({400, 401, 403, 429, 503, *one.errors})},
        },
    }
    if one.body is not None:
        schema = {"application/json": {"schema": _ref(one.body)}}
        body["requestBody"] = {"required": True, "content": schema}
    return body


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PART.findall(path)
    ]


def _query_parameters(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    parameters = []
    for name, described_as in schema.get("properties", {}).items():
        shape = {key: value for key, value in described_as.items() if key not in ("description", "title")}
        if "$ref" in shape:
            shape = dict(schema["$defs"][shape["$ref"].rpartition("/")[2]])
        parameters.append(
            {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", []),
                "description": described_as.get("description", ""),
                "schema": _without_null(shape),
            }
        )
    return parameters


def _without_null(shape: dict[str, Any]) -> dict[str, Any]:
    """A parameter that may be left out is never `null`: in a query that would be a word."""
    others = [one for one in shape.get("anyOf", ()) if one != {"type": "null"}]
    if not others:
        return shape
    rest = {key: value for key, value in shape.items() if key not in ("anyOf", "default")}
    return {**others[0], **rest} if len(others) == 1 else {**rest, "anyOf": others}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _error() -> dict[str, Any]:
    return {
        "description": "refused, and why",
        "content": {"application/json": {"schema": _ref(ErrorAnswer)}},
    }


def _id_of(method: str, path: str) -> str:
    return f"{method.lower()}_{re.sub(r'[^a-zA-Z0-9]+', '_', path).strip('_')}"
