"""`GET /v1/models` and `/v1/models/{id}` on 8081, in OpenAI's form.

There is one model, and a transcription request may name any model. So every id returns the model in use.
"""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from host_stt.service import EngineService
from host_stt.state import ModelFacts
from host_stt_common.openai_errors import openai_error_body

ID_CHARS_MAX = 200
RETRY_AFTER_S = 2


class ModelsDoor:
    """The endpoint; `add_to` adds its routes to an application."""

    def __init__(self, service: EngineService) -> None:
        self._service = service
        self._created = round(time.time())

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/v1/models", self.models)
        # Ids may contain slashes, such as Systran/faster-whisper-small.
        app.router.add_get("/v1/models/{id:.+}", self.model)

    async def models(self, request: web.Request) -> web.Response:
        model = self._service.state.now.model
        data = [self._body(model.name, model)] if model else []
        return web.json_response({"object": "list", "data": data})

    async def model(self, request: web.Request) -> web.Response:
        """The one model, under the requested name. 503 while none is loaded."""
        now = self._service.state.now
        if now.model is None:
            body = openai_error_body(f"engine_{now.phase.value}", f"not ready: {now.message}", 503)
            return web.json_response(body, status=503, headers={"Retry-After": str(RETRY_AFTER_S)})
        return web.json_response(self._body(request.match_info["id"][:ID_CHARS_MAX], now.model))

    def _body(self, name: str, model: ModelFacts) -> dict[str, Any]:
        return {
            "id": name,
            "object": "model",
            "created": self._created,
            "owned_by": "host-stt",
            "served_by": model.name,
            "is_starter": model.is_starter,
            "reason": model.reason,
            "languages": list(model.languages),
            "can_translate": model.can_translate,
        }
