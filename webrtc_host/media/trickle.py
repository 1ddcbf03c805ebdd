"""Trickled candidates: SDP fragments (RFC 8840) read, and their candidates handed to a peer connection.

Owns the reading and what is left out: TCP and names, which aioice cannot use or would have to look up. A
candidate left out costs nothing: the client is found by the packets it sends.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from dataclasses import dataclass

from aiortc import RTCIceCandidate, RTCPeerConnection
from aiortc.sdp import candidate_from_sdp

from webrtc_host.errors import RequestError

logger = logging.getLogger(__name__)

_LINE = re.compile(r"[a-z]=\S.*")
_UFRAG = re.compile(r"a=ice-ufrag:(\S{4,256})")


@dataclass(frozen=True, slots=True)
class Fragment:
    ufrag: str | None  # the client's; None: not said
    candidates: tuple[str, ...]  # without `a=candidate:`
    is_last: bool


def read_fragment(text: str) -> Fragment:
    """Raises RequestError 400 when it is no SDP fragment."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or not all(_LINE.fullmatch(line) for line in lines):
        raise RequestError("bad_fragment", "the body is no SDP fragment (RFC 8840)", 400)
    head = "a=candidate:"
    return Fragment(
        ufrag=ufrag_of(text),
        candidates=tuple(line.removeprefix(head) for line in lines if line.startswith(head)),
        is_last="a=end-of-candidates" in lines,
    )


def ufrag_of(sdp: str) -> str | None:
    """The first ICE user fragment in an SDP."""
    found = _UFRAG.search(sdp)
    return found[1] if found else None


async def add_candidates(pc: RTCPeerConnection, fragment: Fragment) -> None:
    """Those that can be used; also after the connection stands, or was closed meanwhile."""
    transceivers = pc.getTransceivers()
    if not transceivers:
        return
    for text in fragment.candidates:
        candidate = _usable(text)
        if candidate is not None:
            candidate.sdpMid = transceivers[0].mid  # all lines share one transport
            await _add(pc, candidate)
    if fragment.is_last:
        await _add(pc, None)


def _usable(text: str) -> RTCIceCandidate | None:
    try:
        candidate = candidate_from_sdp(text)
        ipaddress.ip_address(candidate.ip)
    except (AssertionError, ValueError, IndexError):
        return None
    is_usable = candidate.protocol.lower() == "udp" and 0 < candidate.port < 65536
    return candidate if is_usable else None


async def _add(pc: RTCPeerConnection, candidate: RTCIceCandidate | None) -> None:
    try:
        await pc.addIceCandidate(candidate)
    except ValueError as error:  # after the end of candidates, or an address family that is not in use
        logger.debug("x candidate: %s", error)
