"""The events of a job as server-sent events: the form of one event, and the response that sends them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from aiohttp import web

from host_stt_common.accepting import when_lost
from host_stt_common.places import NoPlace, Places
from webrtc_host.errors import Overloaded
from webrtc_host.http.auth import key_of
from webrtc_host.jobs.following import END, NOTHING, JobEvent
from webrtc_host.transcript.event_codec import encode_json

COMMENT_S = 15.0
RETRY_AFTER_S = 5.0
RETRY_MS = 2000
COMMENT = b":\n\n"
Events = AsyncGenerator[JobEvent | None, None]
"""None: a comment, as a sign of life."""


def framed(event: JobEvent) -> bytes:
    """One event of the stream. The type is in the data too, for readers that see only the data."""
    data = encode_json({"type": event.name, **event.data})
    name = b"" if event.id is None else b"id: %b\n" % event.id.encode()
    return name + b"event: %b\ndata: %b\n\n" % (event.name.encode(), data)


def _after_of(last_id: str) -> int:
    """The place in the events that the header Last-Event-ID names; NOTHING: the beginning."""
    return int(last_id) if last_id.isascii() and last_id.isdigit() and len(last_id) < 16 else NOTHING


async def follow(
    request: web.Request, readers: Places, what: str, events_after: Callable[[int], Events]
) -> web.StreamResponse:
    """Send the events behind the one that the request names, in a place of `readers`.

    what: the name of the things that are followed, for the error. Raises Overloaded 429 without a free place.
    """
    last_id = request.headers.get("Last-Event-ID", "").strip()
    if last_id == END:
        return web.Response(status=204)  # tells a browser not to connect again
    try:
        with readers.take(key_of(request)):
            return await _stream(request, events_after(_after_of(last_id)))
    except NoPlace as error:
        message = f"{error.held} readers {error.who} follow {what} already"
        raise Overloaded("too_many_readers", message, retry_after_s=RETRY_AFTER_S, status=429) from error


async def _stream(request: web.Request, events: Events) -> web.StreamResponse:
    """Send the events until they end, or until the reader leaves."""
    response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    response.content_type = "text/event-stream"
    response.charset = "utf-8"
    await response.prepare(request)
    is_lost = False

    def lost() -> None:
        nonlocal is_lost
        is_lost = True

    forget = when_lost(request, lost)
    try:
        await response.write(b"retry: %d\n\n" % RETRY_MS)
        async with aclosing(events):
            async for event in events:
                if is_lost:
                    break
                await response.write(COMMENT if event is None else framed(event))
    except ConnectionError:
        pass  # the reader left, the usual end of a stream
    finally:
        forget()
    return response
