"""Which parts of an offer the server uses, and how it answers each media line."""

from __future__ import annotations

import pytest

from webrtc_host.errors import RequestError
from webrtc_host.transport.sdp import Offer, Use, read_offer
from webrtc_host.transport.sdp_answer import answer_of, for_aiortc, section_of

SHA256 = ":".join(["AB"] * 32)
TRANSPORT = (
    f"a=ice-ufrag:abcd\r\na=ice-pwd:{'p' * 22}\r\na=fingerprint:sha-256 {SHA256}\r\na=setup:actpass\r\n"
)
BUNDLE = "a=group:BUNDLE 0 1\r\n"
HEAD = f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{BUNDLE}{TRANSPORT}"
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
LOCAL = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=msid-semantic:WMS *\r\n"
    "m=audio 5000 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 192.0.2.1\r\na=recvonly\r\na=mid:0\r\na=rtcp-mux\r\n"
    "a=rtpmap:111 opus/48000/2\r\na=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\na=end-of-candidates\r\n"
    f"a=ice-ufrag:srvr\r\na=ice-pwd:{'q' * 22}\r\na=fingerprint:sha-256 {SHA256}\r\n"
    "a=fingerprint:sha-384 CD\r\na=fingerprint:sha-512 EF\r\na=setup:active\r\n"
)
"""What aiortc says of one audio line."""


def uses(sdp: str) -> list[str]:
    return [use.value for use in read_offer(sdp, 64).uses]


def negotiable(offer: Offer) -> str:
    assert offer.transport is not None
    return for_aiortc(offer, {line.mid: section_of(line) for line in offer.audio}, offer.transport)


def prepared(sdp: str) -> str:
    return negotiable(read_offer(sdp, 64))


def test_audio_lines_are_read_in_order_with_their_mids() -> None:
    lines = read_offer(HEAD + VIDEO + BROWSER_AUDIO, 64).audio
    assert [(line.index, line.mid, line.direction, line.usable) for line in lines] == [
        (1, "0", "sendrecv", {"111": "opus/48000/2"})
    ]


def test_a_direction_for_the_whole_session_counts_where_a_line_has_none() -> None:
    sdp = HEAD + "a=recvonly\r\n" + BROWSER_AUDIO.replace("a=sendrecv\r\n", "")
    with pytest.raises(RequestError, match="audio line 0 is recvonly"):
        read_offer(sdp, 64)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n\r\n"])
def test_other_line_endings_are_accepted(end: str) -> None:
    assert uses("\ufeff" + (HEAD + BROWSER_AUDIO).replace("\r\n", end)) == ["audio"]


def test_only_a_line_break_ends_a_line() -> None:
    """Other line breaks of Unicode end no line."""
    sdp = (HEAD + BROWSER_AUDIO).replace("s=-", "s=night\u2028a=inactive\x0bm=audio 9 x 1\x85")
    assert uses(sdp) == ["audio"]


@pytest.mark.parametrize(
    ("line", "use"),
    [
        (VIDEO, "idle"),
        (VIDEO.replace("VP8", "AV1"), "idle"),
        (VIDEO.replace("a=rtpmap:96 VP8/90000\r\n", ""), "idle"),
        (VIDEO.replace("a=rtpmap:96 VP8/90000", "a=rtpmap:nonsense"), "idle"),
        (VIDEO.replace("video 9", "video 0"), "rejected"),
        (VIDEO.replace("video 9", "video 0") + "a=bundle-only\r\n", "idle"),
        (VIDEO.replace("UDP/TLS/RTP/SAVPF 96", "RTP/AVP 96"), "idle"),
        (VIDEO.replace("UDP/TLS/RTP/SAVPF 96", "FOO/BAR 96"), "rejected"),
        (VIDEO.replace("a=mid:1\r\n", ""), "rejected"),
        (VIDEO.replace("a=mid:1", "a=mid:9"), "rejected"),
        ("m=audio 9 UDP/TLS/RTP/SAVPF 9\r\na=mid:1\r\na=sendonly\r\na=rtpmap:9 G722/8000\r\n", "idle"),
        ("m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\na=inactive\r\n", "rejected"),
        ("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\na=recvonly\r\na=rtpmap:111 opus/48000/2\r\n", "idle"),
        ("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\na=inactive\r\na=rtpmap:111 opus/48000/2\r\n", "idle"),
        ("m=text 9 RTP/AVP 98\r\na=mid:1\r\n", "rejected"),
        ("m=image 9 udptl t38\r\na=mid:1\r\n", "rejected"),
        ("m=message 2855 TCP/MSRP *\r\na=mid:1\r\n", "rejected"),
        ("m=AUDIO 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\n", "rejected"),
        ("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\na=sctp-port:5000\r\n", "data"),
        ("m=application 9 DTLS/SCTP 5000\r\na=mid:1\r\na=sctpmap:5000 webrtc-datachannel 9\r\n", "data"),
        ("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n", "rejected"),
        ("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\na=sctp-port:0\r\n", "rejected"),
        ("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\na=sctp-port:70000\r\n", "rejected"),
        ("m=application 9 DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n", "rejected"),
        ("m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\na=sctp-port:5000\r\n", "rejected"),
        ("m=application 9 UDP/BFCP *\r\na=mid:1\r\n", "rejected"),
    ],
)
def test_an_unusable_line_does_not_affect_other_lines(line: str, use: str) -> None:
    """First or last, the answer has every line in its place, and its group names accepted lines only."""
    for sdp, expected in ((BROWSER_AUDIO + line, ["audio", use]), (line + BROWSER_AUDIO, [use, "audio"])):
        offer = read_offer(HEAD + sdp, 64)
        assert [one.value for one in offer.uses] == expected
        text = negotiable(offer)
        data = LOCAL.replace("BUNDLE 0", "BUNDLE 0 __data") + (
            "m=application 5000 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:__data\r\na=sctp-port:5000\r\n"
        )
        answer = answer_of(offer, data if "m=application" in text else LOCAL)
        answered = [part.split("\r\n") for part in answer.split("m=")[1:]]
        for (head, *rest), got, offered in zip(answered, expected, offer.lines, strict=True):
            kind, port, protocol, *formats = head.split(" ")
            assert (kind, protocol) == (offered.kind, offered.protocol)
            assert (port == "0") == (got == "rejected")
            assert formats
            assert ("a=inactive" in rest) == (got in ("idle", "rejected") and kind in ("audio", "video"))
            assert (f"a=mid:{offered.mid}" in rest) == offered.has_mid
        accepted = [one.mid for one, got in zip(offer.lines, expected, strict=True) if got != "rejected"]
        (group,) = [text for text in answer.split("\r\n") if text.startswith("a=group:")]
        assert group.split()[1:] == sorted(accepted), "in the order of the offer's group"


def test_an_idle_line_first_carries_the_transport_of_the_group() -> None:
    """It is the first of the BUNDLE group, so a client takes candidates and credentials from it."""
    head = HEAD.replace("BUNDLE 0 1", "BUNDLE 1 0")
    answer = answer_of(read_offer(head + VIDEO + BROWSER_AUDIO, 64), LOCAL)
    video = answer.split("m=")[1].split("\r\n")
    assert video[0] == "video 5000 UDP/TLS/RTP/SAVPF 96"
    for needed in ("a=candidate:1 1 udp 1 192.0.2.1 5000 typ host", "a=ice-ufrag:srvr", "a=setup:active"):
        assert needed in video
    assert "a=rtpmap:96 VP8/90000" in video and "a=group:BUNDLE 1 0" in answer


def test_the_only_fingerprint_of_an_answer_is_sha_256() -> None:
    answer = answer_of(read_offer(HEAD + BROWSER_AUDIO + VIDEO, 64), LOCAL)
    found = {text for text in answer.split("\r\n") if text.startswith("a=fingerprint:")}
    assert found == {f"a=fingerprint:sha-256 {SHA256}"}


def test_an_answer_to_an_offer_without_mids_or_group_has_none() -> None:
    offer = read_offer((HEAD + BROWSER_AUDIO).replace("a=mid:0\r\n", "").replace(BUNDLE, ""), 64)
    answer = answer_of(offer, LOCAL)
    assert "a=mid:" not in answer and "a=group:" not in answer


def test_without_a_group_lines_with_the_same_credentials_are_taken_and_others_declined() -> None:
    audio = BROWSER_AUDIO.replace("a=mid:0\r\n", "")
    head = HEAD.replace(BUNDLE, "")
    assert uses(head + audio + audio) == ["audio", "audio"]
    other = audio + f"a=ice-ufrag:else\r\na=ice-pwd:{'x' * 22}\r\n"
    assert uses(head + audio + other) == ["audio", "rejected"]


def test_a_line_outside_of_the_group_of_the_first_is_declined() -> None:
    second = BROWSER_AUDIO.replace("a=mid:0", "a=mid:1")
    assert uses(HEAD.replace("BUNDLE 0 1", "BUNDLE 0") + BROWSER_AUDIO + second) == ["audio", "rejected"]
    two = HEAD.replace(BUNDLE, "a=group:BUNDLE 0\r\na=group:BUNDLE 1\r\n")
    assert uses(two + BROWSER_AUDIO + second) == ["audio", "rejected"]


def test_unknown_and_repeated_names_in_a_group_are_left_out() -> None:
    head = HEAD.replace("BUNDLE 0 1", "bundle 9 0 0 1")
    answer = answer_of(read_offer(head + BROWSER_AUDIO + VIDEO, 64), LOCAL)
    assert "a=group:BUNDLE 0 1\r\n" in answer


def test_the_error_describes_the_line_that_should_send_audio() -> None:
    receiving = BROWSER_AUDIO.replace("sendrecv", "recvonly")
    wrong = (
        BROWSER_AUDIO.replace("a=mid:0", "a=mid:1").replace("opus", "speex").replace("111 63 9 0 8", "111")
    )
    with pytest.raises(RequestError, match="audio line 1 offers speex/48000/2, .*; this server takes"):
        read_offer(HEAD + receiving + wrong, 64)
    with pytest.raises(RequestError, match=r"audio line 0 is rejected by the offer itself \(port 0\)"):
        read_offer(HEAD + BROWSER_AUDIO.replace("audio 9", "audio 0"), 64)
    with pytest.raises(RequestError, match="no audio line"):
        read_offer(HEAD + VIDEO, 64)


def test_a_later_offer_may_have_no_usable_line() -> None:
    offer = read_offer(HEAD + BROWSER_AUDIO.replace("sendrecv", "inactive"), 64, is_first=False)
    assert offer.of(Use.IDLE) == offer.lines and offer.transport is not None
    none = read_offer(HEAD + BROWSER_AUDIO.replace("audio 9", "audio 0"), 64, is_first=False)
    assert none.of(Use.REJECTED) == none.lines and none.transport is None


def test_two_lines_with_one_mid_are_refused() -> None:
    with pytest.raises(RequestError, match="same a=mid"):
        read_offer(HEAD + BROWSER_AUDIO + BROWSER_AUDIO, 64)


def test_only_opus_and_only_usable_candidates_reach_the_negotiation() -> None:
    text = prepared(HEAD + BROWSER_AUDIO + VIDEO)
    assert "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" in text and "a=rtpmap:111 opus/48000/2" in text
    for gone in (".local", "red/48000", "G722", "PCMU", "PCMA", "CN/8000", "telephone-event", "video", "VP8"):
        assert gone not in text
    assert "192.0.2.7" in text


def test_end_of_candidates_is_not_passed_on() -> None:
    """With none of them usable aioice would give up before the first packet comes."""
    offer = HEAD + "a=end-of-candidates\r\n" + BROWSER_AUDIO + "a=end-of-candidates\r\n"
    assert "end-of-candidates" not in prepared(offer)


def test_the_number_of_candidates_is_limited() -> None:
    many = "".join(f"a=candidate:1 1 udp 1 192.0.2.7 {port} typ host\r\n" for port in range(1, 1001))
    assert prepared(HEAD + BROWSER_AUDIO + many).count("a=candidate") == 64


def test_g711_is_used_without_opus_also_when_it_has_no_rtpmap() -> None:
    offer = HEAD + "m=audio 9 UDP/TLS/RTP/SAVPF 8 9 0 13 101\r\na=mid:0\r\na=sendonly\r\n"
    offer += "a=rtpmap:9 G722/8000\r\na=rtpmap:8 pcma/8000/1\r\na=rtpmap:101 telephone-event/8000\r\n"
    assert read_offer(offer, 64).audio[0].usable == {"8": "PCMA/8000", "0": "PCMU/8000"}
    text = prepared(offer)
    assert "m=audio 9 UDP/TLS/RTP/SAVPF 8 0\r\n" in text, "in the order of the offer"
    assert "a=rtpmap:0 PCMU/8000" in text and text.count("a=rtpmap:8 PCMA/8000") == 1
    assert "G722" not in text and "telephone-event" not in text


@pytest.mark.parametrize(
    ("rtpmap", "is_usable"),
    [
        ("opus/48000/2", True),
        ("OPUS/48000", True),
        ("opus/16000", False),
        ("PCMU/8000", True),
        ("PCMU/16000", False),
        ("PCMA/8000/2", False),
        ("multiopus/48000/6", False),
    ],
)
def test_codecs_are_known_by_name_rate_and_channels(rtpmap: str, is_usable: bool) -> None:
    offer = HEAD + f"m=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=rtpmap:96 {rtpmap}\r\n"
    if is_usable:
        assert uses(offer) == ["audio"]
        return
    with pytest.raises(RequestError, match="audio line 0 offers"):
        read_offer(offer, 64)


def test_other_codecs_are_refused_by_name() -> None:
    offer = HEAD + "m=audio 9 UDP/TLS/RTP/SAVPF 9 96\r\na=mid:0\r\na=sendonly\r\n"
    offer += "a=rtpmap:9 G722/8000\r\na=rtpmap:96 iLBC/8000\r\n"
    with pytest.raises(RequestError, match="g722/8000, ilbc/8000.*takes Opus, or PCMU and PCMA"):
        read_offer(offer, 64)


def test_too_many_lines_of_any_kind_are_refused() -> None:
    lines = "".join(f"m=text 0 RTP/AVP 98\r\na=mid:t{n}\r\n" for n in range(64))
    with pytest.raises(RequestError, match="65 media lines, 64 at most"):
        read_offer(HEAD + BROWSER_AUDIO + lines, 64)


def test_an_ended_line_keeps_its_position_for_aiortc() -> None:
    """aiortc identifies lines by their position, which the offer may have given to another line."""
    first = read_offer(HEAD + BROWSER_AUDIO, 64)
    second = read_offer(HEAD + BROWSER_AUDIO.replace("a=mid:0", "a=mid:1"), 64, is_first=False)
    known = {line.mid: section_of(line) for offer in (first, second) for line in offer.audio}
    assert second.transport is not None
    text = for_aiortc(second, known, second.transport)
    sections = text.split("m=")[1:]
    assert ["a=mid:0" in sections[0], "a=mid:1" in sections[1]] == [True, True]
    assert "a=inactive" in sections[0] and "a=sendrecv" in sections[1]
