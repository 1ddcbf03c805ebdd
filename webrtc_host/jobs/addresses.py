"""Which addresses a file may be fetched from: http and https, on the public internet.

`host_stt_common.public_addresses` has the rule about numeric addresses. Pure.
Invariant: a name is never trusted; only the numeric address that is connected to counts.
"""

from __future__ import annotations

from yarl import URL

from webrtc_host.errors import RequestError

URL_CHARS_MAX = 4096


def checked_url(text: str) -> URL:
    """Raises RequestError 422 for an address that is not http or https, or that has no host."""
    if len(text) > URL_CHARS_MAX:
        raise RequestError("bad_url", f"`url` has more than {URL_CHARS_MAX} characters", 422)
    try:
        url = URL(text.strip())
        port = url.port
    except ValueError as error:
        raise RequestError("bad_url", "`url` is not an address", 422) from error
    if url.scheme not in ("http", "https") or not url.host or not port:
        raise RequestError("bad_url", "`url` must begin with http:// or https:// and name a host", 422)
    return url


def shown(url: str) -> str:
    """The address without what may be secret: user, password, and the query (a signature may be in it)."""
    try:
        return str(URL(url).with_user(None).with_query(None).with_fragment(None))
    except ValueError:
        return "(an address)"
