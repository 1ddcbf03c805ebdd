"""`/api/glossary`: read and replace the glossary, and see what a channel's prompt is given.

Owns the routes; the list, its checks and its file are `speech.glossary`'s. Writing a file blocks, so it
happens in a thread.
"""

from __future__ import annotations

import asyncio
import json
import logging

from aiohttp import web

from host_stt_common.channel_ids import BadChannelId, is_channel_id
from webrtc_host.errors import RequestError
from webrtc_host.http.server import json_response
from webrtc_host.speech.glossary import Glossary, GlossaryError

logger = logging.getLogger(__name__)

VERSION = "glossary_version"
"""The running number of changes; `version` in the body is that of the file's form."""


class GlossaryApi:
    def __init__(self, glossary: Glossary) -> None:
        self._glossary = glossary

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/api/glossary", self.show)
        app.router.add_put("/api/glossary", self.replace)
        app.router.add_get("/api/glossary/prompt", self.prompt)

    async def show(self, request: web.Request) -> web.Response:
        return json_response({**self._glossary.as_dict(), VERSION: self._glossary.version})

    async def replace(self, request: web.Request) -> web.Response:
        """Takes what `show` gives. Terms are in force with the next window."""
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
            message = f"the glossary cannot be written to disk ({error.strerror}); the old one stays in force"
            raise RequestError("glossary_not_written", message, 503, retry_after_s=10) from error
        return json_response({"terms": self._glossary.as_dict().get("terms", []), VERSION: version})

    async def prompt(self, request: web.Request) -> web.Response:
        channel = request.query.get("channel", "C01")
        if not is_channel_id(channel):
            raise RequestError("bad_channel", str(BadChannelId(channel)))
        prompt = self._glossary.prompt_for(channel)
        return json_response({"channel": channel, "terms": list(prompt.terms), VERSION: prompt.version})
