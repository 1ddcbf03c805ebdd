"""Versions of a resource in HTTP: the header ETag of a response, and the header If-Match of a change.

A change with If-Match names the version that its sender saw. The route refuses the change when another
version is in use by then, so two people do not overwrite each other unseen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aiohttp import web

from webrtc_host.errors import RequestError

SHOWN_CHARS = 40


def etag(version: int | str) -> dict[str, str]:
    """The header that names the version of the body."""
    return {"ETag": f'"{version}"'}


@dataclass(frozen=True, slots=True)
class IfMatch:
    """The header If-Match of one resource, and the error for a value that is no ETag of the resource."""

    pattern: str  # of a version, without quotes
    advice: str  # what to send instead
    code: str
    status: int

    def version_of(self, request: web.Request) -> str | None:
        """None: the header is missing or `*`, so the change replaces any version. Raises RequestError."""
        given = request.headers.get("If-Match", "").strip()
        if given in ("", "*"):
            return None
        found = re.fullmatch(f'(?:W/)?"({self.pattern})"', given)
        if found is None:
            raise RequestError(self.code, f"If-Match is {given[:SHOWN_CHARS]!r}; {self.advice}", self.status)
        return found[1]

    def number_of(self, request: web.Request) -> int | None:
        """As `version_of`, for versions that are counted."""
        version = self.version_of(request)
        return None if version is None else int(version)


COUNTED = "[0-9]{1,18}"
"""The pattern of versions that are counted."""
