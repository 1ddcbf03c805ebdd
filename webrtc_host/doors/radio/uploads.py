"""Call uploads of radio systems: the addresses and replies of rdio-scanner and OpenMHz.

The clients of these servers look for exact words, so every reply is plain text. This module reads the form,
checks the key in it, and chooses the reply; `importing` takes the call. Invariant: a call is accepted (200,
"Call imported successfully.") only when it is safe in the record and the archive, or in the queue.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import web

from host_stt_common.multipart import MULTIPART
from host_stt_common.places import NoPlace, Places
from webrtc_host.doors.form import FIELD_BYTES_MAX, FORM_TYPES, Part, read_fields, read_form_parts, text_of
from webrtc_host.doors.radio.calls import Call, IncompleteCall, words
from webrtc_host.doors.radio.importing import CallImporter, Taken
from webrtc_host.doors.radio.openmhz_form import FILE_ENDS, call_of_openmhz
from webrtc_host.doors.radio.rdio_form import call_of_form, call_of_meta
from webrtc_host.doors.radio.talkgroups import UnknownTalkgroup
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.http.audit import note_feed, token_name
from webrtc_host.http.auth import GATE, key_of
from webrtc_host.http.keys import KeyPlaces
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route

logger = logging.getLogger(__name__)

CALL_BYTES_MAX = 16 * 1024 * 1024
"""Of one form. The key is behind the audio, so this much is read from a caller without one; 16 minutes of
8 kHz 16-bit audio."""
UPLOADS_MAX = 16
"""Calls that are received and decoded at the same time."""
RETRY_AFTER_S = 2.0
PLACES = KeyPlaces(headers=("X-API-Key",), query=("token", "key"))
"""Where a key may be besides the form."""
AUDIO_FIELDS = ("audio", "call")
IMPORTED = "Call imported successfully."
DUPLICATE = "duplicate call rejected"
BUSY = "Server busy, please try again"
_SHOWN_CHARS = 40


@dataclass(frozen=True, slots=True)
class Upload:
    """A form that was read. audio: None where it has none."""

    fields: Mapping[str, str]
    audio: Part | None


class CallUploads:
    """The routes."""

    def __init__(self, importer: CallImporter) -> None:
        self._importer = importer
        self._places = Places(UPLOADS_MAX)
        self.totals = {"taken": 0, "duplicates": 0, "refused": 0, "audio_ms": 0}

    def statistics(self) -> dict[str, float]:
        return {**self.totals, "in_hand": len(self._places)}

    @Route(
        "POST",
        "/api/call-upload",
        Role.OPERATOR,
        "A recorded call, as to rdio-scanner",
        checks_key=True,
        content_type="text/plain",
        errors=(403, 413, 415, 417, 422),
    )
    async def rdio_call(self, request: web.Request) -> web.Response:
        return await self._rdio(request, is_meta=False)

    @Route(
        "POST",
        "/api/trunk-recorder-call-upload",
        Role.OPERATOR,
        "A recorded call with trunk-recorder's JSON, as to rdio-scanner",
        checks_key=True,
        content_type="text/plain",
        errors=(403, 413, 415, 417, 422),
    )
    async def trunk_recorder_call(self, request: web.Request) -> web.Response:
        return await self._rdio(request, is_meta=True)

    @Route(
        "POST",
        "/{short_name}/upload",
        Role.OPERATOR,
        "A recorded call, as to OpenMHz",
        checks_key=True,
        content_type="text/plain",
        errors=(500,),
    )
    async def openmhz_call(self, request: web.Request) -> web.Response:
        return await self._openmhz(request, request.match_info["short_name"])

    @Route(
        "POST",
        "/{short_name}/authorize",
        Role.OPERATOR,
        "Whether a key may send calls, as to OpenMHz",
        checks_key=True,
        content_type="text/plain",
        errors=(500,),
    )
    async def openmhz_key(self, request: web.Request) -> web.Response:
        fields: Mapping[str, str] = {}
        if request.content_type in FORM_TYPES:
            fields = await read_fields(request, FIELD_BYTES_MAX)
        try:
            _check_key(request, fields.get("api_key", ""))
        except RequestError as error:
            return self._busy(429, error) if error.status == 429 else _text(403, "Invalid API Key")
        if not self._importer.talkgroups.has_system(request.match_info["short_name"]):
            return _text(500, "Invalid System Name")
        return _text(200, "")

    async def _rdio(self, request: web.Request, *, is_meta: bool) -> web.Response:
        try:
            with self._place(request):
                return await self._rdio_in_place(request, is_meta=is_meta)
        except IncompleteCall as error:
            return self._refused(417, f"Incomplete call data: {error}")
        except UnknownTalkgroup as error:
            # 200 is a success, so that the sender does not send the call again. The words differ from those
            # for a call that was taken.
            return self._refused(200 if error.is_ignored else 403, f"Call not imported: {error.message}")
        except Overloaded as error:
            return self._busy(503, error)
        except RequestError as error:
            return self._refused(error.status, f"Call not imported: {error.message}")

    async def _rdio_in_place(self, request: web.Request, *, is_meta: bool) -> web.Response:
        """Raises IncompleteCall and RequestError."""
        upload = await self._read(request)
        fields = upload.fields
        try:
            _check_key(request, fields.get("key", ""))
        except RequestError as error:
            if error.status == 429:
                return self._busy(429, error)
            return self._refused(401, _wrong_key(fields))
        # Before every other check: SDRTrunk counts as connected only when the reply begins so.
        if fields.get("test"):
            raise IncompleteCall("no talkgroup")
        if upload.audio is None or not upload.audio.content:
            raise IncompleteCall("no audio")
        call = call_of_meta(fields.get("meta", ""), fields.get("system")) if is_meta else call_of_form(fields)
        taken = await self._take(request, upload.audio, fields, call)
        return _text(200, DUPLICATE if taken.is_duplicate else IMPORTED)

    async def _openmhz(self, request: web.Request, short_name: str) -> web.Response:
        """Every failure is 500, as on OpenMHz; the text says which one."""
        try:
            with self._place(request):
                return await self._openmhz_in_place(request, short_name)
        except UnknownTalkgroup as error:
            return self._refused(200 if error.is_ignored else 500, "Talkgroup does not exist, skipping.")
        except Overloaded as error:
            return self._busy(500, error)
        except IncompleteCall as error:
            return self._refused(500, f"Incomplete call data: {error}")
        except RequestError as error:
            return self._refused(500, f"Call not imported: {error.message}")

    async def _openmhz_in_place(self, request: web.Request, short_name: str) -> web.Response:
        """Raises IncompleteCall and RequestError."""
        upload = await self._read(request)
        try:
            _check_key(request, upload.fields.get("api_key", ""))
        except RequestError as error:
            if error.status == 429:
                return self._busy(500, error)
            return self._refused(500, "API Keys do not match!")
        if not self._importer.talkgroups.has_system(short_name):
            return self._refused(500, f"ShortName does not exist: {_shown(short_name)}")
        if upload.audio is None or not upload.audio.filename.lower().endswith(FILE_ENDS):
            name = upload.audio.filename if upload.audio else ""
            return self._refused(500, f"Error, invalid filename: {_shown(name)}")
        call = call_of_openmhz(upload.fields, short_name)
        await self._take(request, upload.audio, upload.fields, call)
        return _text(200, "")

    @contextmanager
    def _place(self, request: web.Request) -> Iterator[None]:
        """Raises Overloaded when too many calls are being received."""
        try:
            with self._places.take(key_of(request)):
                yield
        except NoPlace as error:
            message = f"{error.held} calls {error.who} are being received already"
            raise Overloaded("too_many_calls", message, retry_after_s=RETRY_AFTER_S) from error

    async def _read(self, request: web.Request) -> Upload:
        """Raises RequestError 400, 413 or 415."""
        if request.content_type != MULTIPART:
            if PLACES.key_in(request.headers, request.query):
                raise RequestError("wrong_type", "send multipart/form-data with the audio in `audio`", 415)
            return Upload({}, None)  # without a form there is no key, and this is what the reply says
        parts = await read_form_parts(request, CALL_BYTES_MAX)
        audio = next((parts.pop(name) for name in AUDIO_FIELDS if name in parts), None)
        return Upload({name: text_of(name, part) for name, part in parts.items()}, audio)

    async def _take(self, request: web.Request, audio: Part, fields: Mapping[str, str], call: Call) -> Taken:
        name = audio.filename or fields.get("audioName", "") or fields.get("audioFilename", "")
        taken = await self._importer.take(call, audio.content, name, token_name(request))
        if taken.is_duplicate:
            self.totals["duplicates"] += 1
            return taken
        self.totals["taken"] += 1
        self.totals["audio_ms"] += round(taken.seconds * 1000)
        detail = f"call of talkgroup {call.talkgroup} start_ms={taken.start_ms} seconds={taken.seconds:.1f}"
        note_feed(request, "fed", taken.session, [taken.channel], detail)
        return taken

    def _refused(self, status: int, text: str) -> web.Response:
        self.totals["refused"] += 1
        logger.info("a call was not taken: %s %s", status, text)
        return _text(status, text)

    def _busy(self, status: int, error: RequestError) -> web.Response:
        response = self._refused(status, f"{BUSY}: {error.message}")
        response.headers["Retry-After"] = str(math.ceil(error.retry_after_s or 1))
        return response


def _check_key(request: web.Request, key: str) -> None:
    """The key may be in the form, in `X-API-Key`, in `?key=`, or where other clients send their token.

    Raises RequestError 401, 403 or 429.
    """
    gate = request.app.get(GATE)
    if gate is not None:
        gate.check_key(request, PLACES.key_in(request.headers, request.query) or key)


def _wrong_key(fields: Mapping[str, str]) -> str:
    talkgroup = _shown(fields.get("talkgroup"))
    of = f" talkgroup {talkgroup}" if talkgroup else ""
    return f"Invalid API key for system {_shown(fields.get('system')) or '?'}{of}."


def _shown(text: str | None) -> str:
    """A text of the sender, short and on one line: replies are also log lines."""
    return (words(text) or "")[:_SHOWN_CHARS]


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=f"{text}\n" if text else "")
