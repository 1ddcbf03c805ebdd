"""Whole files from clients of Deepgram v1: `POST /v1/listen` with the audio as its body.

The recording becomes a part of a channel's record, as one from `POST /push`: it ends now, on a channel that
is free for its time. This module chooses the place and writes the response; `doors.push` transcribes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from host_stt.contract import SAMPLE_RATE
from host_stt_common.channel_ids import channel_id_of
from webrtc_host.doors.form import Part, PushForm
from webrtc_host.doors.push import PushDoor
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.events import TimedWord
from webrtc_host.http.audit import note_feed, token_name
from webrtc_host.http.auth import key_of
from webrtc_host.http.body import read_body
from webrtc_host.seams import ms_of
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.session import Session
from webrtc_host.speech.final_text import FinalText
from webrtc_host.wires.deepgram_query import Target, flag, refuse_impossible, target_of
from webrtc_host.wires.deepgram_words import MODEL_UUID, word_of
from webrtc_host.wires.query import Query

RETRY_AFTER_S = 5.0


class FileReader:
    def __init__(self, registry: SessionRegistry, push: PushDoor, model: Callable[[], str]) -> None:
        self._registry = registry
        self._push = push
        self._model = model
        self._busy: set[tuple[str, str]] = set()  # (session, channel) of files being transcribed

    async def read(self, request: web.Request, request_id: str) -> dict[str, Any]:
        """The response to a request. Raises RequestError."""
        query = Query(request.query.items())
        refuse_impossible(query)
        target = target_of(query)
        if request.content_type == "application/json":
            raise RequestError(
                "url_not_allowed", "this server fetches no audio from a URL; send the audio as the body", 400
            )
        with self._push.place(key_of(request)):
            audio = await read_body(request, self._registry.limits.push_bytes)
            recorded = await self._push.decode(Part(audio))
            session = self._registry.get_live(target.session)
            with self._place(session, target.channel, len(recorded.samples)) as (channel, start):
                form = _form(session.id, channel, start, target)
                done = await self._push.read_decoded(form, recorded, token_name(request))
        note_feed(request, "fed", session.id, [channel], "deepgram file")
        facts = {"request_id": request_id, "sha256": hashlib.sha256(audio).hexdigest()}
        duration_s = len(recorded.samples) / SAMPLE_RATE
        return _response(query, facts, done.finals, start, duration_s, self._model()) | {
            "host_stt": {"session": session.id, "channel": channel, "start_ms": ms_of(start)}
        }

    @contextmanager
    def _place(self, session: Session, wanted: str | None, samples: int) -> Iterator[tuple[str, int]]:
        """A channel and the position of the first sample, so that the recording ends now."""
        start = max(0, session.now_sample() - samples)
        channel = wanted or self._free_channel(session, start, start + samples)
        key = (session.id, channel)
        self._busy.add(key)
        try:
            yield channel, start
        finally:
            self._busy.discard(key)

    def _free_channel(self, session: Session, start: int, end: int) -> str:
        for number in range(1, self._registry.limits.channels_per_session + 1):
            name = channel_id_of(number)
            channel = session.channels.get(name)
            if (session.id, name) in self._busy:
                continue
            if channel is None or (channel.connection is None and channel.taken.overlap(start, end) is None):
                return name
        raise Overloaded(
            "no_free_channel", "no channel is free for the time of this file", retry_after_s=RETRY_AFTER_S
        )


def _form(session: str, channel: str, start: int, target: Target) -> PushForm:
    return PushForm(
        session_id=session,
        channel_id=channel,
        start_sample=start,
        audio=Part(b""),
        track=None,
        language=target.language,
        terms=target.terms,
        history="",
    )


def _response(
    query: Query, facts: dict[str, Any], finals: list[FinalText], start: int, duration_s: float, model: str
) -> dict[str, Any]:
    words = [word for final in finals for word in _words(final, start)]
    confidence = sum(word["confidence"] for word in words) / len(words) if words else 0.0
    text = " ".join(final.text for final in finals)
    created = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    channel: dict[str, Any] = {
        "alternatives": [{"transcript": text, "confidence": round(confidence, 3), "words": words}]
    }
    if finals and flag(query, "detect_language"):
        channel["detected_language"] = finals[0].language
    results: dict[str, Any] = {"channels": [channel]}
    if flag(query, "utterances"):
        results["utterances"] = [_utterance(final, start, number) for number, final in enumerate(finals)]
    metadata = {
        "transaction_key": "deprecated",
        **facts,
        "created": created,
        "duration": round(duration_s, 3),
        "channels": 1,
        "models": [MODEL_UUID],
        "model_info": {MODEL_UUID: {"name": model, "version": "host-stt", "arch": "whisper"}},
    }
    return {"metadata": metadata, "results": results}


def _words(final: FinalText, start: int) -> list[dict[str, Any]]:
    return [
        word_of(
            TimedWord(
                word.text.strip(),
                ms_of(max(0, word.start_sample - start)),
                ms_of(max(0, word.end_sample - start)),
                round(word.probability, 3),
            )
        )
        for word in final.words
    ]


def _utterance(final: FinalText, start: int, number: int) -> dict[str, Any]:
    words = _words(final, start)
    confidence = sum(word["confidence"] for word in words) / len(words) if words else 0.0
    return {
        "start": (final.start_sample - start) / SAMPLE_RATE,
        "end": (final.end_sample - start) / SAMPLE_RATE,
        "confidence": round(confidence, 3),
        "channel": 0,
        "transcript": final.text,
        "words": words,
        "id": f"{number}",
    }
