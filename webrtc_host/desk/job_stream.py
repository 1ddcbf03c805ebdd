"""The events of a job as server-sent events: the form of one event, and the response that sends them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import web

from host_stt_common.accepting import when_lost
from webrtc_host.jobs.following import NOTHING, JobEvent
from webrtc_host.transcript.event_codec import encode_json

COMMENT_S = 15.0
RETRY_MS = 2000
COMMENT = b":\n\n"


def framed(event: JobEvent) -> bytes:
    """One event of the stream. The type is in the data too, for readers that see only the data."""
    data = encode_json({"type": event.name, **event.data})
    name = b"" if event.id is None else b"id: %b\n" % event.id.encode()
    return name + b"event: %b\ndata: %b\n\n" % (event.name.encode(), data)


def after_of(last_id: str) -> int:
    """The place in the events that the header Last-Event-ID names; NOTHING: the beginning."""
    return int(last_id) if last_id.isascii() and last_id.isdigit() and len(last_id) < 16 else NOTHING


async def stream(request: web.Request, events: AsyncGenerator[JobEvent | None, None]) -> web.StreamResponse:
    """Send the events until they end, or until the reader leaves. None: a comment, as a sign of life."""
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
