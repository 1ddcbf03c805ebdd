"""Mistakes in an offer's transports that aiortc would find too late, each found before."""

from __future__ import annotations

import pytest

from bench.offer_fuzz import recorded
from tests.support.server import ROOT
from webrtc_host.errors import RequestError
from webrtc_host.media.sdp import read_offer

CHROMIUM, FFMPEG = recorded(ROOT / "tests" / "support" / "offers")


@pytest.mark.parametrize("offer", [CHROMIUM, FFMPEG], ids=["chromium", "ffmpeg"])
def test_real_offers_pass(offer: str) -> None:
    assert len(read_offer(offer, 64)) == 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("BUNDLE 0 1", "BUNDLE 2 0 1", "'2', which is not one line"),
        ("BUNDLE 0 1", "BUNDLE 0 0 1", "'0', which is not one line"),
        ("BUNDLE 0 1", "BUNDLE 0\r\na=group:BUNDLE 1", "two BUNDLE groups"),
        ("a=sctp-port:5000\r\n", "", "no SCTP port"),
        ("a=sctp-port:5000", "a=sctp-port:0", "no SCTP port"),
        ("a=sctp-port:5000", "a=sctp-port:70000", "no SCTP port"),
        ("a=sctp-port:5000", "a=sctp-port:5000\r\na=sctp-port:5001", "no SCTP port"),
        ("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP webrtc-datachannel", "no SCTP port"),
        ("a=setup:actpass\r\na=mid:1", "a=mid:1", None),
        ("BUNDLE 0 1", "BUNDLE", None),
        ("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5000", None),
    ],
)
def test_a_spoilt_transport_is_refused_with_its_reason(old: str, new: str, words: str | None) -> None:
    assert old in CHROMIUM
    offer = CHROMIUM.replace(old, new)
    if words is None:
        assert read_offer(offer, 64)
        return
    with pytest.raises(RequestError, match=words) as refused:
        read_offer(offer, 64)
    assert refused.value.status == 422


def test_every_line_needs_a_fingerprint_of_its_own_or_the_session_one() -> None:
    line = next(line for line in CHROMIUM.splitlines() if line.startswith("a=fingerprint"))
    for at in (0, 1):
        parts = CHROMIUM.split(line + "\r\n")
        spoilt = parts[0] + (parts[1] if at == 0 else line + "\r\n" + parts[1])
        spoilt += (line + "\r\n" + parts[2]) if at == 0 else parts[2]
        with pytest.raises(RequestError, match=f"media line {at} has no a=fingerprint"):
            read_offer(spoilt, 64)
    none = CHROMIUM.replace(line + "\r\n", "")
    assert read_offer(none.replace("t=0 0\r\n", f"t=0 0\r\n{line}\r\n"), 64)
    with pytest.raises(RequestError, match="fingerprint"):
        read_offer(CHROMIUM.replace("sha-256 ", "sha-256 not-hexadecimal"), 64)
