"""A stand-in for the server of a language model, on loopback: speaks both wires and misbehaves on demand.

`FakeModel` answers each request with the next of `answers`, or with a summary that cites the lines of the
request. The faults are fields that a test sets.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.web_server import serving

LINE = re.compile(r"^(g_[0-9]+) \| ", re.MULTILINE)
NOTE = re.compile(r"\[(g_[0-9]+)")


@dataclass
class FakeModel:
    """requests: (path, body, headers) of each request."""

    answers: list[str] = field(default_factory=list)
    """Raw texts of the next answers; without one, a good summary is made."""
    statuses: list[tuple[int, dict[str, str], str]] = field(default_factory=list)
    """(status, headers, text) of the next responses."""
    cut_after: int | None = None
    """Close the connection after so many characters of each answer."""
    cuts: int = 1_000_000
    """How many answers are cut."""
    is_silent: bool = False
    """Accept requests and never answer."""
    garbage: str = ""
    """Sent in place of each line of the stream."""
    reasoning: str = ""
    """Sent in the field for reasoning before the answer."""
    end: str = "stop"
    """Why answers end."""
    prompt_tokens: int = 100
    knows_schemas: bool = True
    is_streaming: bool = True
    endless: str = ""
    """Repeated for ever in place of an answer."""
    error_inside: str = ""
    """An error that is reported inside of a response with status 200."""
    gate: asyncio.Event | None = None
    """When set, an answer begins only after the event."""
    tokens_max: int | None = None
    """Refuse requests with more characters than this, as a server does whose context is full."""
    make: Callable[[str], str] | None = None
    """(the user's message) -> the answer; in place of the good summary."""
    requests: list[tuple[str, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    url: str = ""

    @property
    def texts(self) -> list[str]:
        """What each request asked to summarise."""
        return [
            next(m["content"] for m in body["messages"] if m["role"] == "user")
            for _, body, _ in self.requests
        ]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append((request.path, body, dict(request.headers)))
        if self.gate is not None:
            await self.gate.wait()
        if self.is_silent:
            await asyncio.Event().wait()
        if self.statuses:
            status, headers, text = self.statuses.pop(0)
            return web.Response(status=status, headers=headers, text=text)
        if not self.knows_schemas and ("response_format" in body or "format" in body):
            return web.json_response({"error": "'response_format.type' must be 'text'"}, status=400)
        said = "".join(one["content"] for one in body["messages"])
        if self.tokens_max is not None and len(said) > self.tokens_max:
            error = {"message": "the request exceeds the available context size", "code": 400}
            return web.json_response({"error": error}, status=400)
        return await self._answer(request, self._text(body))

    def _text(self, body: dict[str, Any]) -> str:
        if self.answers:
            return self.answers.pop(0)
        text = next(one["content"] for one in body["messages"] if one["role"] == "user")
        return self.make(text) if self.make is not None else good_summary(text)

    async def _answer(self, request: web.Request, text: str) -> web.StreamResponse:
        is_ollama = request.path.endswith("/api/chat")
        if not self.is_streaming:
            return web.json_response(_whole(is_ollama, text, self.end))
        kind = "application/x-ndjson" if is_ollama else "text/event-stream"
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)

        async def send(body: Any) -> None:
            line = self.garbage or json.dumps(body)
            await response.write((line if is_ollama else f"data: {line}\n").encode() + b"\n")

        if self.error_inside:
            await send({"error": self.error_inside if is_ollama else {"message": self.error_inside}})
            return response
        while self.endless:
            await send(_piece(is_ollama, self.endless))
        if self.reasoning:
            await send(_piece(is_ollama, self.reasoning, is_reasoning=True))
        for at in range(0, len(text), 40):
            if self.cuts and self.cut_after is not None and at >= self.cut_after:
                self.cuts -= 1
                assert request.transport is not None
                request.transport.abort()
                return response
            await send(_piece(is_ollama, text[at : at + 40]))
        await send(_last(is_ollama, self.end, self.prompt_tokens))
        if not is_ollama:
            await response.write(b"data: [DONE]\n\n")
        return response


def good_summary(text: str) -> str:
    """A summary that cites the first and the last line of the text, or of the notes."""
    ids = LINE.findall(text) or NOTE.findall(text)
    words = re.findall(r"\| ([^|]*)$", text, re.MULTILINE) or re.findall(r": (.*) \[", text)
    if not ids:
        return json.dumps({"title": "Nothing", "summary": [], "decisions": [], "actions": [], "topics": []})
    sentences = [
        {"text": f"It was said: {words[0]}", "cites": [ids[0]]},
        {"text": f"It was said: {words[-1]}", "cites": [ids[-1]]},
    ]
    return json.dumps(
        {
            "title": f"{len(ids)} lines",
            "summary": sentences,
            "decisions": [],
            "actions": [],
            "topics": [{"title": words[0][:40], "cites": [ids[0]]}],
        },
        ensure_ascii=False,
    )


@asynccontextmanager
async def a_language_model(**fields: Any) -> AsyncIterator[FakeModel]:
    model = FakeModel(**fields)
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/chat/completions", model.handle)
    app.router.add_post("/api/chat", model.handle)
    async with serving(app) as url:
        model.url = url
        yield model


def _piece(is_ollama: bool, text: str, *, is_reasoning: bool = False) -> dict[str, Any]:
    if is_ollama:
        return {
            "message": {"role": "assistant", "thinking" if is_reasoning else "content": text},
            "done": False,
        }
    name = "reasoning_content" if is_reasoning else "content"
    return {"choices": [{"index": 0, "delta": {name: text}, "finish_reason": None}]}


def _last(is_ollama: bool, end: str, prompt_tokens: int) -> dict[str, Any]:
    if is_ollama:
        message = {"role": "assistant", "content": ""}
        return {"message": message, "done": True, "done_reason": end, "prompt_eval_count": prompt_tokens}
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": end}]}


def _whole(is_ollama: bool, text: str, end: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    if is_ollama:
        return {"message": message, "done": True, "done_reason": end}
    return {"choices": [{"index": 0, "message": message, "finish_reason": end}]}
