"""The form of `POST /push`: read within limits, and checked field by field.

`host_stt_common.multipart` reads the parts. Invariant: the server reads at most `audio_bytes_max` and the
limit of two fields.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from aiohttp import hdrs, web

from host_stt.contract import HISTORY_CHARS_MAX, SAMPLE_RATE, TERM_CHARS_MAX
from host_stt_common.multipart import MULTIPART, BrokenForm, FormParser, PartHead, boundary_of, read_parts
from webrtc_host.doors.languages import language_of
from webrtc_host.errors import RequestError
from webrtc_host.http.body import pieces_of, read_body
from webrtc_host.http.fields import check_fields

FORM_TYPES = (MULTIPART, "application/x-www-form-urlencoded")
FIELDS = ("session_id", "channel_id", "start_ts", "initial_prompt", "lang", "track")
FIELD_BYTES_MAX = 64 * 1024
PARTS_MAX = 32
START_S_MAX = 30 * 24 * 3600
TERM_WORDS_MAX = 4


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the form. filename: as the client named the file; empty for a field."""

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
    terms: tuple[str, ...]  # the prompt, when it is a list of terms
    history: str  # the prompt, when it is not a list


async def read_form(request: web.Request, audio_bytes_max: int) -> PushForm:
    """Raises RequestError: 400 malformed, 413 too large, 415 no form, 422 a field is missing or invalid."""
    if request.content_type != MULTIPART:
        raise RequestError("wrong_type", "send multipart/form-data with the file in `audio`", 415)
    parts = await read_form_parts(request, audio_bytes_max + 2 * FIELD_BYTES_MAX)
    check_fields(parts, (*FIELDS, "audio"), "the form")
    audio = parts.pop("audio", None)
    if audio is not None and len(audio.content) > audio_bytes_max:
        raise RequestError("too_large", f"`audio` is over the limit of {audio_bytes_max} bytes", 413)
    return _checked({name: text_of(name, part) for name, part in parts.items()}, audio)


async def read_fields(request: web.Request, bytes_max: int) -> dict[str, str]:
    """The fields of a small form, as text; of two with the same name the last.

    aiohttp's own `request.post()` decompresses parts with a Content-Encoding, so it is not used.
    Raises RequestError: 400 malformed, 413 too large, 422 a field that is no text.
    """
    if request.content_type == MULTIPART:
        parts = await read_form_parts(request, bytes_max)
        return {name: text_of(name, part) for name, part in parts.items()}
    body = await read_body(request, bytes_max)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=PARTS_MAX))
    except ValueError as error:
        raise RequestError(
            "bad_form", f"the form has over {PARTS_MAX} fields, or is not UTF-8", 400
        ) from error


async def read_form_parts(request: web.Request, bytes_max: int) -> dict[str, Part]:
    """The parts by name; of two with the same name the last. Raises RequestError 400 or 413."""
    heads: list[PartHead] = []
    contents: list[bytearray] = []
    try:
        parser = FormParser(boundary_of(request.headers[hdrs.CONTENT_TYPE]), parts_max=PARTS_MAX)
        async for item in read_parts(pieces_of(request, bytes_max), parser):
            if isinstance(item, PartHead):
                heads.append(item)
                contents.append(bytearray())
            else:
                contents[-1] += item
    except BrokenForm as error:
        raise RequestError("bad_form", f"the multipart form is broken: {error}", 400) from error
    return {
        head.name: Part(bytes(content), head.filename) for head, content in zip(heads, contents, strict=True)
    }


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


def text_of(name: str, part: Part) -> str:
    """The text of a field. Raises RequestError 422."""
    if len(part.content) > FIELD_BYTES_MAX:
        raise RequestError("bad_field", f"`{name}` is too long", 422)
    try:
        return part.content.decode()
    except UnicodeDecodeError as error:
        raise RequestError("bad_field", f"`{name}` is not UTF-8", 422) from error


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
