"""The transport attributes of an offer, and which of them can be used."""

from __future__ import annotations

import pytest

from bench.offer_fuzz import recorded
from tests.support.server import ROOT
from webrtc_host.errors import RequestError
from webrtc_host.transport.candidates import usable_candidate
from webrtc_host.transport.sdp import read_offer
from webrtc_host.transport.sdp_transport import Transport

CHROMIUM, FFMPEG = recorded(ROOT / "tests" / "support" / "offers")
NAMES = ("a=fingerprint", "a=ice-ufrag", "a=ice-pwd", "a=setup")
SHA256 = next(line for line in CHROMIUM.splitlines() if line.startswith("a=fingerprint"))
ONE, OTHER = ":".join(["AB"] * 32), ":".join(["CD"] * 32)


def transport_of(sdp: str) -> Transport:
    found = read_offer(sdp, 64).transport
    assert found is not None
    return found


def without(sdp: str, *names: str) -> str:
    return "\r\n".join(line for line in sdp.split("\r\n") if not line.startswith(names))


def test_real_offers_are_accepted() -> None:
    assert [use.value for use in read_offer(CHROMIUM, 64).uses] == ["audio", "data"]
    assert [use.value for use in read_offer(FFMPEG, 64).uses] == ["audio"]


@pytest.mark.parametrize("offer", [CHROMIUM, FFMPEG], ids=["chromium", "ffmpeg"])
def test_attributes_of_the_session_count_where_a_line_has_none(offer: str) -> None:
    expected = transport_of(offer)
    lines = dict.fromkeys(line for line in offer.split("\r\n") if line.startswith(NAMES))
    moved = without(offer, *NAMES).replace("t=0 0\r\n", "t=0 0\r\n" + "\r\n".join(lines) + "\r\n")
    assert transport_of(moved) == expected


def test_a_bundled_line_takes_its_transport_from_the_first_of_the_group() -> None:
    """Also a bundle-only line, and one that names nothing though it has a port (later offers)."""
    head, audio, data = CHROMIUM.replace("m=", "\x00m=").split("\x00")
    bare = without(audio, *NAMES, "a=candidate")
    for line in (bare, bare.replace("audio 9", "audio 0") + "a=bundle-only\r\n"):
        offer = read_offer(head.replace("BUNDLE 0 1", "BUNDLE 1 0") + line + data, 64)
        assert [use.value for use in offer.uses] == ["audio", "data"]
        assert offer.transport == transport_of(CHROMIUM)


def test_a_rejected_first_line_of_the_group_gives_no_transport() -> None:
    head, audio, data = CHROMIUM.replace("m=", "\x00m=").split("\x00")
    gone = "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\n"
    offer = read_offer(head.replace("BUNDLE 0 1", "BUNDLE v 0 1") + gone + audio + data, 64)
    assert [use.value for use in offer.uses] == ["rejected", "audio", "data"]


@pytest.mark.parametrize(
    ("setup", "role"),
    [
        ("", "actpass"),
        ("a=setup:ACTIVE\r\n", "active"),
        ("a=setup:Passive\r\n", "passive"),
        ("a=setup:nonsense\r\n", "actpass"),
        ("a=setup:passive\r\na=setup:active\r\n", "passive"),
    ],
)
def test_a_missing_setup_means_actpass_and_case_is_ignored(setup: str, role: str) -> None:
    assert transport_of(CHROMIUM.replace("a=setup:actpass\r\n", setup)).setup == role


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["SHA-256 " + ONE.lower()], [("sha-256", ONE)]),
        (["md5 AA:BB", "sha-256 " + ONE, "sha3-256 " + ONE], [("sha-256", ONE)]),
        (
            ["sha-256 " + ONE, "sha-512 " + ":".join(["EF"] * 64)],
            [("sha-256", ONE), ("sha-512", ":".join(["EF"] * 64))],
        ),
        (["sha-256 " + ONE, "sha-256 " + ONE, "Sha-256 " + OTHER], [("sha-256", ONE), ("sha-256", OTHER)]),
        (["sha-256 AB", "sha-256", "sha-256 " + ONE + " x", "sha-256 " + ONE], [("sha-256", ONE)]),
    ],
)
def test_fingerprints_of_known_hash_functions_are_used(
    lines: list[str], expected: list[tuple[str, str]]
) -> None:
    text = "\r\n".join(f"a=fingerprint:{line}" for line in lines)
    assert transport_of(CHROMIUM.replace(SHA256, text)).fingerprints == tuple(expected)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            SHA256,
            "a=fingerprint:sha-1 " + ":".join(["AB"] * 20),
            "audio line 0.*no a=fingerprint of sha-256, sha-384, sha-512",
        ),
        (SHA256 + "\r\n", "", "audio line 0.*no a=fingerprint.*only encrypted"),
        ("sha-256 ", "sha-256 not-hexadecimal", "audio line 0.*no a=fingerprint"),
        ("a=ice-pwd:", "a=x:", "audio line 0.*a=ice-ufrag and a=ice-pwd"),
        ("a=ice-ufrag:MOnP", "a=ice-ufrag:x", "audio line 0.*a=ice-ufrag and a=ice-pwd"),
        ("a=setup:actpass", "a=setup:holdconn", "audio line 0.*holdconn"),
    ],
)
def test_an_offer_that_cannot_be_reached_is_refused_with_the_line_and_the_reason(
    old: str, new: str, words: str
) -> None:
    assert old in CHROMIUM
    with pytest.raises(RequestError, match=words) as refused:
        read_offer(CHROMIUM.replace(old, new), 64)
    assert (refused.value.status, refused.value.code) == (422, "unusable_sdp")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "1 1 udp 2113937151 192.0.2.7 5000 typ host generation 0",
            "1 1 udp 2113937151 192.0.2.7 5000 typ host",
        ),
        ("1 1 UDP 1 2001:db8::1 5000 TYP SRFLX raddr x rport x", "1 1 udp 1 2001:db8::1 5000 typ srflx"),
        ("1 1 udp 1 ::ffff:192.0.2.7 5000 typ host", "1 1 udp 1 192.0.2.7 5000 typ host"),
        ("1 1 udp 0 192.0.2.7 65535 typ relay", "1 1 udp 0 192.0.2.7 65535 typ relay"),
        ("5 1 udp 123", None),
        ("", None),
        ("1 2 udp 1 192.0.2.7 5000 typ host", None),
        ("1 1 tcp 1 192.0.2.7 9 typ host tcptype active", None),
        ("1 1 udp -1 192.0.2.7 5000 typ host", None),
        ("1 1 udp 1e3 192.0.2.7 5000 typ host", None),
        ("1 1 udp ٣ 192.0.2.7 5000 typ host", None),
        ("1 1 udp 99999999999 192.0.2.7 5000 typ host", None),
        ("1 1 udp 1 name.local 5000 typ host", None),
        ("1 1 udp 1 gateway.example.com 5000 typ host", None),
        ("1 1 udp 1 192.0.2.999 5000 typ host", None),
        ("1 1 udp 1 fe80::1%eth0 5000 typ host", None),
        ("1 1 udp 1 0.0.0.0 5000 typ host", None),
        ("1 1 udp 1 224.0.0.1 5000 typ host", None),
        ("1 1 udp 1 255.255.255.255 5000 typ host", None),
        ("1 1 udp 1 192.0.2.7 0 typ host", None),
        ("1 1 udp 1 192.0.2.7 65536 typ host", None),
        ("1 1 udp 1 192.0.2.7 5000 typ nonsense", None),
        ("1 1 udp 1 192.0.2.7 5000 kind host", None),
    ],
)
def test_a_candidate_is_used_or_left_out(text: str, expected: str | None) -> None:
    assert usable_candidate(text) == expected
    offer = CHROMIUM.replace("a=ice-ufrag:MOnP\r\n", f"a=candidate:{text}\r\na=ice-ufrag:MOnP\r\n")
    assert transport_of(offer).candidates == (() if expected is None else (expected,))
