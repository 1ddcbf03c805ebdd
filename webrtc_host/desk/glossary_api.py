"""`/api/glossary`: read and replace the glossary, its versions, and the terms in a channel's prompt.

Only the routes; `glossary.store` holds the list, its checks and its file. Reading and writing files blocks,
so it runs in a thread.
"""

from __future__ import annotations

import asyncio
import json
import logging
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import Field

from host_stt.contract import TERMS_MAX
from host_stt_common.languages import HOW, read_language
from webrtc_host.desk.engine_prompt import EnginePrompts
from webrtc_host.desk.list_mistakes import mistakes_response
from webrtc_host.errors import RequestError
from webrtc_host.glossary.entries import Entry
from webrtc_host.glossary.mistakes import GlossaryError
from webrtc_host.glossary.prompt import ChannelPrompts
from webrtc_host.glossary.schema import Defaults, GlossaryList, Pattern, Term, as_dict, parse
from webrtc_host.glossary.store import Glossary, GlossaryConflict
from webrtc_host.glossary.yaml_file import parse_yaml
from webrtc_host.http.audit import DETAIL, token_name
from webrtc_host.http.requests import ChannelName, Query, Whole, read_query
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.http.versions import COUNTED, IfMatch, etag

logger = logging.getLogger(__name__)

VERSION = "glossary_version"
"""The number of the list; `version` in the body is the version of the file format."""
YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml")
LAB_REPORT = "glossary-lab.json"
"""In the data folder."""
_IF_MATCH = IfMatch(COUNTED, 'give the ETag of GET /api/glossary, such as "3"', "glossary_changed", 412)


class GlossaryQuery(Query):
    version: Whole | None = Field(None, description="a list of the past; default: the one in use")


class PromptQuery(Query):
    channel: ChannelName = Field("C01", description="the channel of the windows")
    language: str = Field("", max_length=40, description="the channel's language; default: automatic")


class GlossaryBody(GlossaryList):
    glossary_version: int | None = Field(None, description="ignored; a body may be the response of GET")


class GlossaryResponse(Response):
    version: int = Field(1, description="the version of the file format")
    defaults: Defaults = Defaults()
    terms: list[Term] = []
    patterns: list[Pattern] = []
    glossary_version: int = Field(description="the number of this list; finals carry it")


class VersionEntry(Response):
    glossary_version: int
    at: str
    by: str = Field(description="the name of the token, or `file` for an editor of the file")
    terms: int = Field(description="after the patterns are expanded")


class VersionsResponse(Response):
    versions: list[VersionEntry] = Field(description="newest first")


class TermEntry(Response):
    canonical: str
    display: dict[str, str] = Field(description="how to show it, by language: en and ko")
    kind: str | None = Field(description="`class` in the file")
    alert: str | None
    channels: list[str] | None = Field(description="null: all")


class TermsResponse(Response):
    terms: list[TermEntry] = Field(description="patterns are expanded")
    glossary_version: int


class LabResponse(Response):
    report: dict[str, Any] | None = Field(description="null: there is no report yet")


class ChosenTerm(Response):
    canonical: str
    text: str = Field(description="the spelling that is sent")
    because: str = Field(description="connection, heard, roster, boost or listed")


class LeftOutTerm(Response):
    canonical: str
    reason: str


class EnginePromptResponse(Response):
    use: str = Field(description="engine.terms_use as it is in force")
    tokens: int = Field(description="room for terms in the prompt")
    terms: list[str] = Field(description="the terms that fit")


class PromptResponse(Response):
    channel: str
    terms: list[str] = Field(description="as they are sent, the most important first")
    chosen: list[ChosenTerm] = []
    left_out: list[LeftOutTerm] = []
    engine: EnginePromptResponse | None = Field(None, description="null: the engine is not ready")
    glossary_version: int


class GlossaryApi:
    def __init__(
        self, glossary: Glossary, lab_file: Path, prompts: ChannelPrompts, engine: EnginePrompts
    ) -> None:
        """lab_file: the report of `host-stt glossary test`."""
        self._glossary = glossary
        self._lab_file = lab_file
        self._prompts = prompts
        self._engine = engine

    @Route(
        "GET",
        "/api/glossary",
        Role.VIEWER,
        "The glossary in use, or one of its earlier versions",
        query=GlossaryQuery,
        response=GlossaryResponse,
        errors=(404,),
    )
    async def show(self, request: web.Request) -> web.Response:
        """The header ETag names the version, for the If-Match of a PUT."""
        version = read_query(request, GlossaryQuery).version
        body, snapshot = self._glossary.state()
        if version is not None and version != snapshot.version:
            body = as_dict(await asyncio.to_thread(self._past, version))
        else:
            version = snapshot.version
        return json_response({**body, VERSION: version}, headers=etag(version))

    def _past(self, version: int) -> GlossaryList:
        text = self._glossary.versions.text(version)
        if text is None:
            message = f"version {version} of the glossary is not kept; GET /api/glossary/versions lists them"
            raise RequestError("unknown_version", message, 404)
        return parse_yaml(text)

    @Route(
        "PUT",
        "/api/glossary",
        Role.SUPERVISOR,
        "Replace the glossary",
        audit="changed glossary",
        body=GlossaryBody,
        response=GlossaryResponse,
        errors=(412, 422),
    )
    async def replace(self, request: web.Request) -> web.Response:
        """The body has the form of the response of GET, or of the file with the type application/yaml.

        With the header If-Match, which has the ETag of a GET, the change is refused with 412 when the
        glossary has changed since. The next window uses the new terms.
        """
        try:
            new, text = await read_glossary(request)
        except GlossaryError as error:
            return refused(error)
        base, who = _IF_MATCH.number_of(request), token_name(request) or "anyone"
        try:
            replace = partial(self._glossary.replace_list, new, base_version=base, by=who, text=text)
            version = await asyncio.to_thread(replace)
        except GlossaryConflict as error:
            raise RequestError("glossary_changed", str(error), 412) from error
        except OSError as error:
            logger.error("the glossary cannot be written: %s", error)
            message = f"the glossary cannot be written to disk ({error.strerror}); the old one stays in use"
            raise RequestError("glossary_not_written", message, 503, retry_after_s=10) from error
        request[DETAIL] = f"version={version}"
        body = {**as_dict(new), VERSION: version}
        return json_response(body, headers=etag(version))

    @Route(
        "GET",
        "/api/glossary/file",
        Role.VIEWER,
        "The glossary in use as a file, with its comments",
        response=GlossaryList,
        content_type="application/yaml",
    )
    async def file(self, request: web.Request) -> web.Response:
        read_query(request, Query)
        version = self._glossary.version
        text = await asyncio.to_thread(self._glossary.text)
        headers = {**etag(version), "Cache-Control": "no-store"}
        return web.Response(text=text, content_type="application/yaml", charset="utf-8", headers=headers)

    @Route(
        "GET",
        "/api/glossary/lab",
        Role.VIEWER,
        "The newest report of `host-stt glossary test`",
        response=LabResponse,
        errors=(404,),
    )
    async def lab(self, request: web.Request) -> web.Response:
        read_query(request, Query)
        return json_response({"report": await asyncio.to_thread(_lab_report, self._lab_file)})

    @Route(
        "GET",
        "/api/glossary/versions",
        Role.VIEWER,
        "The versions of the glossary",
        response=VersionsResponse,
    )
    async def versions(self, request: web.Request) -> web.Response:
        read_query(request, Query)
        known = reversed(self._glossary.versions.all())
        return json_response(
            {
                "versions": [
                    {VERSION: one.version, "at": one.at, "by": one.by, "terms": one.terms} for one in known
                ]
            }
        )

    @Route(
        "GET",
        "/api/glossary/terms",
        Role.VIEWER,
        "All terms, with patterns expanded, as pages need them to mark text",
        response=TermsResponse,
    )
    async def terms(self, request: web.Request) -> web.Response:
        read_query(request, Query)
        snapshot = self._glossary.snapshot
        return json_response(
            {"terms": [shown_term(entry) for entry in snapshot.entries], VERSION: snapshot.version}
        )

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
        """The engine puts the first of these terms that fit `engine.terms_tokens` into its prompt."""
        query = read_query(request, PromptQuery)
        language = read_language(query.language) if query.language else None
        if query.language and language is None:
            raise RequestError("unknown_language", f"{query.language!r} is not a language; {HOW}", 422)
        choice = self._prompts.choice(query.channel, language)
        engine = await self._engine.of(choice.terms[:TERMS_MAX])
        left_out = [{"canonical": name, "reason": str(reason)} for name, reason in choice.left_out]
        if engine is not None:
            room = f"the engine's prompt has room for {engine.tokens} tokens, and terms above it fill them"
            is_in = set(engine.fitting)
            left_out += [
                {"canonical": one.canonical, "reason": room}
                for one in choice.chosen
                if " ".join(one.text.split()) not in is_in
            ]
        body = {
            "channel": query.channel,
            "terms": list(choice.terms),
            "chosen": [
                {"canonical": one.canonical, "text": one.text, "because": one.rank.name.lower()}
                for one in choice.chosen
            ],
            "left_out": left_out,
            "engine": None
            if engine is None
            else {"use": engine.use, "tokens": engine.tokens, "terms": list(engine.fitting)},
            VERSION: choice.version,
        }
        return json_response(body)


def _lab_report(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None  # no error: the page asks each time it opens, and a browser reports a 404 as an error
    except (OSError, ValueError) as error:
        logger.warning("the report of the glossary lab cannot be read: %s: %s", file, error)
        raise RequestError(
            "no_report", f"the report of the glossary lab cannot be read: {file}", 404
        ) from error
    if not isinstance(found, dict):
        raise RequestError("no_report", f"the report of the glossary lab is no JSON object: {file}", 404)
    return found


async def read_glossary(request: web.Request) -> tuple[GlossaryList, str]:
    """The list in the body, JSON or YAML, checked in a thread, and its text if it is YAML.

    Raises GlossaryError for a list with mistakes, RequestError 400 for no JSON and no text.
    """
    data = await request.read()
    try:
        if request.content_type in YAML_TYPES:
            text = data.decode()
            return await asyncio.to_thread(parse_yaml, text), text
        body = json.loads(data)
    except GlossaryError:
        raise
    except (ValueError, RecursionError) as error:
        message = "the body is not UTF-8" if isinstance(error, UnicodeDecodeError) else "the body is not JSON"
        raise RequestError("bad_json", message, 400) from error
    if isinstance(body, dict):
        body.pop(VERSION, None)
    return await asyncio.to_thread(parse, body), ""


def refused(error: GlossaryError) -> web.Response:
    """The response to a list with mistakes, with all of them."""
    return mistakes_response("bad_glossary", str(error), error.mistakes)


def shown_term(entry: Entry) -> dict[str, object]:
    return {
        "canonical": entry.canonical,
        "display": {"en": entry.display_en, "ko": entry.display_ko},
        "kind": entry.kind,
        "alert": entry.alert,
        "channels": None if entry.channels is None else sorted(entry.channels),
    }
