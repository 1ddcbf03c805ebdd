"""Parse and judge the bytes that a server wrote on a connection: statuses, error bodies, WebSocket frames.

Pure. A fault is a sentence; an empty list means no fault.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass

STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r\n")
PYTHON = re.compile(r"Traceback|object at 0x|<class |site-packages|\.py\b|[a-z]Error\(")
CLOSE_CODES = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1012, 1013))


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes
    is_whole: bool = True


def answers_of(data: bytes, *, with_head: bool = False) -> tuple[list[Answer], bytes]:
    """(the responses in order, the bytes after the last one, such as a WebSocket's frames).

    with_head: an announced body may be missing, because the request was HEAD. Raises ValueError for bytes
    that are not a response.
    """
    found: list[Answer] = []
    while data:
        line = STATUS_LINE.match(data)
        head, separator, rest = data.partition(b"\r\n\r\n")
        if not line or not separator:
            raise ValueError(f"no answer: {data[:200]!r}")
        headers = {}
        for field in head.split(b"\r\n")[1:]:
            name, _, value = field.decode("utf-8", "replace").partition(":")
            headers[name.strip().lower()] = value.strip()
        status = int(line[1])
        if status == 101:
            return [*found, Answer(status, headers, b"")], rest
        if status < 200:
            data = rest
            continue
        body, data, is_whole = _body(status, headers, rest, with_head)
        found.append(Answer(status, headers, body, is_whole))
    return found, b""


def _body(status: int, headers: dict[str, str], rest: bytes, with_head: bool) -> tuple[bytes, bytes, bool]:
    """(the body, the bytes after it, whether the body is complete)."""
    if status in (204, 304) or (with_head and (not rest or STATUS_LINE.match(rest))):
        return b"", rest, True
    if headers.get("transfer-encoding") == "chunked":
        return _chunked(rest)
    if "content-length" in headers:
        size = int(headers["content-length"])
        return rest[:size], rest[size:], len(rest) >= size
    return rest, b"", True


def _chunked(rest: bytes) -> tuple[bytes, bytes, bool]:
    body = b""
    while True:
        line, separator, rest = rest.partition(b"\r\n")
        if not separator:
            return body, b"", False
        size = int(line.split(b";")[0], 16)
        if size == 0:
            return body, rest[2:], True
        body, rest = body + rest[:size], rest[size + 2 :]


def faults_of(answer: Answer) -> list[str]:
    """The faults of one response."""
    faults = []
    if answer.status >= 500 and answer.status != 503:
        faults.append(f"status {answer.status}: {answer.body[:300]!r}")
    if answer.status >= 400 and answer.is_whole and (answer.body or not answer.headers.get("content-length")):
        faults += _error_faults(answer)
    if answer.status in (429, 503) and "retry-after" not in answer.headers:
        faults.append(f"{answer.status} without Retry-After: {answer.body[:200]!r}")
    return faults


def _error_faults(answer: Answer) -> list[str]:
    try:
        error = json.loads(answer.body)["error"]
        said = error["message"]
        if not (isinstance(said, str) and said and isinstance(error["code"], str) and error["code"]):
            return [f"{answer.status} whose error says nothing: {answer.body[:200]!r}"]
    except (ValueError, KeyError, TypeError):
        return [f"{answer.status} without the error's form: {answer.body[:200]!r}"]
    if PYTHON.search(said):
        return [f"{answer.status} with Python in its text: {said[:300]!r}"]
    return []


def socket_faults(data: bytes) -> list[str]:
    """The faults of the frames that the server sent after its 101."""
    faults = []
    while len(data) >= 2:
        first, size = data[0], data[1]
        if first & 0x70 and not first & 0x40:
            faults.append(f"a frame with reserved bits: {data[:20]!r}")
        if size & 0x80:
            return [*faults, f"a masked frame: {data[:20]!r}"]
        at = 2
        if size == 126:
            size, at = struct.unpack(">H", data[2:4])[0] if len(data) >= 4 else 0, 4
        elif size == 127:
            size, at = struct.unpack(">Q", data[2:10])[0] if len(data) >= 10 else 0, 10
        payload, data = data[at : at + size], data[at + size :]
        faults += _frame_faults(first, payload)
    return faults


def _frame_faults(first: int, payload: bytes) -> list[str]:
    opcode = first & 0xF
    if opcode == 0x8 and len(payload) >= 2:
        code = struct.unpack(">H", payload[:2])[0]
        if code not in CLOSE_CODES and not 4400 <= code <= 4503:
            return [f"close code {code}: {payload[2:]!r}"]
    if opcode == 0x1 and not first & 0x40:
        try:
            body = json.loads(payload)
        except ValueError:
            return [f"a text that is no JSON: {payload[:200]!r}"]
        if isinstance(body, dict) and body.get("type") == "error":
            said = body.get("message")
            if not (body.get("code") and isinstance(said, str) and said) or PYTHON.search(said):
                return [f"an error that is none, or has Python in it: {payload[:300]!r}"]
    return []
