"""A stand-in for a server of embeddings, on loopback: words of one concept have the same direction."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import web

from tests.support.web_server import serving

CONCEPTS = (
    ("truck", "lorry", "트럭"),
    ("fuel", "petrol", "연료"),
    ("rain", "weather", "비"),
    ("gate", "door", "게이트"),
)
LENGTH = 96


@dataclass
class FakeEmbeddings:
    """batches: the texts of each request."""

    statuses: list[tuple[int, str]] = field(default_factory=list)
    refused: str = ""
    """A text with this in it is refused with 400."""
    body: Any = None
    """Sent in place of the vectors."""
    length: int = LENGTH
    batches: list[list[str]] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        texts = (await request.json())["input"]
        self.batches.append(texts)
        if self.statuses:
            status, text = self.statuses.pop(0)
            return web.Response(status=status, text=text)
        if self.refused and any(self.refused in text for text in texts):
            return web.json_response({"error": {"message": "bad input"}}, status=400)
        if self.body is not None:
            return web.json_response(self.body)
        data = [{"index": at, "embedding": self._vector(text)} for at, text in enumerate(texts)]
        return web.json_response({"data": data[::-1]})  # the order of the entries says nothing

    def _vector(self, text: str) -> list[float]:
        random = np.random.default_rng(5)
        directions = random.standard_normal((len(CONCEPTS) + 1, self.length))
        vector = 0.05 * directions[-1]
        for direction, words in zip(directions, CONCEPTS, strict=False):
            if any(word in text for word in words):
                vector = vector + direction
        return [float(number) for number in vector]


@asynccontextmanager
async def embeddings_server(**fields: Any) -> AsyncIterator[FakeEmbeddings]:
    server = FakeEmbeddings(**fields)
    app = web.Application()
    app.router.add_post("/v1/embeddings", server.handle)
    async with serving(app) as url:
        server.url = f"{url}/v1"
        yield server
