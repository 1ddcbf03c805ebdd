"""`GET /api/openapi.json`: the requests of 8082 as an OpenAPI document, made from the declared routes.

Only the form of the document. Its facts come from the declaration of each route (`routes.Route`); its
parameters and bodies come from the models that check them.
"""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from webrtc_host.http.responses import ErrorResponse
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import ROUTES, Route
from webrtc_host.http.server import json_response

OPENAPI_VERSION = "3.1.0"
_PART = re.compile(r"{(\w+)}")


class OpenApi:
    def __init__(self, version: str) -> None:
        self._version = version
        self._document: dict[str, Any] | None = None

    @Route("GET", "/api/openapi.json", Role.VIEWER, "The OpenAPI document")
    async def show(self, request: web.Request) -> web.Response:
        if self._document is None:
            self._document = document_of(request.app, self._version)
        return json_response(self._document)


def document_of(app: web.Application, version: str) -> dict[str, Any]:
    routes = [route for route in app[ROUTES].values() if route.is_documented]
    models: set[type[BaseModel]] = {ErrorResponse}
    for route in routes:
        models |= {model for model in (route.body, route.response) if model is not None}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema(
        [(model, "validation") for model in ordered], ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
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


def _operation(route: Route) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "done"}
    if route.response is not None:
        success["content"] = {route.content_type: {"schema": _ref(route.response)}}
    elif route.content_type != "application/json":
        success["content"] = {route.content_type: {"schema": {"type": "string"}}}
    body: dict[str, Any] = {
        "operationId": _id_of(route),
        "summary": route.summary,
        "description": f"Needs the role `{route.role}`." if route.role else "Open to all.",
        "tags": [route.path.split("/")[2 if route.path.startswith("/api/") else 1]],
        "parameters": [*_path_parameters(route.path), *_query_parameters(route.query)],
        "responses": {
            str(101 if route.is_websocket else route.status): success,
            **{str(status): _error() for status in sorted({400, 401, 403, 429, 503, *route.errors})},
        },
    }
    if route.body is not None:
        schema = {"application/json": {"schema": _ref(route.body)}}
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
    """The schema without null: an optional parameter is left out, because a query cannot hold null."""
    others = [one for one in shape.get("anyOf", ()) if one != {"type": "null"}]
    if not others:
        return shape
    rest = {key: value for key, value in shape.items() if key not in ("anyOf", "default")}
    return {**others[0], **rest} if len(others) == 1 else {**rest, "anyOf": others}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _error() -> dict[str, Any]:
    return {
        "description": "refused; `message` says why",
        "content": {"application/json": {"schema": _ref(ErrorResponse)}},
    }


def _id_of(route: Route) -> str:
    return f"{route.method.lower()}_{re.sub(r'[^a-zA-Z0-9]+', '_', route.path).strip('_')}"
