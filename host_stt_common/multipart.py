"""Read `multipart/form-data` (RFC 7578) piece by piece, with limits; for uploads at both ports.

Pure: bytes in, heads of parts and pieces of their content out, so a large file is never in memory as a whole.
aiohttp's own reader is not used: version 3.14 raises Python warnings about broken heads.
Invariants: the result does not depend on where the body is cut into pieces; the parser holds at most one head
and one delimiter.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import unquote

MULTIPART = "multipart/form-data"
BOUNDARY_CHARS_MAX = 70  # RFC 2046
HEAD_BYTES_MAX = 8 * 1024  # of one part
UNENCODED = ("7bit", "8bit", "binary", "identity")
"""Encodings that leave the content as it is. Some HTTP clients name them."""

_PARAMETER = re.compile(r""";\s*([^\s;="*]+)(\*?)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))""")


class BrokenForm(ValueError):
    """The body is not a valid form. The text says why: the end of a sentence, "the form is broken: ..."."""


@dataclass(frozen=True, slots=True)
class PartHead:
    """The start of a part. Both names are empty where the head does not have them."""

    name: str  # of the field
    filename: str = ""  # as the client named the file


class _State(Enum):
    PREAMBLE = auto()  # before the first delimiter
    DELIMITED = auto()  # behind a delimiter: a part follows, or the end
    HEAD = auto()
    CONTENT = auto()
    EPILOGUE = auto()  # behind the last delimiter; ignored


class FormParser:
    """Call `feed` with each piece of the body, then `finish`."""

    def __init__(self, boundary: str, *, parts_max: int) -> None:
        """boundary: from `boundary_of`."""
        self._delimiter = b"\r\n--" + boundary.encode()
        self._parts_max = parts_max
        self._parts = 0
        self._state = _State.PREAMBLE
        self._held = b"\r\n"  # so that a delimiter at the start of the body has a line break in front
        self._skip = 0  # bytes at the start of `_held` that are not content

    def feed(self, data: bytes) -> list[PartHead | bytes]:
        """The items that `data` completes: a PartHead where a part begins, and content of the current part.

        Raises BrokenForm.
        """
        self._held += data
        found: list[PartHead | bytes] = []
        while self._step(found):
            pass
        return found

    def finish(self) -> None:
        """Raises BrokenForm unless the body has ended with the last delimiter."""
        if self._state is not _State.EPILOGUE:
            raise BrokenForm("it ends too early")

    def _step(self, found: list[PartHead | bytes]) -> bool:
        """Do one step. True if the state has changed, so that another step may find more."""
        match self._state:
            case _State.PREAMBLE | _State.CONTENT:
                return self._read_to_delimiter(found)
            case _State.DELIMITED:
                return self._read_delimited()
            case _State.HEAD:
                return self._read_head(found)
            case _State.EPILOGUE:
                self._held = b""
                return False

    def _read_to_delimiter(self, found: list[PartHead | bytes]) -> bool:
        at = self._held.find(self._delimiter)
        # Without a delimiter, the last bytes may be the first ones of a delimiter.
        end = at if at >= 0 else max(0, len(self._held) - len(self._delimiter) + 1)
        if self._state is _State.CONTENT and end > self._skip:
            found.append(self._held[self._skip : end])
        self._skip = max(0, self._skip - end)
        if at < 0:
            self._held = self._held[end:]
            return False
        self._held = self._held[at + len(self._delimiter) :]
        self._state = _State.DELIMITED
        return True

    def _read_delimited(self) -> bool:
        if len(self._held) < 2:
            return False
        self._state = _State.EPILOGUE if self._held.startswith(b"--") else _State.HEAD
        return True

    def _read_head(self, found: list[PartHead | bytes]) -> bool:
        at = self._held.find(b"\r\n\r\n")
        head = self._held if at < 0 else self._held[:at]
        if len(head) > HEAD_BYTES_MAX or self._delimiter in head:
            raise BrokenForm("a part has no head")
        if at < 0:
            return False
        self._parts += 1
        if self._parts > self._parts_max:
            raise BrokenForm(f"it has more than {self._parts_max} parts")
        found.append(_part_head(head))
        # The line break of an empty part's head is also the line break of the delimiter behind it.
        self._held = self._held[at + 2 :]
        self._skip = 2
        self._state = _State.CONTENT
        return True


async def read_parts(body: AsyncIterable[bytes], parser: FormParser) -> AsyncIterator[PartHead | bytes]:
    """Each PartHead, followed by the pieces of its content. Raises BrokenForm, and what `body` raises."""
    async for data in body:
        for item in parser.feed(data):
            yield item
    parser.finish()


def boundary_of(content_type: str) -> str:
    """The boundary that the header Content-Type names. Raises BrokenForm."""
    boundary = _parameter(content_type, "boundary")
    if not 0 < len(boundary) <= BOUNDARY_CHARS_MAX or not boundary.isascii():
        raise BrokenForm("the header Content-Type names no boundary")
    return boundary


def _part_head(head: bytes) -> PartHead:
    lines = head.decode("utf-8", "replace").split("\r\n")
    fields = {name.strip().lower(): value for name, _, value in (line.partition(":") for line in lines)}
    # A transfer encoding has no place in a form (RFC 7578), and a content encoding would have to be unpacked.
    for name in ("content-transfer-encoding", "content-encoding"):
        if fields.get(name, "identity").strip().lower() not in UNENCODED:
            raise BrokenForm("a part is encoded")
    disposition = fields.get("content-disposition", "")
    return PartHead(_parameter(disposition, "name"), _file_name(_parameter(disposition, "filename")))


def _file_name(given: str) -> str:
    """The name; some clients percent-encode what is not ASCII (RFC 7578, section 2). Other names may have a %
    of their own.
    """
    try:
        decoded = unquote(given, errors="strict")
    except UnicodeDecodeError:
        return given
    return given if decoded.isascii() or not given.isascii() else decoded


def _parameter(value: str, wanted: str) -> str:
    """A parameter of a header such as `form-data; name="audio"`; empty when the header does not have it.

    `filename*=utf-8''...` (RFC 5987) is preferred to `filename=`.
    """
    found = ""
    for match in _PARAMETER.finditer(value):
        name, is_extended, quoted, token = match.groups()
        if name.lower() != wanted:
            continue
        if is_extended:
            return _extended(token or quoted or "")
        found = found or (re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else token)
    return found


def _extended(value: str) -> str:
    charset, _, text = value.partition("'")
    try:
        return unquote(text.partition("'")[2], charset or "utf-8", "replace")
    except LookupError:  # an unknown charset
        return ""
