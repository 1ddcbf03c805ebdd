"""Trickle ICE: reads SDP fragments (RFC 8840), and gives their candidates to a peer connection.

`candidates.py` decides which candidates can be used. A line that cannot be read is left out.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

from aiortc import RTCIceCandidate, RTCPeerConnection
from aiortc.sdp import candidate_from_sdp

from webrtc_host.errors import RequestError
from webrtc_host.transport.candidates import usable_candidate

logger = logging.getLogger(__name__)

_LINE = re.compile(r"[a-z]=\S.*")
_UFRAG = re.compile(r"a=ice-ufrag:(\S{4,256})")


@dataclass(frozen=True, slots=True)
class Fragment:
    ufrag: str | None  # the client's; None: not in the fragment
    candidates: tuple[str, ...]  # without `a=candidate:`


def read_fragment(text: str) -> Fragment:
    """Raises RequestError 400 when the text is not an SDP fragment."""
    lines = [line.strip() for line in re.split(r"\r\n|\n|\r", text)]
    lines = [line for line in lines if _LINE.fullmatch(line)]
    if not lines:
        raise RequestError("bad_fragment", "the body is not an SDP fragment (RFC 8840)", 400)
    head = "a=candidate:"
    return Fragment(
        ufrag=next((match[1] for line in lines if (match := _UFRAG.fullmatch(line))), None),
        candidates=tuple(line.removeprefix(head) for line in lines if line.startswith(head)),
    )


async def add_candidates(pc: RTCPeerConnection, fragment: Fragment) -> None:
    """Add the candidates that can be used. It may be called when the connection is up, or closed already.

    `a=end-of-candidates` is not passed on: with no usable candidate aioice would give up before the first
    packet of the client, which reaches the server without any candidate.
    """
    transceivers = pc.getTransceivers()
    if not transceivers:
        return
    for text in fragment.candidates:
        candidate = _usable(text)
        if candidate is not None:
            candidate.sdpMid = transceivers[0].mid  # all lines share one transport
            await _add(pc, candidate)


def _usable(text: str) -> RTCIceCandidate | None:
    checked = usable_candidate(text)
    return None if checked is None else candidate_from_sdp(checked)


async def _add(pc: RTCPeerConnection, candidate: RTCIceCandidate) -> None:
    try:
        await pc.addIceCandidate(candidate)
    except ValueError as error:  # an address family that is not used here
        logger.debug("x candidate: %s", error)
