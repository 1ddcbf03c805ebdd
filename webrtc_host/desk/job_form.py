"""The multipart form of a request that sends a recording, read as it arrives.

Invariant: a part is handed on piece by piece, so the size of a file does not matter for the memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import hdrs, web

from host_stt_common.multipart import BrokenForm, FormParser, PartHead, boundary_of, read_parts
from webrtc_host.errors import RequestError
from webrtc_host.http.body import pieces_of

FIELD_BYTES_MAX = 8 * 1024
FORM_BYTES = 256 * 1024
"""What a form may have besides its file."""
PARTS_MAX = 16


@dataclass(slots=True)
class JobForm:
    """A form that was received. file_name: None: it had no file."""

    raw: dict[str, bytearray] = field(default_factory=dict)
    file_name: str | None = None

    def add(self, name: str, data: bytes) -> None:
        held = self.raw.setdefault(name, bytearray())
        held += data
        if len(held) > FIELD_BYTES_MAX:
            raise RequestError("bad_field", f"`{name[:40]}` is too long", 422)

    def name_file(self, name: str) -> None:
        """name: of the file, as the client gave it; may be empty."""
        self.file_name = name

    def fields(self) -> dict[str, str]:
        try:
            return {name: value.decode() for name, value in self.raw.items()}
        except UnicodeDecodeError as error:
            raise RequestError("bad_field", "a field of the form is not UTF-8", 422) from error


def announced_bytes(request: web.Request) -> int | None:
    """The smallest size that the file can have, from the header; None: the header has no size."""
    length = request.content_length
    return None if length is None else max(0, length - FORM_BYTES)


async def parts_of(request: web.Request, bytes_max: int) -> AsyncIterator[tuple[PartHead, bytes]]:
    """(head, a piece of its content) of every part; an empty part gives one empty piece.

    bytes_max: of the file. Raises RequestError: 400 broken form, 413 too large, 422 two parts of one name.
    """
    head = PartHead("")
    seen: set[str] = set()
    try:
        parser = FormParser(boundary_of(request.headers[hdrs.CONTENT_TYPE]), parts_max=PARTS_MAX)
        async for item in read_parts(pieces_of(request, bytes_max + FORM_BYTES), parser):
            if isinstance(item, PartHead):
                head = item
                if head.name in seen:
                    raise RequestError("bad_form", f"the form has two parts named {head.name[:40]!r}", 422)
                seen.add(head.name)
            yield head, b"" if isinstance(item, PartHead) else item
    except BrokenForm as error:
        raise RequestError("bad_form", f"the multipart form is broken: {error}", 400) from error
