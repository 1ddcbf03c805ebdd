"""Translates between the client's offer and aiortc: the offer that aiortc sees, and the answer to the client.

Pure text work. aiortc sees only the lines that are taken, written again from checked values, so that nothing
else in an offer can make aiortc fail. aiortc sees the lines in the order in which they were first taken, not
in the order of the offer, because it cannot give the place of a line to another one. Invariants: the answer
has the lines of the offer, in the same number and order (RFC 3264); its BUNDLE group names accepted lines
only; its only fingerprint is SHA-256.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from webrtc_host.transport.sdp import Offer, Use, sctp_port
from webrtc_host.transport.sdp_lines import MediaLine, attribute, sections_of
from webrtc_host.transport.sdp_transport import Transport

DATA_MID = "__data"
"""mid of the data channel line towards aiortc; the answer has the mid of the client's offer."""
MESSAGE_BYTES = 65_536
"""The largest message when the offer names none (RFC 8841)."""
EXTENSIONS = ("urn:ietf:params:rtp-hdrext:sdes:mid", "urn:ietf:params:rtp-hdrext:ssrc-audio-level")
_EXTMAP = re.compile(r"a=extmap:([0-9]{1,3})(?:/[a-z]+)? +(\S+).*")
_SSRC = re.compile(r"a=ssrc:([0-9]{1,10})(?: .*)?")
_TRANSPORT_ATTRIBUTES = ("c=", "a=rtcp:", "a=candidate:", "a=end-of-candidates", "a=ice-", "a=setup:")
_NOWHERE = "c=IN IP4 0.0.0.0"


def section_of(line: MediaLine) -> tuple[str, ...]:
    """The description of an audio line for aiortc, without its direction and its transport."""
    usable = line.usable
    lines = [
        f"m=audio 9 UDP/TLS/RTP/SAVPF {' '.join(usable)}",
        _NOWHERE,
        f"a=mid:{line.mid}",
        "a=rtcp-mux",
        *(f"a=rtpmap:{payload} {codec}" for payload, codec in usable.items()),
    ]
    for text in line.attributes:
        if (match := _EXTMAP.fullmatch(text)) and match[2] in EXTENSIONS and 0 < int(match[1]) < 256:
            lines.append(f"a=extmap:{int(match[1])} {match[2]}")
    sources = (int(match[1]) for text in line.attributes if (match := _SSRC.fullmatch(text)))
    first = next((number for number in sources if number < 2**32), None)
    return tuple(lines if first is None else [*lines, f"a=ssrc:{first} cname:-"])


def for_aiortc(offer: Offer, known: Mapping[str, Sequence[str]], transport: Transport) -> str:
    """The offer that aiortc negotiates.

    known: mid -> section of every line that was taken in this connection, in the order of taking, with those
    of this offer. A line that is not taken any more becomes inactive.
    """
    taken = {line.mid: line.direction for line in offer.audio}
    sections = [[*section, f"a={taken.get(mid, 'inactive')}"] for mid, section in known.items()]
    mids = list(known)
    for line in offer.of(Use.DATA):
        sections.append(_data_section(line))
        mids.append(DATA_MID)
    # aiortc uses the candidates of the last line only, because all lines share one transport.
    sections[-1] += [f"a=candidate:{text}" for text in transport.candidates]
    head = ["v=0", "o=- 0 0 IN IP4 0.0.0.0", "s=-", "t=0 0", f"a=group:BUNDLE {' '.join(mids)}"]
    head += ["a=ice-lite"] if transport.is_lite else []
    head += [f"a=ice-ufrag:{transport.ufrag}", f"a=ice-pwd:{transport.password}"]
    head += [f"a=fingerprint:{algorithm} {value}" for algorithm, value in transport.fingerprints]
    head.append(f"a=setup:{transport.setup}")
    return _text([head, *sections])


def answer_of(offer: Offer, local: str) -> str:
    """The answer to `offer`, made from aiortc's local description."""
    head, *sections = sections_of(local)
    by_mid = {attribute(section, "mid"): section for section in sections}
    carrier = sections[0]
    answered: list[list[str]] = []
    accepted: list[str] = []
    for line, use in zip(offer.lines, offer.uses, strict=True):
        if use is Use.REJECTED:
            answered.append(_rejected(line))
            continue
        accepted.append(line.mid)
        if use is Use.IDLE:
            answered.append(_idle(line, carrier))
        else:
            section = by_mid[DATA_MID if use is Use.DATA else line.mid]
            answered.append(_taken(line, section))
    group = [mid for mid in offer.bundle if mid in accepted]
    kept = [text for text in head if not text.startswith("a=group:")]
    if group:
        at = next((n for n, text in enumerate(kept) if text.startswith("a=")), len(kept))
        kept.insert(at, f"a=group:BUNDLE {' '.join(group)}")
    return _text([kept, *answered])


def _data_section(line: MediaLine) -> list[str]:
    port, size = sctp_port(line), attribute(line.attributes, "max-message-size") or ""
    size = size if size.isascii() and size.isdigit() and len(size) < 16 else str(MESSAGE_BYTES)
    if line.protocol == "DTLS/SCTP":
        described = [f"m=application 9 DTLS/SCTP {port}", f"a=sctpmap:{port} webrtc-datachannel 65535"]
    else:
        described = ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", f"a=sctp-port:{port}"]
    return [*described, _NOWHERE, f"a=mid:{DATA_MID}", f"a=max-message-size:{size}"]


def _taken(line: MediaLine, section: Sequence[str]) -> list[str]:
    """aiortc's section with the protocol and the mid of the offer."""
    kind, port, _, *formats = section[0].split()
    lines = [" ".join([kind, port, line.protocol, *formats])]
    for text in section[1:]:
        if text.startswith("a=mid:"):
            lines += [f"a=mid:{line.mid}"] if line.has_mid else []
        elif not text.startswith("a=fingerprint:") or text.startswith("a=fingerprint:sha-256 "):
            lines.append(text)
    return lines


def _idle(line: MediaLine, carrier: Sequence[str]) -> list[str]:
    """An inactive line on the transport of `carrier`, with one of the offered formats."""
    port = carrier[0].split()[1]
    payload = line.formats[0]
    lines = [f"m={line.kind} {port} {line.protocol} {payload}"]
    lines += [text for text in carrier[1:] if text.startswith(_TRANSPORT_ATTRIBUTES)]
    lines += [text for text in carrier[1:] if text.startswith("a=fingerprint:sha-256 ")]
    lines += ["a=inactive", f"a=mid:{line.mid}", "a=rtcp-mux"]
    wanted = re.compile(rf"a=(?:rtpmap|fmtp): ?{re.escape(payload)} [ -~]+")
    return [*lines, *dict.fromkeys(text for text in line.attributes if wanted.fullmatch(text))]


def _rejected(line: MediaLine) -> list[str]:
    formats = " ".join(line.formats) or "0"
    lines = [f"m={line.kind} 0 {line.protocol} {formats}", _NOWHERE]
    lines += ["a=inactive"] if line.kind in ("audio", "video") else []
    return [*lines, f"a=mid:{line.mid}"] if line.has_mid else lines


def _text(sections: Sequence[Sequence[str]]) -> str:
    return "\r\n".join(text for section in sections for text in section) + "\r\n"
