"""The multipart form of `POST /push`: read within bounds, taken apart, checked field by field.

The parts are split here: aiohttp's own reader (3.14) raises a warning of its own making on bodies that arrive
in unlucky pieces. Invariant: no more than `audio_bytes_max` and a little is ever read.
"""

from __future__ import annotations

import asyncio
import math
import re
from concurrent.futures import Executor
from dataclasses import dataclass
from email import policy
from email.headerregistry import HeaderRegistry
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from urllib.parse import parse_qsl

from aiohttp import hdrs, web

from host_stt.contract import HISTORY_CHARS_MAX, SAMPLE_RATE, TERM_CHARS_MAX
from webrtc_host.doors.languages import language_of
from webrtc_host.errors import RequestError
from webrtc_host.http.body import read_body
from webrtc_host.http.fields import check_fields

MULTIPART = "multipart/form-data"
FORM_TYPES = (MULTIPART, "application/x-www-form-urlencoded")
FIELDS = ("session_id", "channel_id", "start_ts", "initial_prompt", "lang", "track")
FIELD_BYTES_MAX = 64 * 1024
PARTS_MAX = 32
HEAD_BYTES_MAX = 8 * 1024  # of one part
START_S_MAX = 30 * 24 * 3600
TERM_WORDS_MAX = 4


class _HeaderClasses(HeaderRegistry):
    """Makes each class of headers once. The standard library makes one for each header that it reads: about
    1 kB each, which only Python's cycle collector frees.
    """

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[type, type] = {}

    def __getitem__(self, name: str) -> type:
        kind = self.registry.get(name.lower(), self.default_class)
        if kind not in self._made:
            self._made[kind] = super().__getitem__(name)
        return self._made[kind]


_POLICY = policy.HTTP.clone(header_factory=_HeaderClasses())


@dataclass(frozen=True, slots=True)
class Part:
    """Of a multipart body. filename: as the caller named the file; empty for a field."""

    content: bytes
    filename: str = ""


@dataclass(frozen=True, slots=True)
class PushForm:
    session_id: str
    channel_id: str
    start_sample: int
    audio: Part
    track: int | None  # audio track, from 0; None: the first with speech
    language: str | None
    terms: tuple[str, ...]  # of the prompt, when it reads like a list
    history: str  # the prompt otherwise


async def read_form(request: web.Request, audio_bytes_max: int, executor: Executor | None = None) -> PushForm:
    """Raises RequestError: 400 malformed, 413 too large, 415 no form, 422 a field missing or wrong."""
    if request.content_type != MULTIPART:
        raise RequestError("wrong_type", "send multipart/form-data with the file in `audio`", 415)
    parts = await _read_parts(request, audio_bytes_max + 2 * FIELD_BYTES_MAX, executor)
    check_fields(parts, (*FIELDS, "audio"), "the form")
    audio = parts.pop("audio", None)
    if audio is not None and len(audio.content) > audio_bytes_max:
        raise RequestError("too_large", f"`audio` is over the limit of {audio_bytes_max} bytes", 413)
    return _checked({name: _text(name, part) for name, part in parts.items()}, audio)


async def read_fields(
    request: web.Request, bytes_max: int, executor: Executor | None = None
) -> dict[str, str]:
    """The fields of a small form, as text; of two with the same name the last.

    aiohttp's own `request.post()` unpacks parts with a Content-Encoding, so it is not used.
    Raises RequestError: 400 malformed, 413 too large, 422 a field that is no text.
    """
    if request.content_type == MULTIPART:
        parts = await _read_parts(request, bytes_max, executor)
        return {name: _text(name, part) for name, part in parts.items()}
    body = await read_body(request, bytes_max)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=PARTS_MAX))
    except ValueError as error:
        raise RequestError(
            "bad_form", f"the form has over {PARTS_MAX} fields, or is not UTF-8", 400
        ) from error


async def _read_parts(request: web.Request, bytes_max: int, executor: Executor | None) -> dict[str, Part]:
    boundary = _parameter("content-type", request.headers[hdrs.CONTENT_TYPE], "boundary")
    if not 0 < len(boundary) <= 70:  # RFC 2046
        raise _broken("the content type names no boundary")
    body = await read_body(request, bytes_max)
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(executor, split_parts, body, boundary.encode())


def split_parts(body: bytes, boundary: bytes) -> dict[str, Part]:
    """The parts by name; of two with the same name the last. Raises RequestError 400 when it is no form."""
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary, PARTS_MAX + 2)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise _broken("its end is missing")
    parts: dict[str, Part] = {}
    for piece in pieces[1:-1]:
        head, separator, content = piece.partition(b"\r\n\r\n")
        if not separator or len(head) > HEAD_BYTES_MAX:
            raise _broken("a part has no head")
        fields = BytesHeaderParser(policy=_POLICY).parsebytes(head.lstrip())
        # No place for the one here (RFC 7578); the other would have to be unpacked.
        if "content-transfer-encoding" in fields or "content-encoding" in fields:
            raise _broken("a part is encoded")
        disposition = str(fields.get("content-disposition", ""))
        name, filename = (_parameter("content-disposition", disposition, key) for key in ("name", "filename"))
        parts[name] = Part(content, filename)
    return parts


def _checked(texts: dict[str, str], audio: Part | None) -> PushForm:
    prompt = texts.get("initial_prompt", "").strip()
    if len(prompt) > HISTORY_CHARS_MAX:
        raise RequestError("bad_field", f"`initial_prompt` is over {HISTORY_CHARS_MAX} characters", 422)
    if audio is None:
        raise _missing("audio")
    terms = terms_of(prompt)
    return PushForm(
        session_id=_required(texts, "session_id"),
        channel_id=_required(texts, "channel_id"),
        start_sample=_start_sample(_required(texts, "start_ts")),
        audio=audio,
        track=_track(texts.get("track", "").strip()),
        language=language_of(texts.get("lang")),
        terms=terms,
        history="" if terms else prompt,
    )


def _text(name: str, part: Part) -> str:
    if len(part.content) > FIELD_BYTES_MAX:
        raise RequestError("bad_field", f"`{name}` is too long", 422)
    try:
        return part.content.decode()
    except UnicodeDecodeError as error:
        raise RequestError("bad_field", f"`{name}` is not UTF-8", 422) from error


def _parameter(header: str, value: str, name: str) -> str:
    """A parameter of a header such as `form-data; name="audio"`; empty when it has none."""
    message = EmailMessage(_POLICY)
    try:
        message[header] = value
        found = message[header].params.get(name, "")
    except (ValueError, IndexError, AttributeError):  # the standard library's parser on broken headers
        return ""
    return str(found)


def terms_of(prompt: str) -> tuple[str, ...]:
    """The terms of a prompt that reads like a list (`Alpha-1, gate seven`); nothing for sentences."""
    terms = tuple(term for part in re.split(r"[,;\n、，]", prompt) if (term := part.strip()))
    is_list = all(
        len(term.split()) <= TERM_WORDS_MAX and len(term) <= TERM_CHARS_MAX and term[-1] not in ".?!。"
        for term in terms
    )
    return terms if is_list else ()


def _required(texts: dict[str, str], name: str) -> str:
    value = texts.get(name, "").strip()
    if not value:
        raise _missing(name)
    return value


def _track(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,3}", text):
        message = f"`track` {text[:40]!r} is no number of an audio track; the first is 0"
        raise RequestError("bad_field", message, 422)
    return int(text)


def _start_sample(text: str) -> int:
    try:
        start_s = float(text)
    except ValueError:
        start_s = math.nan
    if not 0 <= start_s <= START_S_MAX:
        raise RequestError(
            "bad_field",
            f"`start_ts` is {text[:20]!r}; send seconds since the session began, 0 to {START_S_MAX}",
            422,
        )
    return round(start_s * SAMPLE_RATE)


def _missing(name: str) -> RequestError:
    return RequestError("missing_field", f"the form has no `{name}`", 422)


def _broken(why: str) -> RequestError:
    return RequestError("bad_form", f"the multipart form is broken: {why}", 400)
