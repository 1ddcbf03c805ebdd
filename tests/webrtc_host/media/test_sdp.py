"""What the server reads in an offer and writes into an answer."""

from __future__ import annotations

import pytest

from webrtc_host.errors import RequestError
from webrtc_host.media.sdp import CANDIDATES_MAX, prepare_offer, read_offer

HEAD = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=fingerprint:sha-256 AB\r\n"
BROWSER_AUDIO = (
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110\r\n"
    "a=candidate:1 1 udp 2113937151 192.0.2.7 50000 typ host\r\n"
    "a=candidate:2 1 udp 2113937151 0b1e7c1c-4c1f.local 50001 typ host\r\n"
    "a=mid:0\r\n"
    "a=sendrecv\r\n"
    "a=rtpmap:111 opus/48000/2\r\n"
    "a=rtcp-fb:111 transport-cc\r\n"
    "a=fmtp:111 minptime=10;useinbandfec=1\r\n"
    "a=rtpmap:63 red/48000/2\r\n"
    "a=fmtp:63 111/111\r\n"
    "a=rtpmap:9 G722/8000\r\n"
    "a=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:13 CN/8000\r\n"
    "a=rtpmap:110 telephone-event/48000\r\n"
)
VIDEO = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=sendonly\r\na=rtpmap:96 VP8/90000\r\n"


def test_audio_lines_are_read_in_order_with_their_mids() -> None:
    lines = read_offer(HEAD + VIDEO + BROWSER_AUDIO, 64)
    assert [(line.index, line.mid, line.direction, line.usable) for line in lines] == [
        (1, "0", "sendrecv", frozenset({"111"}))
    ]


def test_a_direction_for_the_whole_session_counts_where_a_line_has_none() -> None:
    sdp = HEAD + "a=recvonly\r\n" + BROWSER_AUDIO.replace("a=sendrecv\r\n", "")
    with pytest.raises(RequestError, match="recvonly"):
        read_offer(sdp, 64)


def test_line_ends_without_carriage_return_are_read_too() -> None:
    assert len(read_offer((HEAD + BROWSER_AUDIO).replace("\r\n", "\n"), 64)) == 1


def test_an_offer_without_a_fingerprint_is_refused() -> None:
    with pytest.raises(RequestError, match="fingerprint"):
        read_offer((HEAD + BROWSER_AUDIO).replace("a=fingerprint:sha-256 AB\r\n", ""), 64)


@pytest.mark.parametrize("kind", ["text", "image", "message"])
def test_lines_of_other_kinds_are_refused(kind: str) -> None:
    with pytest.raises(RequestError, match=kind):
        read_offer(HEAD + BROWSER_AUDIO + f"m={kind} 9 RTP/AVP 98\r\na=mid:1\r\n", 64)


def test_only_opus_and_only_usable_candidates_reach_the_negotiation() -> None:
    prepared = prepare_offer(HEAD + BROWSER_AUDIO + VIDEO)
    assert "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" in prepared
    assert "a=fmtp:111 minptime=10;useinbandfec=1" in prepared and "a=rtcp-fb:111" in prepared
    for gone in (".local", "red/48000", "a=fmtp:63", "G722", "PCMU", "PCMA", "CN/8000", "telephone-event"):
        assert gone not in prepared
    assert "192.0.2.7" in prepared
    assert prepared.endswith(VIDEO)


def test_that_there_are_no_more_candidates_is_not_passed_on() -> None:
    offer = HEAD + "a=end-of-candidates\r\n" + BROWSER_AUDIO + "a=end-of-candidates\r\n"
    assert "end-of-candidates" not in prepare_offer(offer)


def test_a_heap_of_candidates_is_cut_off() -> None:
    many = BROWSER_AUDIO + "a=candidate:1 1 udp 1 192.0.2.7 50000 typ host\r\n" * 1000
    assert prepare_offer(HEAD + many).count("a=candidate") <= CANDIDATES_MAX


def test_g711_is_taken_where_there_is_no_opus_also_when_it_is_not_named() -> None:
    offer = HEAD + "m=audio 9 UDP/TLS/RTP/SAVPF 0 9 8 13 101\r\na=mid:0\r\na=sendonly\r\n"
    offer += "a=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
    assert read_offer(offer, 64)[0].usable == {"0", "8"}
    prepared = prepare_offer(offer)
    assert "m=audio 9 UDP/TLS/RTP/SAVPF 0 8\r\n" in prepared
    assert "a=rtpmap:0 PCMU/8000" in prepared and prepared.count("a=rtpmap:8 PCMA/8000") == 1
    assert "G722" not in prepared and "telephone-event" not in prepared


def test_other_codecs_are_refused_by_name() -> None:
    offer = HEAD + "m=audio 9 UDP/TLS/RTP/SAVPF 9 96\r\na=mid:0\r\na=sendonly\r\n"
    offer += "a=rtpmap:9 G722/8000\r\na=rtpmap:96 iLBC/8000\r\n"
    with pytest.raises(RequestError, match="g722/8000, ilbc/8000.*takes Opus, or PCMU and PCMA"):
        read_offer(offer, 64)
