"""`PUT /api/model`: change the model of the engine.

Only the route. The process that starts the engine gives the function that changes it; a server whose engine
runs elsewhere has none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from aiohttp import web
from pydantic import Field

from webrtc_host.desk.health import EngineWatch
from webrtc_host.errors import RequestError
from webrtc_host.http.requests import Body, read_body
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response

AUTO = "auto"


class ModelNotChanged(Exception):
    """Why the model cannot be changed, in one sentence."""


ChangeModel = Callable[[str], Awaitable[str]]
"""Writes the name into the configuration, restarts the engine, and says so. Raises ModelNotChanged."""


class ModelBody(Body):
    model: Annotated[str, Field(min_length=1, max_length=4096)]


class ModelResponse(Response):
    model: str
    message: str


class ModelApi:
    def __init__(self, engine: EngineWatch, change: ChangeModel | None) -> None:
        """engine: its `/ready` lists the models that can be chosen."""
        self._engine = engine
        self._change = change

    @Route(
        "PUT",
        "/api/model",
        Role.ADMIN,
        "Change the model of the engine",
        audit="changed model",
        body=ModelBody,
        response=ModelResponse,
        errors=(409, 422),
    )
    async def replace(self, request: web.Request) -> web.Response:
        """The engine restarts; channels keep their audio meanwhile, and their text waits."""
        name = (await read_body(request, ModelBody)).model
        if self._change is None:
            raise RequestError(
                "engine_elsewhere",
                "this server did not start the engine; run host-stt model use where the engine runs",
                409,
            )
        names = [str(one.get("name")) for one in self._engine.status.body.get("models", [])]
        if name not in (AUTO, *names):
            known = ", ".join((AUTO, *names))
            raise RequestError(
                "unknown_model", f"{name!r} is not a model of this machine; it has {known}", 422
            )
        try:
            message = await self._change(name)
        except ModelNotChanged as error:
            raise RequestError("model_not_changed", str(error), 409) from error
        return json_response({"model": name, "message": message})
