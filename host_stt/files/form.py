"""The form of `POST /v1/audio/transcriptions`: write the file to the disk, and check the fields one by one.

`host_stt_common.multipart` reads the parts. At most `_WRITE_BYTES` of the file are in memory. Every error
names the field that it is about (`FormError.param`).
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from aiohttp import hdrs, web

from host_stt.contract import AUTO, HISTORY_CHARS_MAX, TERM_CHARS_MAX, TERMS_MAX, RequestError
from host_stt.files.config import FilesConfig
from host_stt.files.formats import Format
from host_stt.files.job import FileOptions
from host_stt_common.languages import HOW, read_language
from host_stt_common.multipart import MULTIPART, BrokenForm, FormParser, PartHead, boundary_of, read_parts

DIARIZED = "diarized_json"
GRANULARITIES = frozenset({"segment", "word"})
_WRITE_BYTES = 1024 * 1024
_TERM_FIELDS = ("hotwords", "keywords")
Fields = dict[str, list[str]]


class FormError(RequestError):
    """The form is not valid. param: the field with the error, named as in OpenAI's errors."""

    def __init__(self, code: str, message: str, status: int = 400, *, param: str | None = None) -> None:
        super().__init__(code, message, status)
        self.param = param


@dataclass(frozen=True, slots=True)
class Asked:
    """A form that was checked."""

    options: FileOptions
    form: Format
    granularities: frozenset[str]
    is_stream: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """An upload on the disk. name: as the client named the file."""

    path: Path
    name: str


async def receive(request: web.Request, folder: Path, config: FilesConfig) -> tuple[Stored, Asked]:
    """The file, stored in `folder`, and the checked fields. Raises FormError."""
    if request.content_type != MULTIPART:
        raise FormError("wrong_type", "send multipart/form-data with a part named file", 415)
    if (
        request.content_length is not None
        and request.content_length > config.bytes_max + config.field_bytes_max
    ):
        raise _too_large(config)
    try:
        fields, stored = await _receive_parts(request, folder / "recording", config)
    except BrokenForm as error:
        raise FormError("bad_form", f"the multipart form is broken: {error}") from error
    except TimeoutError as error:
        text = f"no data arrived for {config.upload_stall_s:g} s; send the file again"
        raise FormError("upload_stalled", text, 408) from error
    except ConnectionError:
        raise  # the caller closed the connection: no fault of this machine's disk
    except OSError as error:
        raise FormError("no_room", f"the file cannot be stored: {error.strerror or error}", 507) from error
    asked = checked(fields)
    if stored is None:
        raise FormError("missing_file", "the form has no part named file", param="file")
    return stored, asked


async def _receive_parts(
    request: web.Request, path: Path, config: FilesConfig
) -> tuple[Fields, Stored | None]:
    parser = FormParser(boundary_of(request.headers[hdrs.CONTENT_TYPE]), parts_max=config.fields_max)
    values: list[tuple[str, bytearray]] = []
    stored: Stored | None = None
    left, part = config.field_bytes_max, PartHead("")
    with _Upload(path, config) as upload:
        async for item in read_parts(_pieces(request, config.upload_stall_s), parser):
            if isinstance(item, PartHead):
                part = item
                if part.name != "file":
                    values.append((part.name, bytearray()))
                elif stored is not None:
                    raise FormError("bad_form", "one file at a time", param="file")
                else:
                    stored = Stored(path, part.filename)
                    await upload.begin()
            elif part.name == "file":
                await upload.add(item)
            else:
                left -= len(item)
                if left < 0:
                    raise FormError("too_large", "the form's fields are too large", 413, param=part.name)
                values[-1][1].extend(item)
        await upload.finish()
    fields: Fields = {}
    for name, value in values:
        fields.setdefault(name, []).append(value.decode("utf-8", "replace"))
    return fields, stored


async def _pieces(request: web.Request, stall_s: float) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises TimeoutError when no data arrives for `stall_s`."""
    while data := await asyncio.wait_for(request.content.readany(), stall_s):
        yield data


class _Upload:
    """The file of a form, on its way to the disk. Writes in a thread, `_WRITE_BYTES` at a time."""

    def __init__(self, path: Path, config: FilesConfig) -> None:
        self._path, self._config = path, config
        self._file: IO[bytes] | None = None
        self._held = bytearray()
        self._size = 0

    def __enter__(self) -> _Upload:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    async def begin(self) -> None:
        self._file = await asyncio.to_thread(self._path.open, "wb")

    async def add(self, data: bytes) -> None:
        """Raises FormError when the file is too large."""
        self._size += len(data)
        if self._size > self._config.bytes_max:
            raise _too_large(self._config)
        self._held += data
        if len(self._held) >= _WRITE_BYTES:
            await self._write()

    async def finish(self) -> None:
        if self._file is not None:
            await self._write()
            await asyncio.to_thread(self._file.flush)

    async def _write(self) -> None:
        assert self._file is not None
        data = bytes(self._held)
        self._held.clear()
        await asyncio.to_thread(self._file.write, data)


def _too_large(config: FilesConfig) -> FormError:
    text = f"the file is over {config.bytes_max / 1024**2:g} MiB; send it in parts, or as FLAC, Ogg or MP3"
    return FormError("too_large", text, 413, param="file")


# --- fields -------------------------------------------------------------------------------------------


def checked(fields: Fields) -> Asked:
    """Check the fields. Raises FormError that names the first wrong one.

    `model` may be any name: there is one model, and clients send the names of OpenAI's models. Fields that
    this server does not use (`include[]`, `chunking_strategy`, ...) are ignored.
    """
    _refuse_diarized(fields)
    form = _one_of(fields, "response_format", Format, Format.JSON)
    granularities = _granularities(fields)
    if granularities and form is not Format.VERBOSE_JSON:
        raise FormError(
            "bad_field",
            "timestamp_granularities need response_format verbose_json",
            param="timestamp_granularities",
        )
    is_stream = _flag(fields, "stream")
    if is_stream and form not in (Format.JSON, Format.TEXT):
        raise FormError(
            "bad_field", f"stream needs response_format json or text, not {form.value}", param="stream"
        )
    _temperature(fields)
    options = FileOptions(
        language=_language(fields),
        languages=_languages(fields),
        terms=_terms(fields),
        # If it is too long, keep its end, which is closest to the speech.
        prompt=_last(fields, "prompt")[-HISTORY_CHARS_MAX:],
        track=_track(fields),
    )
    return Asked(options, form, granularities, is_stream)


def _last(fields: Fields, name: str) -> str:
    return fields.get(name, [""])[-1]


def _list(fields: Fields, name: str) -> list[str]:
    """All values of a list in order. Its items may be named `name`, `name[]` or `name[0]`.

    PHP and `qs` number the items. Raises FormError for `name[x]`, which would otherwise be ignored silently.
    """
    values: list[str] = []
    for given, found in fields.items():
        if given == name or re.fullmatch(rf"{name}\[\d*\]", given):
            values += found
        elif given.startswith(f"{name}["):
            text = f"the field {given[:60]!r} is not known; name it {name}[]"
            raise FormError("bad_field", text, param=name)
    return values


def _one_of(fields: Fields, name: str, kind: Callable[[str], Format], default: Format) -> Format:
    value = _last(fields, name).strip()
    try:
        return kind(value) if value else default
    except ValueError as error:
        known = ", ".join(Format)
        raise FormError(
            "bad_field", f"{name} is {value[:40]!r}; it must be one of {known}", param=name
        ) from error


def _granularities(fields: Fields) -> frozenset[str]:
    name = "timestamp_granularities"
    values = (part.strip() for value in _list(fields, name) for part in value.split(","))
    given = frozenset(value for value in values if value)
    if not given <= GRANULARITIES:
        wrong = sorted(given - GRANULARITIES)[0]
        raise FormError("bad_field", f"{name} {wrong[:40]!r} is neither word nor segment", param=name)
    return given


def _language(fields: Fields) -> str:
    given = _last(fields, "language")
    code = read_language(given)
    if code is None:
        raise FormError("unknown_language", f"language {given[:40]!r} is not known; {HOW}", param="language")
    return code


def _languages(fields: Fields) -> tuple[str, ...]:
    """The languages of the recording, where the caller names several; each once, in their order."""
    name = "languages"
    codes: list[str] = []
    for given in (part for value in _list(fields, name) for part in value.split(",") if part.strip()):
        code = read_language(given)
        if code is None or code == AUTO:
            raise FormError("unknown_language", f"{name}: {given[:40]!r} is not known; {HOW}", param=name)
        codes.append(code)
    return tuple(dict.fromkeys(codes))


def _refuse_diarized(fields: Fields) -> None:
    """An answer that gave one speaker all the words would be wrong, and would look right."""
    if _last(fields, "response_format").strip() == DIARIZED:
        known = ", ".join(Format)
        text = f"response_format {DIARIZED}: this server does not tell speakers apart; it has {known}"
        raise FormError("not_supported", text, param="response_format")


def _flag(fields: Fields, name: str) -> bool:
    value = _last(fields, name).strip().lower()
    if value in ("", "false", "0", "no"):
        return False
    if value in ("true", "1", "yes"):
        return True
    raise FormError("bad_field", f"{name} {value[:40]!r} is neither true nor false", param=name)


def _track(fields: Fields) -> int | None:
    value = _last(fields, "track").strip()
    if not value:
        return None
    if not re.fullmatch(r"[0-9]{1,3}", value):
        text = f"track {value[:40]!r} is not the number of an audio track; the first is 0"
        raise FormError("bad_field", text, param="track")
    return int(value)


def _temperature(fields: Fields) -> None:
    """Checked, but without effect: windows that a guard rejects are decoded again anyway."""
    value = _last(fields, "temperature").strip()
    try:
        number = float(value) if value else 0.0
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise FormError("bad_field", "temperature must be a number from 0 to 1", param="temperature")


def _terms(fields: Fields) -> tuple[str, ...]:
    given = [value for name in _TERM_FIELDS for value in _list(fields, name)]
    try:
        return terms_of(given)
    except RequestError as error:
        raise FormError(error.code, error.message, error.status, param="hotwords") from error


def terms_of(lists: Sequence[str]) -> tuple[str, ...]:
    """The terms of comma-separated lists, each once. Raises RequestError if there are too many, or one is too
    long.
    """
    terms = tuple(dict.fromkeys(term.strip() for given in lists for term in given.split(",") if term.strip()))
    if len(terms) > TERMS_MAX:
        raise RequestError("too_many_terms", f"{len(terms)} hotwords; {TERMS_MAX} at most")
    if too_long := next((term for term in terms if len(term) > TERM_CHARS_MAX), None):
        text = f"the hotword {too_long[:20]!r}... has {len(too_long)} characters; {TERM_CHARS_MAX} at most"
        raise RequestError("term_too_long", text)
    return terms
