"""Finds the transport of media lines, and what is needed to reach the client: BUNDLE, ICE and DTLS.

Pure. An attribute is looked for in the line itself, in the line that carries the transport of its BUNDLE
group (RFC 8843), then in the session. Invariant: a Transport that is returned can be encrypted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from webrtc_host.transport.candidates import CANDIDATES_MAX, usable_candidate
from webrtc_host.transport.sdp_lines import MediaLine, attribute

HASHES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
"""Hash functions for certificate fingerprints, with the number of bytes of each."""
LOOKED_AT_MAX = 4 * CANDIDATES_MAX
"""The number of candidate lines that are read, usable or not."""
SETUPS = ("actpass", "active", "passive")
_FINGERPRINT = re.compile(r"a=fingerprint: ?(\S+) +([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*)")
_ICE_VALUE = re.compile(r"[!-~]{4,256}")


@dataclass(frozen=True, slots=True)
class Transport:
    """How the client is reached. fingerprints: (hash function, value), known functions only."""

    ufrag: str
    password: str
    fingerprints: tuple[tuple[str, str], ...]
    setup: str  # actpass, active or passive
    candidates: tuple[str, ...] = ()  # without `a=candidate:`, only those that can be used
    is_lite: bool = False

    def is_shared_with(self, other: Transport) -> bool:
        """True without BUNDLE when both have the same ICE credentials: they are the same transport then."""
        return (self.ufrag, self.password) == (other.ufrag, other.password)


def bundle_groups(head: Sequence[str]) -> list[list[str]]:
    """The mids of each BUNDLE group, in its order. The word BUNDLE is compared without regard to case."""
    found = [text[len("a=group:") :].split() for text in head if text.startswith("a=group:")]
    return [list(dict.fromkeys(words[1:])) for words in found if words and words[0].upper() == "BUNDLE"]


def transport_of(head: Sequence[str], sources: Iterable[MediaLine]) -> Transport | str:
    """The first complete transport of `sources`, or what is missing in the first one.

    sources: the line itself, or the lines of its BUNDLE group, the best first. Missing attributes are taken
    from the session. Without `a=setup`, an offer means actpass (RFC 8842).
    """
    fault = "it is not part of the offer"
    for number, line in enumerate(sources):
        found = _read(head, line)
        if isinstance(found, Transport):
            return found
        fault = found if number == 0 else fault
    return fault


def _read(head: Sequence[str], line: MediaLine) -> Transport | str:
    ufrag, password = _value(head, line, "ice-ufrag"), _value(head, line, "ice-pwd")
    if not (ufrag and password and _ICE_VALUE.fullmatch(ufrag) and _ICE_VALUE.fullmatch(password)):
        return "it has no usable a=ice-ufrag and a=ice-pwd, which ICE needs"
    fingerprints = _fingerprints(line.attributes) or _fingerprints(head)
    if not fingerprints:
        return f"it has no a=fingerprint of {', '.join(HASHES)}; only encrypted audio is taken (DTLS-SRTP)"
    setup = (_value(head, line, "setup") or "actpass").lower()
    if setup == "holdconn":
        return "it has a=setup:holdconn, which delays the connection; offer actpass"
    return Transport(
        ufrag,
        password,
        fingerprints,
        setup if setup in SETUPS else "actpass",
        _candidates(line),
        "a=ice-lite" in head,
    )


def _candidates(line: MediaLine) -> tuple[str, ...]:
    texts = [text for text in line.attributes if text.startswith("a=candidate:")][:LOOKED_AT_MAX]
    usable = (usable_candidate(text.removeprefix("a=candidate:")) for text in texts)
    return tuple(dict.fromkeys(text for text in usable if text is not None))[:CANDIDATES_MAX]


def _value(head: Sequence[str], line: MediaLine, name: str) -> str | None:
    return attribute(line.attributes, name) or attribute(head, name)


def _fingerprints(section: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """A certificate has to match one of each hash function (RFC 8122); unknown functions are left out."""
    found: list[tuple[str, str]] = []
    for text in section:
        if match := _FINGERPRINT.fullmatch(text):
            algorithm, value = match[1].lower(), match[2].upper()
            if HASHES.get(algorithm) == value.count(":") + 1:
                found.append((algorithm, value))
    return tuple(dict.fromkeys(found))
