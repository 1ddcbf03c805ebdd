"""`/api/glossary`: read and replace the glossary, and see the terms in a channel's prompt.

Only the routes; `glossary.store` holds the list, its checks and its file. Writing a file blocks, so it runs
in a thread.
"""

from __future__ import annotations

import asyncio
import json
import logging

from aiohttp import web
from pydantic import Field

from webrtc_host.errors import RequestError
from webrtc_host.glossary.mistakes import GlossaryError
from webrtc_host.glossary.schema import Defaults, GlossaryList, Pattern, Term
from webrtc_host.glossary.store import Glossary
from webrtc_host.http.requests import ChannelName, Query, read_query
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response

logger = logging.getLogger(__name__)

VERSION = "glossary_version"
"""The number of changes since the start; `version` in the body is the version of the file format."""


class PromptQuery(Query):
    channel: ChannelName = Field("C01", description="the channel of the windows")


class GlossaryBody(GlossaryList):
    glossary_version: int | None = Field(None, description="ignored; a body may be the response of GET")


class GlossaryResponse(Response):
    version: int = Field(1, description="the version of the file format")
    defaults: Defaults = Defaults()
    terms: list[Term] = []
    patterns: list[Pattern] = []
    glossary_version: int = Field(description="the number of changes since the start")


class PromptResponse(Response):
    channel: str
    terms: list[str]
    glossary_version: int


class GlossaryApi:
    def __init__(self, glossary: Glossary) -> None:
        self._glossary = glossary

    @Route("GET", "/api/glossary", Role.VIEWER, "The glossary in use", response=GlossaryResponse)
    async def show(self, request: web.Request) -> web.Response:
        return json_response({**self._glossary.as_dict(), VERSION: self._glossary.version})

    @Route(
        "PUT",
        "/api/glossary",
        Role.SUPERVISOR,
        "Replace the glossary",
        audit="changed glossary",
        body=GlossaryBody,
        response=GlossaryResponse,
        errors=(422,),
    )
    async def replace(self, request: web.Request) -> web.Response:
        """The body has the form of the response of GET. The next window uses the new terms."""
        try:
            body = json.loads(await request.read())
        except (ValueError, RecursionError) as error:
            raise RequestError("bad_json", "the body is not JSON", 400) from error
        if isinstance(body, dict):
            body.pop(VERSION, None)
        try:
            version = await asyncio.to_thread(self._glossary.replace, body)
        except GlossaryError as error:
            raise RequestError("bad_glossary", str(error), 422) from error
        except OSError as error:
            logger.error("the glossary cannot be written: %s", error)
            message = f"the glossary cannot be written to disk ({error.strerror}); the old one stays in use"
            raise RequestError("glossary_not_written", message, 503, retry_after_s=10) from error
        return json_response({"terms": self._glossary.as_dict().get("terms", []), VERSION: version})

    @Route(
        "GET",
        "/api/glossary/prompt",
        Role.VIEWER,
        "The terms in the prompt of a channel's windows",
        query=PromptQuery,
        response=PromptResponse,
        errors=(422,),
    )
    async def prompt(self, request: web.Request) -> web.Response:
        channel = read_query(request, PromptQuery).channel
        prompt = self._glossary.prompt_for(channel)
        return json_response({"channel": channel, "terms": list(prompt.terms), VERSION: prompt.version})
