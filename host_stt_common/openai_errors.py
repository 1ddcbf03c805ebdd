"""The body of an error as OpenAI's clients read it: our `code` and `message`, with two more fields. Pure."""

from __future__ import annotations

from typing import Any


def openai_error_body(code: str, message: str, status: int, param: str | None = None) -> dict[str, Any]:
    """param: the field with the error; None: the error is about no field."""
    kind = "server_error" if status >= 500 else _KINDS.get(status, "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
