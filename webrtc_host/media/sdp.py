"""SDP as this server reads it: an offer's lines, and what of it reaches aiortc.

Pure text work; the negotiation is aiortc's. Invariant: the number and order of media lines never change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from webrtc_host.errors import RequestError
from webrtc_host.media.sdp_transport import check_transports

DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
CANDIDATES_MAX = 64  # per media line; a browser sends a handful
_MEDIA = re.compile(r"m=(\w+) (\d+) \S+ (\S.*)")
_PAYLOAD_ATTRIBUTE = re.compile(r"a=(?:rtpmap|fmtp|rtcp-fb):(\d+) ")
_RTPMAP = re.compile(r"a=rtpmap:(\d+) ([\w.-]+)/(\d+)")
STATIC = {"0": "pcmu", "8": "pcma"}
"""Payload types that mean a codec without being told (RFC 3551): G.711, which aiortc knows by name alone."""


@dataclass(frozen=True, slots=True)
class MediaLine:
    index: int
    kind: str  # audio, video, application
    mid: str
    direction: str  # as the offerer means it
    usable: frozenset[str]  # payload types of Opus; of G.711 where there is no Opus
    offered: tuple[str, ...] = ()  # names of what is offered

    @property
    def is_sending(self) -> bool:
        return self.direction in ("sendrecv", "sendonly")


def read_offer(sdp: str, lines_max: int, *, is_first: bool = True) -> tuple[MediaLine, ...]:
    """The audio lines of a usable offer, in order. In a later offer of a connection some may have ended.

    Raises RequestError: 400 when it is no SDP, 422 when this server can do nothing with it.
    """
    if not sdp.lstrip().startswith("v=0"):
        raise RequestError(
            "bad_sdp", "`sdp` does not begin with v=0; send the text of a local description", 400
        )
    head, *sections = _sections(sdp)
    lines = [_media_line(index, section) for index, section in enumerate(sections)]
    default = next((d for d in DIRECTIONS if f"a={d}" in head), "sendrecv")
    lines = [line if line.direction else replace(line, direction=default) for line in lines]
    _check_lines(lines, lines_max)
    audio = tuple(line for line in lines if line.kind == "audio")
    _check_audio(audio if is_first else [line for line in audio if line.is_sending])
    check_transports(head, sections)
    return audio


def _check_lines(lines: Sequence[MediaLine], lines_max: int) -> None:
    media = [line for line in lines if line.kind in ("audio", "video")]
    if len(media) > lines_max:
        raise RequestError(
            "too_many_media_lines",
            f"the offer has {len(media)} media lines, {lines_max} at most; use a second connection",
            422,
        )
    for line in lines:
        if line.kind not in ("audio", "video", "application"):
            raise RequestError(
                "bad_media_line", f"media line {line.index} is {line.kind[:20]!r}; send audio", 422
            )
    if len({line.mid for line in lines}) != len(lines):
        raise RequestError("bad_mid", "every media line needs an a=mid of its own", 422)
    if sum(line.kind == "application" for line in lines) > 1:
        raise RequestError("bad_media_line", "one line for data channels at most", 422)


def _check_audio(audio: Sequence[MediaLine]) -> None:
    if not audio:
        raise RequestError("no_audio", "the offer has no audio line; add a microphone track", 422)
    for line in audio:
        if not line.is_sending:
            raise RequestError(
                "not_sending",
                f"audio line {line.mid or line.index} is {line.direction}; it must be sendonly or sendrecv",
                422,
            )
        if not line.usable:
            raise RequestError(
                "no_opus",
                f"audio line {line.mid or line.index} offers {', '.join(line.offered)[:100] or 'no codec'}; "
                "this server takes Opus, or PCMU and PCMA (G.711)",
                422,
            )


def prepare_offer(sdp: str) -> str:
    """What aiortc gets to see: one codec in audio lines, no candidates that take a name look-up.

    A `.local` name (mDNS) nobody answers costs a second; the peer is found without it, as peer-reflexive.
    That those named are all (Firefox says so) is not passed on: with none left aioice would give up before
    the first packet comes.
    """
    sections = [[text for text in part if text != "a=end-of-candidates"] for part in _sections(sdp)]
    kept = list(sections[0])
    for index, section in enumerate(sections[1:]):
        kept += _prepared(_media_line(index, section), section)
    return "\r\n".join(kept) + "\r\n"


def _prepared(line: MediaLine, section: Sequence[str]) -> Iterator[str]:
    candidates = 0
    named = {match[1] for text in section if (match := _RTPMAP.match(text))}
    for text in section:
        if text.startswith("a=candidate:"):
            candidates += 1
            if candidates > CANDIDATES_MAX or _address(text).endswith(".local"):
                continue
        if line.kind == "audio":
            attribute = _PAYLOAD_ATTRIBUTE.match(text)
            if attribute and attribute[1] not in line.usable:
                continue
            if text.startswith("m="):
                head, payloads = text.split(" ")[:3], text.split(" ")[3:]
                text = " ".join([*head, *(p for p in payloads if p in line.usable)])
        yield text
    if line.kind == "audio":
        for payload in sorted(line.usable - named):
            yield f"a=rtpmap:{payload} {STATIC[payload].upper()}/8000"


def _address(candidate: str) -> str:
    fields = candidate.split(" ")
    return fields[4].lower() if len(fields) > 4 else ""


def _sections(sdp: str) -> list[list[str]]:
    """The lines before the first media line, then each media line with its own."""
    sections: list[list[str]] = [[]]
    for line in sdp.splitlines():
        text = line.strip()
        if text.startswith("m="):
            sections.append([])
        if text:
            sections[-1].append(text)
    return sections


def _media_line(index: int, section: Sequence[str]) -> MediaLine:
    """direction is empty when the line leaves it to the session."""
    head = _MEDIA.fullmatch(section[0])
    if head is None:
        raise RequestError("bad_sdp", f"media line {index} cannot be read: {section[0][:60]!r}", 400)
    offered = head[3].split()
    offered = head[3].split()
    names = {p: name for p, name in STATIC.items() if p in offered}
    for text in section:
        if (match := _RTPMAP.match(text)) and match[1] in offered:
            names[match[1]] = f"{match[2].lower()}/{match[3]}"
    opus = {p for p, name in names.items() if name == "opus/48000"}
    g711 = {p for p, name in names.items() if name.partition("/")[0] in STATIC.values()}
    return MediaLine(
        index=index,
        kind=head[1],
        mid=next((text[len("a=mid:") :] for text in section if text.startswith("a=mid:")), ""),
        direction=next((d for d in DIRECTIONS if f"a={d}" in section), ""),
        usable=frozenset(opus or g711),
        offered=tuple(names.values()),
    )
