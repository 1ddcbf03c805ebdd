"""Asks the engine which terms fit its prompt: only the engine has the model's tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class EnginePrompt:
    """use: checked, prompt or off (`engine.terms_use`). tokens: room for terms. fitting: terms that fit."""

    use: str
    tokens: int
    fitting: tuple[str, ...]


class EnginePrompts:
    """Sends the request to 8081."""

    def __init__(self, url: str, token: str = "") -> None:
        """url: of 8081, for example http://127.0.0.1:8081."""
        self._url = url.rstrip("/") + "/v1/prompt"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def of(self, terms: Sequence[str]) -> EnginePrompt | None:
        """None: the engine does not respond, or is not ready."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=self._headers) as client,
                client.post(self._url, json={"terms": list(terms)}) as response,
            ):
                if response.status != 200:
                    return None
                body = await response.json()
                return EnginePrompt(str(body["use"]), int(body["tokens"]), tuple(map(str, body["fitting"])))
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError):
            return None
