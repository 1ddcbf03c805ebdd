"""The tus protocol 1.0.0 (resumable uploads): its headers, read and checked.

Pure. `jobs.uploads` has the uploads themselves, `desk.uploads_api` the routes. Extensions: creation,
expiration and termination. No maintained server library of this protocol works with aiohttp, and this part
of the protocol is small.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from email.utils import format_datetime

from webrtc_host.errors import RequestError

VERSION = "1.0.0"
EXTENSIONS = "creation,expiration,termination"
CONTENT_TYPE = "application/offset+octet-stream"
METADATA_CHARS_MAX = 8192
DIGITS_MAX = 15

RESUMABLE, VERSIONS, EXTENSION = "Tus-Resumable", "Tus-Version", "Tus-Extension"
SIZE_MAX = "Tus-Max-Size"
LENGTH, OFFSET, METADATA, EXPIRES = "Upload-Length", "Upload-Offset", "Upload-Metadata", "Upload-Expires"
OVERRIDE = "X-HTTP-Method-Override"


def check_version(given: str | None) -> None:
    """Raises RequestError 412 for a request of another version, or of no version."""
    if given != VERSION:
        shown = "none" if given is None else repr(given[:20])
        raise RequestError("tus_version", f"{RESUMABLE} must be {VERSION}; the request has {shown}", 412)


def check_content_type(given: str) -> None:
    """Raises RequestError 415."""
    if given != CONTENT_TYPE:
        raise RequestError("wrong_type", f"the content type of PATCH is {CONTENT_TYPE}", 415)


def number_of(given: str | None, name: str) -> int:
    """The value of Upload-Length or Upload-Offset. Raises RequestError 400."""
    if given is None:
        raise RequestError("bad_header", f"the header {name} is missing", 400)
    if not given.isascii() or not given.isdigit() or len(given) > DIGITS_MAX:
        raise RequestError("bad_header", f"{name} is a whole number of bytes, not {given[:20]!r}", 400)
    return int(given)


def metadata_of(given: str | None) -> dict[str, str]:
    """The pairs of Upload-Metadata: `name base64,name base64`; a name alone has an empty value.

    Raises RequestError 400.
    """
    found: dict[str, str] = {}
    if given is None or not given.strip():
        return found
    if len(given) > METADATA_CHARS_MAX:
        raise RequestError("bad_header", f"{METADATA} has over {METADATA_CHARS_MAX} characters", 400)
    for pair in given.split(","):
        name, _, encoded = pair.strip().partition(" ")
        if not name or name in found:
            raise RequestError("bad_header", f"{METADATA} has an empty name, or a name twice", 400)
        try:
            found[name] = base64.b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, ValueError) as error:
            text = f"{METADATA}: the value of {name[:40]!r} is not UTF-8 text in base64"
            raise RequestError("bad_header", text, 400) from error
    return found


def http_date(wall_s: float) -> str:
    """A moment in the form of Upload-Expires."""
    return format_datetime(datetime.fromtimestamp(wall_s, UTC), usegmt=True)
