"""`GET /events`: a session's events as Server-Sent Events.

Stored events carry `id:` = seq; interims and errors have no id, so that the resume of a browser
(`Last-Event-ID`) always names an event that can be found again. A refusal is an ordinary HTTP error.
"""

from __future__ import annotations

from aiohttp import web

from host_stt_common.accepting import when_lost
from webrtc_host.desk.subscribers import End, Watcher
from webrtc_host.desk.watching import Watching, Wish, pump
from webrtc_host.http.auth import GATE, key_of
from webrtc_host.http.roles import CALLER, Role
from webrtc_host.http.routes import Route
from webrtc_host.transcript.event_log import EncodedEvent

COMMENT_S = 15.0
RETRY_MS = 2000
"""Time after which a browser reconnects."""


class EventStream:
    """The route's handler."""

    def __init__(self, watching: Watching, *, comment_s: float = COMMENT_S) -> None:
        self._watching = watching
        self._comment_s = comment_s

    @Route(
        "GET",
        "/events",
        Role.VIEWER,
        "The events of a session, as server-sent events",
        content_type="text/event-stream",
        allow_head=False,
    )
    async def handle(self, request: web.Request) -> web.StreamResponse:
        wish = Wish.from_query(request.query, request.headers.get("Last-Event-ID"))
        watcher = self._watching.join(wish, key_of(request))
        # While nothing is sent, only this ping notices that the watcher has left.
        forget = when_lost(request, lambda: watcher.close(End.LEFT))
        issued = request.app[GATE].issued
        forget_end = issued.when_ended(request[CALLER], lambda: watcher.close(End.LEFT))
        try:
            return await self._stream(request, watcher)
        finally:
            forget()
            forget_end()
            self._watching.subscribers.leave(watcher)

    async def _stream(self, request: web.Request, watcher: Watcher) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        response.content_type = "text/event-stream"
        response.charset = "utf-8"
        await response.prepare(request)

        async def send(event: EncodedEvent) -> None:
            await response.write(framed(event))

        async def comment() -> None:
            await response.write(b":\n\n")

        try:
            await response.write(b"retry: %d\n\n" % RETRY_MS)
            end = await pump(watcher, send, idle_s=self._comment_s, on_idle=comment)
        except ConnectionError:
            return response  # the watcher left, the usual end of a stream
        if end is End.OVERFLOW and request.transport is not None:
            # SSE has no close code: after a cut connection the browser resumes from its last id.
            request.transport.abort()
        return response


def framed(event: EncodedEvent) -> bytes:
    """One event of the stream; JSON has no line breaks, so one `data:` line is enough."""
    if event.seq is None:
        return b"data: %b\n\n" % event.data
    return b"id: %d\ndata: %b\n\n" % (event.seq, event.data)
