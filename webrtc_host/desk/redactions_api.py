"""`/api/sessions/{session}/redactions`: remove the text and the audio of a range for good.

Only the routes; `services.redactions` removes. The list of redactions has no word of what was removed.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial

from aiohttp import web
from pydantic import Field

from webrtc_host.errors import RequestError
from webrtc_host.http.audit import DETAIL, token_name
from webrtc_host.http.requests import Body, ChannelName, Ms, Query, Whole, check_range, read_body, read_query
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import ANYONE, Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.services.redactions import Redactions, Wish
from webrtc_host.transcript import redaction_rows
from webrtc_host.transcript.storable import storable
from webrtc_host.transcript.store import Store

REDACTIONS = "/api/sessions/{session}/redactions"
REASON_CHARS_MAX = 300
LISTED_MAX = 1000


class RedactionBody(Body):
    channel: ChannelName
    from_ms: Ms = Field(description="since the session's t = 0")
    to_ms: Ms = Field(description="not included")
    text: bool = Field(True, description="remove the text of every line that touches the range")
    audio: bool = Field(True, description="remove the audio of the range")
    reason: str = Field(min_length=1, max_length=REASON_CHARS_MAX, description="why; everyone can read it")


class TrialQuery(Query):
    channel: ChannelName
    from_ms: Whole = Field(description="since the session's t = 0")
    to_ms: Whole = Field(description="not included")


class TrialResponse(Response):
    lines: int = Field(description="lines whose text would be removed")
    audio_ms: int = Field(description="audio that would be removed")


class RedactionResponse(Response):
    session: str
    channel: str
    seq: int = Field(description="of the event range.redacted")
    segments: list[str] = Field(description="the lines whose text was removed")
    audio_ms: int = Field(description="audio that was removed")
    copies: list[str] = Field(
        description="files in the data folder that the server does not change: older copies of the record, "
        "and damaged audio. Delete them by hand if they may hold what was removed"
    )


class RedactionEntry(Response):
    seq: int
    wall: str = Field(description="when it was removed")
    channel: str
    from_ms: int
    to_ms: int
    has_text: bool
    has_audio: bool
    segments: list[str]
    reason: str
    by: str


class RedactionsResponse(Response):
    session: str
    redactions: list[RedactionEntry] = Field(description="oldest first")


class RedactionsApi:
    def __init__(self, redactions: Redactions, store: Store) -> None:
        self._redactions = redactions
        self._store = store

    @Route(
        "POST",
        REDACTIONS,
        Role.OPERATOR,
        "Remove the text and the audio of a range for good",
        audit="redacted",
        body=RedactionBody,
        response=RedactionResponse,
        errors=(404, 409, 413, 422, 503),
    )
    async def redact(self, request: web.Request) -> web.Response:
        """Not possible while the session or the channel is under a hold, or its text is not there yet."""
        body = await read_body(request, RedactionBody)
        wish = Wish(
            request.match_info["session"],
            *(body.channel, body.from_ms, body.to_ms, body.text, body.audio, body.reason),
        )
        _check(wish)
        # To the end, also when the caller leaves: a redaction is not left half done.
        done = await asyncio.shield(self._redactions.begin(wish, token_name(request) or ANYONE.name))
        request[DETAIL] = (
            f"{wish.channel} from_ms={wish.from_ms} to_ms={wish.to_ms} lines={len(done.segments)} "
            f"audio_ms={done.audio_ms}"
        )
        return json_response(
            {
                "session": wish.session,
                "channel": wish.channel,
                "seq": done.seq,
                "segments": list(done.segments),
                "audio_ms": done.audio_ms,
                "copies": list(done.copies),
            }
        )

    @Route(
        "GET",
        REDACTIONS + "/trial",
        Role.OPERATOR,
        "What a redaction would remove",
        query=TrialQuery,
        response=TrialResponse,
        errors=(404, 409, 413, 422),
    )
    async def trial(self, request: web.Request) -> web.Response:
        query = read_query(request, TrialQuery)
        wish = Wish(
            request.match_info["session"],
            *(query.channel, query.from_ms, query.to_ms, True, True, "a trial"),
        )
        _check(wish)
        lines, audio_ms = await self._redactions.trial(wish)
        return json_response({"lines": lines, "audio_ms": audio_ms})

    @Route(
        "GET",
        REDACTIONS,
        Role.VIEWER,
        "The redactions of a session: who removed what, when and why",
        response=RedactionsResponse,
    )
    async def list(self, request: web.Request) -> web.Response:
        session = request.match_info["session"]
        known = partial(redaction_rows.redactions_of, session=storable(session[:100]), limit=LISTED_MAX)
        found = [json.loads(one) for one in await self._store.read(known)]
        entries = [{name: one.get(name, []) for name in RedactionEntry.model_fields} for one in found]
        return json_response({"session": session, "redactions": entries})


def _check(wish: Wish) -> None:
    check_range(wish.from_ms, wish.to_ms)
    if wish.from_ms == wish.to_ms:
        raise RequestError("empty_range", f"the range from {wish.from_ms} to {wish.to_ms} ms is empty", 422)
    if not (wish.has_text or wish.has_audio):
        raise RequestError("nothing_chosen", "choose the text, the audio or both", 422)
