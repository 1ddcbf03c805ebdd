"""The two protocols of the servers of language models: OpenAI's chat completions, and Ollama's own.

Pure: requests as JSON values, and lines of a response as pieces of an answer; `client` sends and receives.
Both are read line by line while the model writes. A server that does not stream answers with one JSON object,
which `read_whole` takes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

Message = Mapping[str, str]

LENGTH = "length"
"""Why an answer ended: the model reached a limit of tokens."""


_LIMITS: dict[str, type] = {"enum": list, "minItems": int, "maxItems": int}


class Strictness(Enum):
    """How much of an answer's schema is sent to a server."""

    FULL = "whole"
    LOOSE = "without limits of lists and values"
    NONE = "not at all"


def held_to(schema: Mapping[str, Any], strictness: Strictness) -> Mapping[str, Any] | None:
    """The schema to send; None for no schema."""
    if strictness is Strictness.NONE:
        return None
    return schema if strictness is Strictness.FULL else _loose(schema)


def next_strictness(schema: Mapping[str, Any], refused: Strictness) -> Strictness:
    """What to try after a server refused the schema."""
    if refused is Strictness.FULL and _loose(schema) != schema:
        return Strictness.LOOSE
    return Strictness.NONE


def _loose(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without limits. A property may have the name of a limit; its value is a schema then."""
    return {
        name: _loose(value) if isinstance(value, Mapping) else value
        for name, value in schema.items()
        if not isinstance(value, _LIMITS.get(name, ()))
    }


class BadResponse(ValueError):
    """A line of a response that is not what this form has; the message says what is wrong."""


class ReportedError(ValueError):
    """The server reports an error inside of a response that began well."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an answer. Reasoning that a server sends in a field of its own is not in `text`."""

    text: str = ""
    end: str | None = None
    """Why the answer ended; None while it continues."""
    is_prompt_cut: bool = False
    """True when the server cut the beginning of the prompt."""


class Wire(Protocol):
    path: str
    """Behind the base URL."""

    def headers(self, api_key: str) -> dict[str, str]: ...

    def request(self, messages: Sequence[Message], schema: Mapping[str, Any] | None) -> dict[str, Any]:
        """The body of a request. schema: of the answer; None: the server does not support schemas."""
        ...

    def read_line(self, line: bytes) -> Piece | None:
        """A line of a streamed response; None for a line without content.

        Raises BadResponse and ReportedError.
        """
        ...

    def read_whole(self, body: bytes) -> Piece:
        """A response that was not streamed. Raises BadResponse and ReportedError."""
        ...


class OpenAiWire:
    """`POST {base_url}/chat/completions`: LM Studio, vLLM, llama.cpp, Gemini's compatible endpoint, OpenAI.

    The request has no limit of tokens: a small one would end a model that reasons before it answers.
    """

    path = "/chat/completions"

    def __init__(self, model: str) -> None:
        self._model = model

    def headers(self, api_key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {api_key}"} if api_key else {}

    def request(self, messages: Sequence[Message], schema: Mapping[str, Any] | None) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self._model, "messages": list(messages), "stream": True}
        if schema is not None:
            named = {"name": "summary", "strict": True, "schema": schema}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body

    def read_line(self, line: bytes) -> Piece | None:
        name, _, data = line.partition(b":")
        if name != b"data":
            return None  # a comment, or another field of the event stream
        if data.strip() == b"[DONE]":
            return Piece(end="stop")
        return _openai_piece(_object(data), "delta")

    def read_whole(self, body: bytes) -> Piece:
        piece = _openai_piece(_object(body), "message")
        return Piece(piece.text, piece.end or "stop")


class OllamaWire:
    """`POST {base_url}/api/chat`. Ollama's other endpoint ignores `num_ctx` and cuts the instructions."""

    path = "/api/chat"

    def __init__(self, model: str, context_tokens: int) -> None:
        self._model = model
        self._context_tokens = context_tokens

    def headers(self, api_key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {api_key}"} if api_key else {}

    def request(self, messages: Sequence[Message], schema: Mapping[str, Any] | None) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "messages": list(messages),
            "stream": True,
            "options": {"num_ctx": self._context_tokens},
        }
        if schema is not None:
            body["format"] = schema
        return body

    def read_line(self, line: bytes) -> Piece | None:
        return self.read_whole(line) if line.strip() else None

    def read_whole(self, body: bytes) -> Piece:
        found = _object(body)
        message = found.get("message")
        text = message.get("content") if isinstance(message, dict) else None
        if not found.get("done"):
            return Piece(_text(text))
        read = found.get("prompt_eval_count")
        is_cut = isinstance(read, int) and read >= self._context_tokens
        return Piece(_text(text), str(found.get("done_reason") or "stop"), is_cut)


def _openai_piece(body: dict[str, Any], name: str) -> Piece:
    choices = body.get("choices")
    if not isinstance(choices, list):
        raise BadResponse("the response has no `choices`")
    if not choices:
        return Piece()  # a last line with the usage only
    choice = choices[0]
    if not isinstance(choice, dict):
        raise BadResponse("the response's choice is no object")
    message = choice.get(name)
    end = choice.get("finish_reason")
    # Reasoning is in `reasoning_content` or `reasoning`, and is not read.
    return Piece(
        _text(message.get("content") if isinstance(message, dict) else None), str(end) if end else None
    )


def _object(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadResponse("the response is no JSON") from error
    if not isinstance(body, dict):
        raise BadResponse("the response is no JSON object")
    if (reported := body.get("error")) is not None:
        raise ReportedError(error_text(reported))
    return body


def error_text(error: object) -> str:
    """The sentence of an `error` of either form."""
    if isinstance(error, dict):
        error = error.get("message") or error.get("code") or error.get("type") or "no reason"
    return " ".join(str(error).split())


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
