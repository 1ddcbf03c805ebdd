"""The form of a recording: write the file to the disk, and check the fields.

`host_stt_common.multipart` reads the parts, `fields` checks them. At most `_WRITE_BYTES` of the file are in
memory. Every error names the field that it is about (`FormError.param`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from aiohttp import hdrs, web

from host_stt.contract import Task
from host_stt.files.config import FilesConfig
from host_stt.files.fields import Asked, Fields, FormError, checked, checked_translation
from host_stt_common.multipart import MULTIPART, BrokenForm, FormParser, PartHead, boundary_of, read_parts

_WRITE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Stored:
    """An upload on the disk. name: as the client named the file."""

    path: Path
    name: str


async def receive(
    request: web.Request, folder: Path, config: FilesConfig, task: Task = Task.TRANSCRIBE
) -> tuple[Stored, Asked]:
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
    asked = checked(fields) if task is Task.TRANSCRIBE else checked_translation(fields)
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
