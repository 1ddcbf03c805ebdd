"""`POST /v1/prompt` on 8081: which of the given terms fit the model's prompt, by its own tokenizer.

8082 shows it to people who keep the glossary. Nothing is decoded.
"""

from __future__ import annotations

from aiohttp import web

from host_stt.contract import TERM_CHARS_MAX, TERMS_MAX, error_body
from host_stt.service import EngineService

RETRY_AFTER_S = 2


class PromptDoor:
    """The endpoint; `add_to` adds its route to an application."""

    def __init__(self, service: EngineService) -> None:
        self._service = service

    def add_to(self, app: web.Application) -> None:
        app.router.add_post("/v1/prompt", self.prompt)

    async def prompt(self, request: web.Request) -> web.Response:
        """Body: {"terms": [...]}, the most important first. 422 for another body, 503 without a model."""
        try:
            body = await request.json()
            terms = body["terms"]
            is_valid = isinstance(terms, list) and len(terms) <= TERMS_MAX
            is_valid = is_valid and all(isinstance(t, str) and len(t) <= TERM_CHARS_MAX for t in terms)
        except (ValueError, KeyError, TypeError, RecursionError):
            is_valid = False
        if not is_valid:
            message = f'the body must be {{"terms": [...]}} with at most {TERMS_MAX} texts'
            return web.json_response(error_body("bad_terms", message), status=422)
        found = self._service.prompt_of(terms)
        if found is None:
            state = self._service.state.now
            failure = error_body(f"engine_{state.phase.value}", f"not ready: {state.message}")
            return web.json_response(failure, status=503, headers={"Retry-After": str(RETRY_AFTER_S)})
        return web.json_response(found)
