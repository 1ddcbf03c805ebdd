"""Sends messages to the server of a language model, and returns its answer.

One request at a time per call; each has a time limit, a limit of bytes, and is tried again a limited number
of times. Invariants: the API key is in no message and no log line, and the log has no text of the model's
server; a response never takes more than ANSWER_BYTES_MAX in memory; a redirect is not followed, so the key
goes to no other server.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from webrtc_host.config import LlmConfig
from webrtc_host.summaries.wires import (
    LENGTH,
    BadResponse,
    Message,
    OllamaWire,
    OpenAiWire,
    Piece,
    ReportedError,
    Strictness,
    Wire,
    error_text,
    held_to,
    next_strictness,
)

logger = logging.getLogger(__name__)

ANSWER_BYTES_MAX = 4 * 1024 * 1024
"""Of one response, with reasoning: a few hundred pages. More is a model that repeats itself."""
LINE_BYTES_MAX = 1024 * 1024
ERROR_BYTES_MAX = 16 * 1024
SAID_CHARS_MAX = 300
"""Of the server's own sentence about an error."""
CONNECT_S = 10.0
WAIT_S, WAIT_S_MAX = 1.0, 60.0
"""Before the first retry; doubled for each further one. A server that asks for a longer wait is given up."""


class ModelError(Exception):
    """The model gave no answer. The message is a sentence for people.

    code: unreachable, slow, refused, unknown_model, busy, failed, too_long, over_long or malformed.
    """

    def __init__(
        self, code: str, message: str, *, is_retryable: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.is_retryable = is_retryable
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    is_cut: bool = False
    """True when the model reached a limit of tokens before its answer was complete."""


class LanguageModel(Protocol):
    """What makes summaries from messages; `ModelClient` implements it."""

    @property
    def name(self) -> str: ...

    @property
    def context_tokens(self) -> int: ...

    async def answer(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Answer:
        """Raises ModelError; with the code `too_long` when the messages are over the model's limit."""
        ...


class ModelClient:
    """The client of one server. `kind` of the configuration must not be `none`."""

    def __init__(
        self, config: LlmConfig, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._config = config
        self._sleep = sleep
        self._wire: Wire = (
            OllamaWire(config.model, config.context_tokens)
            if config.kind == "ollama"
            else OpenAiWire(config.model)
        )
        self._url = config.base_url.rstrip("/") + self._wire.path
        self._strictness = Strictness.FULL

    @property
    def name(self) -> str:
        return self._config.model

    @property
    def context_tokens(self) -> int:
        return self._config.context_tokens

    async def answer(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Answer:
        """Raises ModelError, after `llm.retries` retries."""
        failures = 0
        while True:
            try:
                return await self._ask_once(messages, held_to(schema, self._strictness))
            except _NoSchemas:
                self._strictness = next_strictness(schema, self._strictness)
                logger.info(
                    "the language model's server refuses the schema of the answer; it is sent: %s",
                    self._strictness.value,
                )
            except ModelError as error:
                failures += 1
                wait_s = _wait_s(error, failures)
                if wait_s is None or failures > self._config.retries:
                    raise
                # Without the server's own sentence, which may repeat what was said: logs have no such text.
                logger.warning("the language model failed (%s), trying again in %.0f s", error.code, wait_s)
                await self._sleep(wait_s)

    async def _ask_once(self, messages: Sequence[Message], schema: Mapping[str, Any] | None) -> Answer:
        limit_s = self._config.timeout_s
        timeout = aiohttp.ClientTimeout(total=limit_s, sock_connect=min(CONNECT_S, limit_s))
        body = self._wire.request(messages, schema)
        headers = self._wire.headers(self._config.api_key)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=headers) as client,
                client.post(self._url, json=body, allow_redirects=False) as response,
            ):
                if response.status != 200:
                    raise await self._refusal(response, has_schema=schema is not None)
                return await self._read(response)
        except aiohttp.ServerTimeoutError as error:
            raise self._unreachable() from error
        except TimeoutError as error:
            message = f"the language model did not finish within {limit_s:g} s (llm.timeout_s)"
            raise ModelError("slow", message) from error
        except aiohttp.ClientPayloadError as error:
            message = "the connection to the language model was cut off during its answer"
            raise ModelError("failed", message, is_retryable=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable() from error

    def _unreachable(self) -> ModelError:
        message = f"the language model at {self._config.base_url} (llm.base_url) cannot be reached"
        return ModelError("unreachable", message, is_retryable=True)

    async def _read(self, response: aiohttp.ClientResponse) -> Answer:
        pieces: list[Piece] = []
        try:
            if response.content_type == "application/json":
                pieces.append(self._wire.read_whole(await _whole(response, ANSWER_BYTES_MAX)))
            else:
                async for line in _lines(response):
                    piece = self._wire.read_line(line)
                    if piece is not None:
                        pieces.append(piece)
                    if piece is not None and piece.end is not None:
                        break
        except BadResponse as error:
            raise ModelError(
                "malformed", f"the language model's server: {error}", is_retryable=True
            ) from error
        except ReportedError as error:
            raise self._reported(str(error)) from error
        if not pieces or pieces[-1].end is None:
            message = "the language model's answer was cut off before its end"
            raise ModelError("failed", message, is_retryable=True)
        if any(piece.is_prompt_cut for piece in pieces):
            raise ModelError("too_long", "the text is longer than the model's context (llm.context_tokens)")
        return Answer("".join(piece.text for piece in pieces), is_cut=pieces[-1].end == LENGTH)

    async def _refusal(self, response: aiohttp.ClientResponse, *, has_schema: bool) -> Exception:
        """The error of a response with another status than 200."""
        status = response.status
        said = self._shown(await _error_of(response))
        if status in (401, 403):
            return ModelError("refused", f"the language model's server refuses the key (llm.api_key): {said}")
        if status == 404:
            return ModelError("unknown_model", f"llm.base_url or llm.model is wrong: {said}")
        if status == 429:
            wait_s = _retry_after_s(response.headers.get("Retry-After", ""))
            return ModelError(
                "busy", f"the language model is busy: {said}", is_retryable=True, retry_after_s=wait_s
            )
        if status >= 500:
            wait_s = _retry_after_s(response.headers.get("Retry-After", ""))
            message = f"the language model's server failed ({status}): {said}"
            return ModelError("failed", message, is_retryable=True, retry_after_s=wait_s)
        if has_schema and status in (400, 422) and _is_about_schemas(said):
            return _NoSchemas()
        return self._reported(said, status)

    def _reported(self, said: str, status: int | None = None) -> ModelError:
        said = self._shown(said)
        if _is_about_length(said):
            return ModelError("too_long", f"the text is longer than the model's context: {said}")
        code = "" if status is None else f" ({status})"
        return ModelError("failed", f"the language model's server refuses the request{code}: {said}")

    def _shown(self, said: str) -> str:
        """What the server said, shortened, without the key, which some servers repeat."""
        key = self._config.api_key
        return (said.replace(key, "[key]") if key else said)[:SAID_CHARS_MAX]


class _NoSchemas(Exception):
    """The server refuses the schema of the answer."""


def _wait_s(error: ModelError, failures: int) -> float | None:
    """Seconds before the next try; None: no further try."""
    if not error.is_retryable:
        return None
    wait_s = min(WAIT_S * 2.0 ** (failures - 1), WAIT_S_MAX)
    if error.retry_after_s is None:
        return wait_s
    return None if error.retry_after_s > WAIT_S_MAX else max(error.retry_after_s, 0.0)


def _retry_after_s(header: str) -> float | None:
    """Retry-After: seconds, or a date."""
    if header.strip().isascii() and header.strip().isdigit():
        return float(header.strip()[:9])
    try:
        moment = email.utils.parsedate_to_datetime(header)
        return max(0.0, moment.timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The lines of a response, within the limits. Raises ModelError."""
    rest, total = b"", 0
    async for chunk in response.content.iter_any():
        total += len(chunk)
        if total > ANSWER_BYTES_MAX:
            raise _over_long()
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.rstrip(b"\r")
        if len(rest) > LINE_BYTES_MAX:
            raise _over_long()
    if rest:
        yield rest


async def _whole(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > bytes_max:
            raise _over_long()
    return bytes(body)


def _over_long() -> ModelError:
    return ModelError("over_long", f"the language model's answer is over {ANSWER_BYTES_MAX} bytes")


async def _error_of(response: aiohttp.ClientResponse) -> str:
    """What the server says of an error: its JSON's sentence, or the beginning of its text."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ERROR_BYTES_MAX:
            break
    text = bytes(body[:ERROR_BYTES_MAX]).decode(errors="replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, list) and found:  # Gemini puts the object into a list
        found = found[0]
    if isinstance(found, dict):
        return error_text(found.get("error", found.get("message", found)))
    return " ".join(text.split()) or "no reason given"


def _is_about_schemas(said: str) -> bool:
    return any(word in said.casefold() for word in ("schema", "format", "grammar"))


def _is_about_length(said: str) -> bool:
    text = said.casefold()
    return "context" in text and any(word in text for word in ("length", "size", "window", "exceed", "long"))
