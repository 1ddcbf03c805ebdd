"""Reads an offer and decides what becomes of each of its media lines (`Use`).

Audio that can be decoded is taken. A line that cannot be used is declined without looking at its codecs. An
offer is refused only when none of its audio lines can be taken. Pure text work; aiortc negotiates.
Invariant: every line of the offer has one use, in the order of the offer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from webrtc_host.errors import RequestError
from webrtc_host.transport.sdp_lines import MediaLine, attribute, read_lines, sections_of
from webrtc_host.transport.sdp_transport import Transport, bundle_groups, transport_of

TAKES = "this server takes Opus, or PCMU and PCMA (G.711)"
_PORT = re.compile(r"[0-9]{1,5}")
_DATA_PROTOCOLS = ("UDP/DTLS/SCTP", "TCP/DTLS/SCTP", "DTLS/SCTP")


class Use(StrEnum):
    """How a media line is answered."""

    AUDIO = "audio"  # taken: it can feed a channel
    DATA = "data"  # taken: data channels
    IDLE = "idle"  # `inactive`: it stays on the common transport without media
    REJECTED = "rejected"  # port 0


@dataclass(frozen=True, slots=True)
class Fault:
    """The reason why an audio line cannot feed a channel, for the error text."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A checked offer. transport: of the lines that are taken; None: a later offer that takes none."""

    lines: tuple[MediaLine, ...]
    uses: tuple[Use, ...]
    faults: tuple[Fault | None, ...]  # of audio lines that are not taken
    transport: Transport | None
    bundle: tuple[
        str, ...
    ] = ()  # mids of the group in its order; empty: the offer has none for this transport
    ufrags: frozenset[str] = frozenset()  # of all lines

    @property
    def audio(self) -> tuple[MediaLine, ...]:
        """The lines that can feed channels, in order."""
        return self.of(Use.AUDIO)

    def of(self, use: Use) -> tuple[MediaLine, ...]:
        return tuple(line for line, its in zip(self.lines, self.uses, strict=True) if its is use)

    def fault_of(self, mid: str) -> Fault | None:
        """The reason why the line with this mid feeds nothing; None when it is taken or not audio."""
        for line, fault in zip(self.lines, self.faults, strict=True):
            if line.mid == mid:
                return fault
        return None


def read_offer(sdp: str, lines_max: int, *, is_first: bool = True, to_listen: bool = False) -> Offer:
    """Read an offer and decide about its lines. A later offer may take no audio line.

    lines_max: the largest number of media lines, without one for data channels. to_listen: the client
    receives audio, so its lines are recvonly or sendrecv.
    Raises RequestError: 400 when the text is not SDP, 422 when no audio line can be taken (the text names
    it).
    """
    sdp = sdp.lstrip("\ufeff \t\r\n")
    if not sdp.startswith("v=0"):
        raise RequestError(
            "bad_sdp", "`sdp` does not begin with v=0; send the text of a local description", 400
        )
    head, *sections = sections_of(sdp)
    lines = read_lines(head, sections)
    _check_count(lines, lines_max)
    transports = _Transports(head, lines)
    faults = [_fault(line, transports, to_listen) for line in lines]
    first = next((n for n, line in enumerate(lines) if line.kind == "audio" and faults[n] is None), None)
    if first is None and is_first:
        raise _refusal(lines, faults)
    return _decided(lines, transports, faults, first)


def _decided(
    lines: Sequence[MediaLine],
    transports: _Transports,
    faults: Sequence[Fault | None],
    first: int | None,
) -> Offer:
    """Decide about each line. first: index of the first audio line that can be taken; None: there is none."""
    shared = (
        next((n for n, line in enumerate(lines) if _is_answerable(line)), None) if first is None else first
    )
    common = None if shared is None else transports.of(lines[shared])
    transport = common if isinstance(common, Transport) else None
    group = [] if shared is None else transports.group_of(lines[shared])
    uses: list[Use] = []
    found: list[Fault | None] = []
    for line, fault in zip(lines, faults, strict=True):
        shares_transport = transport is not None and transports.shares_transport(line, group, transport)
        if line.kind == "audio" and fault is None and not shares_transport:
            fault = Fault(
                "unusable_sdp", f"{line.name} has a transport of its own; put it into the BUNDLE group"
            )
        uses.append(_use(line, fault, shares_transport=shares_transport, has_data=Use.DATA in uses))
        found.append(fault if line.kind == "audio" else None)
    return Offer(
        tuple(lines),
        tuple(uses),
        tuple(found),
        transport,
        tuple(group),
        transports.ufrags(),
    )


def _use(line: MediaLine, fault: Fault | None, *, shares_transport: bool, has_data: bool) -> Use:
    if not shares_transport or line.is_rejected:
        return Use.REJECTED
    if line.kind == "audio" and fault is None:
        return Use.AUDIO
    if sctp_port(line) is not None:
        return Use.REJECTED if has_data else Use.DATA
    return Use.IDLE if _is_answerable(line) else Use.REJECTED


class _Transports:
    """The transports of the lines of one offer; each is read once."""

    def __init__(self, head: Sequence[str], lines: Sequence[MediaLine]) -> None:
        self._head = head
        self._lines = lines
        self._groups = bundle_groups(head)
        self._members = {line.mid: line for line in lines if line.has_mid}
        self._of_groups: dict[tuple[str, ...], Transport | str] = {}

    def group_of(self, line: MediaLine) -> list[str]:
        """The first BUNDLE group that names the line; empty when there is none."""
        return next((group for group in self._groups if line.has_mid and line.mid in group), [])

    def of(self, line: MediaLine) -> Transport | str:
        """The line's transport, or what is missing in it.

        A group has the transport of its first usable line.
        """
        group = tuple(self.group_of(line))
        if not group:
            return transport_of(self._head, [line])
        if group not in self._of_groups:
            self._of_groups[group] = self._of_group(group)
        return self._of_groups[group]

    def shares_transport(self, line: MediaLine, group: Sequence[str], transport: Transport) -> bool:
        """True when the line shares the transport: by BUNDLE, or without it by the same ICE credentials."""
        if group:
            return line.has_mid and line.mid in group
        own = self.of(line)
        return isinstance(own, Transport) and own.is_shared_with(transport)

    def ufrags(self) -> frozenset[str]:
        sections = [self._head, *(line.attributes for line in self._lines)]
        return frozenset(filter(None, (attribute(section, "ice-ufrag") for section in sections)))

    def _of_group(self, group: Sequence[str]) -> Transport | str:
        bundled = [self._members[mid] for mid in group if mid in self._members]
        carriers = [line for line in bundled if line.port != 0 and _is_answerable(line)]
        return transport_of(self._head, [*carriers, *bundled])


def _is_answerable(line: MediaLine) -> bool:
    """True when the line can stay in the answer, taken or idle."""
    if line.kind in ("audio", "video"):
        return not line.is_rejected and line.is_rtp and bool(line.formats)
    return not line.is_rejected and sctp_port(line) is not None


def sctp_port(line: MediaLine) -> int | None:
    """The SCTP port of a data channel line (RFC 8841); None for other lines, and for port 0 (closed)."""
    if line.kind != "application" or line.protocol not in _DATA_PROTOCOLS:
        return None
    if line.protocol == "DTLS/SCTP":  # before RFC 8841 the port was in the media line
        text = next(iter(line.formats), "")
    else:
        text = attribute(line.attributes, "sctp-port") or ""
    return int(text) if _PORT.fullmatch(text) and 0 < int(text) < 65536 else None


def _fault(line: MediaLine, transports: _Transports, to_listen: bool = False) -> Fault | None:
    """Why this audio line cannot be taken, without regard to the other lines; None when it can."""
    if line.is_rejected:
        return Fault("line_rejected", f"{line.name} is rejected by the offer itself (port 0)")
    if to_listen and not line.is_receiving:
        message = f"{line.name} is {line.direction}; it must be recvonly or sendrecv to listen"
        return Fault("not_receiving", message)
    if not to_listen and not line.is_sending:
        message = f"{line.name} is {line.direction}; it must be sendonly or sendrecv to feed a channel"
        return Fault("not_sending", message)
    if not line.is_rtp:
        return Fault(
            "unusable_sdp", f"{line.name} has the protocol {line.protocol[:40]}; send UDP/TLS/RTP/SAVPF"
        )
    if not line.usable:
        offered = ", ".join(line.codecs.values())[:100] or "no known codec"
        return Fault("no_opus", f"{line.name} offers {offered}; {TAKES}")
    if to_listen and not line.has_opus:
        return Fault("no_opus", f"{line.name} offers no Opus; the audio is sent as Opus only")
    source = transports.of(line)
    if isinstance(source, str):
        return Fault("unusable_sdp", f"{line.name} cannot be used: {source}")
    return None


def _refusal(lines: Sequence[MediaLine], faults: Sequence[Fault | None]) -> RequestError:
    """The error when no audio line can be taken: the fault of the first line that was meant to send."""
    audio = [fault for line, fault in zip(lines, faults, strict=True) if line.kind == "audio" and fault]
    if not audio:
        return RequestError("no_audio", "the offer has no audio line; add a microphone track", 422)
    direction = ("not_sending", "not_receiving")
    chosen = next((fault for fault in audio if fault.code not in ("line_rejected", *direction)), None)
    chosen = chosen or next((fault for fault in audio if fault.code in direction), audio[0])
    return RequestError(chosen.code, chosen.message, 422)


def _check_count(lines: Sequence[MediaLine], lines_max: int) -> None:
    count = len(lines) - any(line.kind == "application" for line in lines)
    if count > lines_max:
        raise RequestError(
            "too_many_media_lines",
            f"the offer has {count} media lines, {lines_max} at most; use a second connection",
            422,
        )
