"""What an offer says of its transports, checked before aiortc sees it: BUNDLE, encryption, data channels.

Pure. aiortc finds these mistakes late, in tasks that nobody awaits, or while it closes; a test sends such
offers. Invariant: an offer that passes names only lines it has, and every line can be encrypted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from webrtc_host.errors import RequestError

PORT = re.compile(r"a=sctp-port:(\d{1,5})")
_FINGERPRINT = re.compile(r"a=fingerprint:sha-\d+ [0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*")


def check_transports(head: Sequence[str], sections: Sequence[Sequence[str]]) -> None:
    """head: the lines before the first media line. Raises RequestError 422."""
    _check_bundle(head, [_mid(section) for section in sections])
    has_session_fingerprint = any(_FINGERPRINT.fullmatch(line) for line in head)
    for index, section in enumerate(sections):
        if not has_session_fingerprint and not any(_FINGERPRINT.fullmatch(line) for line in section):
            raise _unusable(f"media line {index} has no a=fingerprint; sound is taken encrypted only")
        if section[0].startswith("m=application"):
            _check_data_channels(section)


def _check_bundle(head: Sequence[str], mids: Sequence[str]) -> None:
    groups = [line.split()[1:] for line in head if line.split()[:1] == ["a=group:BUNDLE"]]
    if len(groups) > 1:
        raise _unusable("the offer has two BUNDLE groups; one transport carries all lines here")
    for mid, times in Counter(groups[0] if groups else ()).items():
        if times > 1 or mid not in mids:
            raise _unusable(f"the BUNDLE group names {mid[:20]!r}, which is not one line of the offer")


def _check_data_channels(section: Sequence[str]) -> None:
    fields = section[0].split()
    ports = [match[1] for line in section if (match := PORT.fullmatch(line))]
    if fields[2:3] == ["DTLS/SCTP"]:  # before RFC 8841 the port stood in the media line
        ports = fields[3:4]
    if len(ports) != 1 or not ports[0].isascii() or not ports[0].isdigit() or not 0 < int(ports[0]) < 65536:
        raise _unusable("the line for data channels names no SCTP port")


def _mid(section: Sequence[str]) -> str:
    return next((line[len("a=mid:") :] for line in section if line.startswith("a=mid:")), "")


def _unusable(message: str) -> RequestError:
    return RequestError("unusable_sdp", message, 422)
