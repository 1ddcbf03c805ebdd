"""Asks a server in OpenAI's shape for the vectors of texts: `POST {base_url}/embeddings`."""

from __future__ import annotations

import json
from collections.abc import Sequence

import aiohttp

from webrtc_host.config import EmbeddingsConfig

RESPONSE_BYTES_MAX = 32 * 1024 * 1024
NUMBERS_MAX = 8192
"""Of one vector."""
TEXT_CHARS_MAX = 4000


class EmbeddingsError(Exception):
    """The text is a sentence for people and for the log.

    said: the server's own words, without the key. They may repeat a line, so they are not for the log.
    """

    def __init__(self, message: str, said: str = "") -> None:
        super().__init__(message)
        self.said = said


class TextRefused(EmbeddingsError):
    """The server refuses one of the texts; other texts may have a vector."""


class Embeddings:
    def __init__(self, config: EmbeddingsConfig) -> None:
        self._config = config
        self._url = config.base_url.rstrip("/") + "/embeddings"

    async def of(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text, in their order; all have the same length.

        Raises EmbeddingsError, and TextRefused when one of the texts is the reason.
        """
        config = self._config
        headers = {"Authorization": f"Bearer {config.api_key}"} if config.api_key else {}
        body = {"model": config.model, "input": [text[:TEXT_CHARS_MAX] for text in texts]}
        timeout = aiohttp.ClientTimeout(total=config.timeout_s)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=headers) as client,
                client.post(self._url, json=body, allow_redirects=False) as response,
            ):
                raw = await _whole(response)
                if response.status != 200:
                    said = raw[:2000].decode(errors="replace")
                    shown = said.replace(config.api_key, "[key]") if config.api_key else said
                    text = " ".join(shown.split())[:200]
                    kind = TextRefused if response.status in (400, 413, 422) else EmbeddingsError
                    raise kind(f"the server for embeddings answered {response.status}", text)
        except TimeoutError as error:
            message = f"the server for embeddings did not answer within {config.timeout_s:g} s"
            raise EmbeddingsError(message) from error
        except (aiohttp.ClientError, OSError) as error:
            message = (
                f"the server for embeddings at {config.base_url} (embeddings.base_url) cannot be reached"
            )
            raise EmbeddingsError(message) from error
        return _vectors(raw, len(texts))


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > RESPONSE_BYTES_MAX:
            raise EmbeddingsError(
                f"the answer of the server for embeddings is over {RESPONSE_BYTES_MAX} bytes"
            )
    return bytes(body)


def _vectors(raw: bytes, count: int) -> list[list[float]]:
    """The vectors of a response, in the order of the request."""
    try:
        entries = sorted(json.loads(raw)["data"], key=lambda one: one["index"])
        vectors = [[float(number) for number in one["embedding"]] for one in entries]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EmbeddingsError("the answer of the server for embeddings cannot be read") from error
    lengths = {len(vector) for vector in vectors}
    if len(vectors) != count or len(lengths) != 1 or not 1 <= max(lengths) <= NUMBERS_MAX:
        raise EmbeddingsError("the server for embeddings did not answer with one vector for each text")
    return vectors
