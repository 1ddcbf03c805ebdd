"""Malformed offers, as a broken or hostile client may send them. Pure; the same seed gives the same offer.

Addresses in candidates are changed to loopback, so that no test sends packets to other machines.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

NUMBERS = ("0", "-1", "1", "65535", "65536", "4294967296", "18446744073709551616", "1e400", "0x10", "٣")
JUNK = ("", " ", "\0", "�", "a" * 5000, "🙂", "%s%n", "../../etc/passwd", "<b>", "null", "\\", '"', ";", "=")
KINDS = ("audio", "video", "application", "text", "message", "image", "AUDIO", "")
DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
ATTRIBUTES = (
    "a=rtcp-mux",
    "a=bundle-only",
    "a=ice-lite",
    "a=end-of-candidates",
    "a=simulcast:send 1;2",
    "a=rid:1 send",
    "a=fmtp:111 minptime=-5;stereo=99;maxplaybackrate=x",
    "a=rtpmap:111 opus/0/0",
    "a=rtpmap:111 opus/48000/9999",
    "a=rtpmap:0 opus/48000/2",
    "a=extmap:0 urn:ietf:params:rtp-hdrext:sdes:mid",
    "a=extmap:300 urn:x",
    "a=group:BUNDLE",
    "a=group:BUNDLE 0 0 0 9",
    "a=fingerprint:sha-256",
    "a=fingerprint:md5 AA:BB",
    "a=fingerprint:sha-256 " + ":".join(["ZZ"] * 32),
    "a=setup:holdconn",
    "a=setup:actpass",
    "a=setup:active",
    "a=mid:" + "x" * 300,
    "a=ssrc:99999999999 cname:x",
    "a=ssrc-group:FID 1",
    "a=sctp-port:0",
    "a=sctp-port:99999",
    "a=sctpmap:5000 webrtc-datachannel 65535",
    "a=max-message-size:-1",
    "a=ice-pwd:short",
    "a=ice-ufrag:" + "u" * 400,
    "a=rtcp-fb:* nack",
    "a=ptime:0",
    "c=IN IP6 ::",
    "b=AS:-1",
    "m=audio 0 UDP/TLS/RTP/SAVPF 111",
)
_CANDIDATE_ADDRESS = re.compile(r"(a=candidate:\S* \S+ \S+ \S+ )(\S+)")

Mutation = Callable[[list[str], random.Random], list[str]]


def _more(line: str) -> Callable[[str], str]:
    return lambda sdp: sdp + line


REAL_CLIENTS: dict[str, Callable[[str], str]] = {
    "capital fingerprint": lambda sdp: sdp.replace("fingerprint:sha-", "fingerprint:SHA-"),
    "no setup": lambda sdp: sdp.replace("a=setup:actpass\r\n", ""),
    "stopped video": _more("m=video 0 UDP/TLS/RTP/SAVPF 0\r\na=inactive\r\na=mid:v9\r\n"),
    "AV1 video": _more("m=video 9 UDP/TLS/RTP/SAVPF 106\r\na=mid:v8\r\na=rtpmap:106 AV1/90000\r\n"),
    "recvonly audio": _more("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=recvonly\r\na=mid:a9\r\n"),
    "text": _more("m=text 9 RTP/AVP 98\r\na=mid:t9\r\n"),
    "no group": lambda sdp: re.sub(r"a=group:BUNDLE.*\r\n", "", sdp),
    "no mids": lambda sdp: re.sub(r"a=(group:BUNDLE|mid:).*\r\n", "", sdp),
    "capital candidates": lambda sdp: sdp.replace(" udp ", " UDP "),
    "plain profile": lambda sdp: sdp.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
}
"""Differences between real clients that are not errors: an offer with such a change must be accepted."""


def mutate(sdp: str, rng: random.Random) -> str:
    """One to four mutations, and sometimes other line endings or an early end."""
    lines = sdp.splitlines()
    for _ in range(rng.randint(1, 4)):
        if lines:
            lines = rng.choice(MUTATIONS)(lines, rng)
    text = rng.choice(("\r\n",) * 8 + ("\n", "\r", "\r\n\r\n", "\n ")).join(lines)
    text += rng.choice(("\r\n",) * 6 + ("", "\0", "\r\n" * 50))
    if rng.random() < 0.08:
        text = text[: rng.randrange(len(text) + 1)]
    return on_loopback(text)


def on_loopback(text: str) -> str:
    """Replace each candidate address that could belong to another machine by loopback."""

    def harmless(found: re.Match[str]) -> str:
        address = found[2]
        is_somebody = re.fullmatch(r"[0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.%]*", address)
        return f"{found[1]}{'127.0.0.1' if is_somebody else address}"

    return _CANDIDATE_ADDRESS.sub(harmless, text)


def spoil_body(body: dict[str, object], rng: random.Random) -> dict[str, object]:
    """The JSON around an offer; one in five is malformed too."""
    if rng.random() < 0.8:
        return body
    field = rng.choice(("sdp", "type", "session", "channels", "resume", "connection", "language", "x"))
    values: tuple[object, ...] = (
        None,
        0,
        -1,
        1e300,
        True,
        [],
        {},
        [{}],
        [[]],
        "answer",
        "x" * 300,
        [{"mid": "0"}],
    )
    wishes: tuple[object, ...] = (
        [{"channel": "C01"}, {"channel": "C01"}],
        [{"channel": rng.choice(JUNK)[:30]}],
        [{"glossary": ["x"] * 5000}],
        [{"language": "xx"}],
        [{"mid": rng.choice(JUNK)[:30], "label": 5}],
    )
    return {**body, field: rng.choice(wishes if field == "channels" else values)}


def _as_another_client(lines: list[str], rng: random.Random) -> list[str]:
    changed = rng.choice(list(REAL_CLIENTS.values()))("\r\n".join(lines) + "\r\n")
    return changed.split("\r\n")[:-1] or lines


def _drop(lines: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(lines))
    return lines[:at] + lines[at + 1 :]


def _drop_like(lines: list[str], rng: random.Random) -> list[str]:
    """Remove all lines with the same beginning as a random line."""
    head = rng.choice(lines).partition(":")[0]
    return [line for line in lines if not line.startswith(head)]


def _double(lines: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(lines))
    return lines[:at] + [lines[at]] * rng.choice((2, 2, 3, 100)) + lines[at:]


def _swap(lines: list[str], rng: random.Random) -> list[str]:
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines = list(lines)
    lines[a], lines[b] = lines[b], lines[a]
    return lines


def _replace_token(lines: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(lines))
    tokens = re.split(r"([ :/=;,])", lines[at])
    tokens[rng.randrange(len(tokens))] = rng.choice(NUMBERS + JUNK)
    return [*lines[:at], "".join(tokens), *lines[at + 1 :]]


def _spoil_characters(lines: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(lines))
    text = list(lines[at])
    for _ in range(rng.randint(1, 3)):
        if text:
            text[rng.randrange(len(text))] = chr(rng.choice((rng.randrange(32, 127), rng.randrange(0x3000))))
    return [*lines[:at], "".join(text), *lines[at + 1 :]]


def _insert(lines: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(lines) + 1)
    return [*lines[:at], rng.choice(ATTRIBUTES), *lines[at:]]


def _sections(lines: list[str]) -> list[list[str]]:
    sections: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("m="):
            sections.append([])
        sections[-1].append(line)
    return sections


def _many_sections(lines: list[str], rng: random.Random) -> list[str]:
    """Repeat a media line many times, with separate mids or all with the same mid."""
    head, *media = _sections(lines)
    if not media:
        return lines
    model, has_own_mid = rng.choice(media), rng.random() < 0.7
    out = [line for section in (head, *media) for line in section]
    for number in range(rng.choice((1, 2, 15, 63, 64, 65, 200))):
        mid = f"a=mid:m{number}" if has_own_mid else "a=mid:0"
        out += [mid if line.startswith("a=mid:") else line for line in model]
    return out


def _drop_section(lines: list[str], rng: random.Random) -> list[str]:
    sections = _sections(lines)
    del sections[rng.randrange(len(sections))]
    return [line for section in sections for line in section]


def _shuffle_sections(lines: list[str], rng: random.Random) -> list[str]:
    sections = _sections(lines)
    rng.shuffle(sections)
    return [line for section in sections for line in section]


def _change_kind(lines: list[str], rng: random.Random) -> list[str]:
    kind = rng.choice(KINDS)
    return [re.sub(r"^m=\S*", f"m={kind}", line) if rng.random() < 0.7 else line for line in lines]


def _change_direction(lines: list[str], rng: random.Random) -> list[str]:
    wanted = f"a={rng.choice(DIRECTIONS)}"
    return [wanted if line.removeprefix("a=") in DIRECTIONS else line for line in lines]


def _many_candidates(lines: list[str], rng: random.Random) -> list[str]:
    kind = rng.choice(("typ host", "typ srflx raddr 0.0.0.0 rport 0", "typ relay", "typ none"))
    address = rng.choice(("127.0.0.1", "nobody.local", "::1", "localhost", "999.1.1.1", ""))
    count = rng.choice((1, 10, 1000))
    lines_more = [f"a=candidate:{n} 1 udp {n} {address} {n % 70_000} {kind}" for n in range(count)]
    at = rng.randrange(len(lines) + 1)
    return [*lines[:at], *lines_more, *lines[at:]]


MUTATIONS: tuple[Mutation, ...] = (
    _as_another_client,
    _as_another_client,
    _drop,
    _drop,
    _drop_like,
    _double,
    _swap,
    _replace_token,
    _replace_token,
    _replace_token,
    _spoil_characters,
    _insert,
    _insert,
    _many_sections,
    _drop_section,
    _shuffle_sections,
    _change_kind,
    _change_direction,
    _many_candidates,
)
