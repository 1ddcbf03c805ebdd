"""Reads the media lines of an SDP one by one: kind, mid, direction, codecs, and whether a line is rejected.

Pure text work. `sdp.py` decides what becomes of a line; `sdp_transport.py` finds its transport.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from webrtc_host.errors import RequestError

DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
STATIC = {"0": "PCMU/8000", "8": "PCMA/8000"}
"""Payload types with a fixed codec (RFC 3551): G.711. aiortc knows these codecs by name only."""
_MEDIA = re.compile(r"m=([!-~]+) +([0-9]{1,5})(?:/[0-9]+)? +([!-~]+)((?: +[!-~]+)*)")
_RTPMAP = re.compile(r"a=rtpmap: ?([0-9]{1,3}) +([!-~]+)")
_TOKEN = re.compile(r"[!-~]+")
_PAYLOAD_MAX = 127
_RTCP_PAYLOADS = range(64, 96)
"""When RTP and RTCP share a port, these payload types would look like RTCP (RFC 5761)."""
_RTP_PROTOCOL = re.compile(r"(?:(?:UDP|TCP)/TLS/|TCP/DTLS/)?RTP/S?AVPF?")
"""The protocols that a WebRTC endpoint has to accept (RFC 8829, 5.1.2); DTLS follows from a fingerprint."""


@dataclass(frozen=True, slots=True)
class MediaLine:
    """One m= line with its attributes, as offered."""

    index: int
    kind: str  # audio, video, application, or anything else
    port: int
    protocol: str
    formats: tuple[str, ...]
    mid: str  # unique; generated when the offer names none
    direction: str  # from the point of view of the client
    attributes: tuple[str, ...]  # every line below the m= line
    codecs: Mapping[str, str]  # payload type -> "name/rate" or "name/rate/channels" in lower case
    has_mid: bool = True

    @property
    def is_sending(self) -> bool:
        return self.direction in ("sendrecv", "sendonly")

    @property
    def is_receiving(self) -> bool:
        return self.direction in ("sendrecv", "recvonly")

    @property
    def is_rejected(self) -> bool:
        """Port 0 rejects a line, unless it has `a=bundle-only` (RFC 8843)."""
        return self.port == 0 and "a=bundle-only" not in self.attributes

    @property
    def is_rtp(self) -> bool:
        return _RTP_PROTOCOL.fullmatch(self.protocol) is not None

    @property
    def usable(self) -> dict[str, str]:
        """Payload types that can be decoded, in the offer's order -> the codec as aiortc writes it.

        Opus; G.711 only when there is no Opus.
        """
        opus, g711 = {}, {}
        for payload in self.formats:
            codec = self.codecs.get(payload, "")
            if not _may_be_rtp(payload):
                continue
            if codec == "opus/48000" or codec.startswith("opus/48000/"):
                opus[payload] = "opus/48000/2"
            elif (name := codec.removesuffix("/1").upper()) in STATIC.values():
                g711[payload] = name
        return opus or g711

    @property
    def has_opus(self) -> bool:
        return any(codec.startswith("opus/") for codec in self.usable.values())

    @property
    def name(self) -> str:
        """The name of the line in error texts."""
        return f"{self.kind[:20]} line {self.mid[:40] if self.has_mid else self.index}"


def sections_of(sdp: str) -> list[list[str]]:
    """The lines before the first media line, then one list for each media line with its attributes."""
    sections: list[list[str]] = [[]]
    for line in re.split(r"\r\n|\n|\r", sdp):
        text = line.strip(" \t\0")
        if text.startswith("m="):
            sections.append([])
        if text:
            sections[-1].append(text)
    return sections


def read_lines(head: Sequence[str], sections: Sequence[Sequence[str]]) -> list[MediaLine]:
    """head: the lines of the session.

    Raises RequestError: 400 for an m= line that cannot be read, 422 for a mid that is used twice.
    """
    mids = [attribute(section, "mid") or "" for section in sections]
    mids = [mid if _TOKEN.fullmatch(mid) else "" for mid in mids]
    default = _direction(head) or "sendrecv"
    lines = [_read(n, section, default, mids) for n, section in enumerate(sections)]
    named = [line.mid for line in lines if line.has_mid and not line.is_rejected]
    if len(set(named)) != len(named):
        raise RequestError("bad_mid", "two media lines have the same a=mid; every line needs its own", 422)
    return lines


def attribute(section: Sequence[str], name: str) -> str | None:
    """The value of the first `a=name:` line; None without one."""
    head = f"a={name}:"
    return next((text[len(head) :].strip() for text in section if text.startswith(head)), None)


def _read(index: int, section: Sequence[str], default: str, mids: Sequence[str]) -> MediaLine:
    head = _MEDIA.fullmatch(section[0])
    if head is None:
        raise RequestError("bad_sdp", f"media line {index} cannot be read: {section[0][:60]!r}", 400)
    formats = tuple(head[4].split())
    codecs = {pt: STATIC[pt].lower() for pt in formats if pt in STATIC}
    mapped: dict[str, str] = {}
    for text in section:
        if (match := _RTPMAP.match(text)) and match[1] in formats:
            mapped.setdefault(match[1], match[2].lower())
    generated = str(index) if str(index) not in mids else f"line{index}"
    return MediaLine(
        index=index,
        kind=head[1],
        port=int(head[2]),
        protocol=head[3],
        formats=formats,
        mid=mids[index] or generated,
        direction=_direction(section) or default,
        attributes=tuple(section[1:]),
        codecs=codecs | mapped,
        has_mid=bool(mids[index]),
    )


def _direction(section: Sequence[str]) -> str | None:
    found = (text.removeprefix("a=") for text in section if text.startswith("a="))
    return next((name for name in found if name in DIRECTIONS), None)


def _may_be_rtp(payload: str) -> bool:
    if not (payload.isascii() and payload.isdecimal()):
        return False
    return int(payload) <= _PAYLOAD_MAX and int(payload) not in _RTCP_PAYLOADS
