"""Offers as other clients write them: each is answered line by line, and the audio of its good lines arrives.

A real aiortc client makes the offer; a variant rewrites its text as another client writes it.
The client then gets only those lines of the answer that it has itself.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from aiortc import RTCSessionDescription

from bench.offer_mutations import REAL_CLIENTS
from tests.support.peers import Client
from tests.support.polling import until
from tests.webrtc_host.doors.test_offer_again import offer_again, reasons
from tests.webrtc_host.doors.test_offer_peer import World, fed, has_received, hum

pytestmark = pytest.mark.peer

VIDEO = (
    "m=video 9 UDP/TLS/RTP/SAVPF 106\r\nc=IN IP4 0.0.0.0\r\na=sendonly\r\na=mid:v\r\na=rtcp-mux\r\n"
    "a=rtpmap:106 AV1/90000\r\na=fmtp:106 level-idx=5;profile=0;tier=0\r\n"
)
G722 = "m=audio 9 UDP/TLS/RTP/SAVPF 9\r\na=sendonly\r\na=mid:g\r\na=rtpmap:9 G722/8000\r\n"


@pytest.fixture
async def world(aiohttp_client: Any) -> AsyncIterator[World]:
    made = World(aiohttp_client)
    yield await made.start()
    await made.stop()


def lines_of(sdp: str) -> list[str]:
    """Its media sections."""
    return re.split(r"(?m)^m=", sdp)[1:]


def attribute(section: str, name: str) -> str | None:
    found = re.search(rf"(?m)^a={name}:(.*?)\r?$", section)
    return found[1] if found else None


def without(*names: str) -> Callable[[str], str]:
    return lambda sdp: re.sub(rf"(?m)^(?:{'|'.join(names)}).*\r\n", "", sdp)


def swap(old: str, new: str, count: int = -1) -> Callable[[str], str]:
    def swapped(sdp: str) -> str:
        assert old in sdp, f"{old} is not in the offer"
        return sdp.replace(old, new, count)

    return swapped


def after(line: str, more: str) -> Callable[[str], str]:
    return swap(f"{line}\r\n", f"{line}\r\n{more}")


def bundled(section: str, *, first: bool = False) -> Callable[[str], str]:
    """One more line in the group, before or after the others; it takes the transport of the group."""
    mid = attribute("m=" + section, "mid")

    def added(sdp: str) -> str:
        group = re.search(r"a=group:BUNDLE ([^\r]*)", sdp)
        assert group is not None
        transport = "".join(
            re.findall(r"(?m)^a=(?:ice-ufrag|ice-pwd|fingerprint|setup).*\r\n", sdp.split("m=")[1])
        )
        names = f"{mid} {group[1]}" if first else f"{group[1]} {mid}"
        sdp = sdp.replace(group[0], f"a=group:BUNDLE {names}")
        if not first:
            return sdp + section + transport
        head, rest = sdp.split("m=", 1)
        return f"{head}{section}{transport}m={rest}"

    return added


def session_level(sdp: str) -> str:
    names = ("ice-ufrag", "ice-pwd", "fingerprint:sha-256", "setup")
    moved = "".join(re.findall(rf"(?m)^a=(?:{'|'.join(names)}).*\r\n", lines_of(sdp)[0]))
    kept = without("a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup")(sdp)
    return kept.replace("t=0 0\r\n", f"t=0 0\r\n{moved}")


def second(change: Callable[[str], str]) -> Callable[[str], str]:
    """Change the second line alone."""

    def changed(sdp: str) -> str:
        head, one, two, *rest = re.split(r"(?m)(?=^m=)", sdp)
        return "".join([head, one, change(two), *rest])

    return changed


TRANSPORT = ("a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup", "a=candidate", "a=end-of-candidates")


@dataclass(frozen=True)
class Variant:
    name: str
    change: Callable[[str], str]
    answered: tuple[str, ...]  # audio, idle, rejected or data, for each line of the changed offer
    own: tuple[int, ...]  # which of the lines the client has itself
    tracks: int = 1
    has_data: bool = False
    flows: bool = True  # otherwise only the answer is checked


ONE, TWO = (("audio",), (0,)), (("audio", "audio"), (0, 1))
VARIANTS = [
    Variant("fingerprint algorithm in capitals", swap("fingerprint:sha-", "fingerprint:SHA-"), *ONE),
    Variant("setup role in capitals", swap("setup:actpass", "setup:ACTPASS"), *ONE),
    Variant("no setup", without("a=setup"), *ONE),
    Variant("unreadable setup", swap("setup:actpass", "setup:whatever"), *ONE),
    Variant("transport candidates in capitals", swap(" udp ", " UDP "), *ONE),
    Variant("codec in capitals, no channels", swap("opus/48000/2", "OPUS/48000"), *ONE),
    Variant("group semantics in small letters", swap("group:BUNDLE", "group:bundle"), *ONE),
    Variant("transport at session level", session_level, *ONE),
    Variant("transport at session level, two lines", session_level, *TWO, tracks=2),
    Variant("unknown hash beside", after("a=rtcp-mux", "a=fingerprint:sha3-256 AA:BB\r\n"), *ONE),
    Variant(
        "two certificates",
        after("a=rtcp-mux", "a=fingerprint:sha-512 " + ":".join(["AB"] * 64) + "\r\n"),
        *ONE,
    ),
    Variant("no c line", without("c="), *ONE),
    Variant("unreadable c line", swap("c=IN IP4 ", "c=ATM NSAP "), *ONE),
    Variant("no rtcp-mux", without("a=rtcp-mux"), *ONE),
    Variant("no group", without("a=group"), *ONE),
    Variant("no group, two lines", without("a=group"), *TWO, tracks=2),
    Variant("no mid and no group", without("a=group", "a=mid"), *ONE),
    Variant("no mid, group kept", without("a=mid"), *ONE),
    Variant("group in another order", swap("BUNDLE 0 1", "BUNDLE 1 0"), *TWO, tracks=2),
    Variant("line feeds only", swap("\r\n", "\n"), *ONE),
    Variant("byte order mark", lambda sdp: "\ufeff" + sdp, *ONE),
    Variant("attributes twice", lambda sdp: re.sub(r"(?m)^(a=.*\r\n)", r"\1\1", sdp), *ONE),
    Variant(
        "bad lines of every kind",
        after(
            "a=rtcp-mux",
            "a=candidate:5 1 udp 123\r\na=candidate:6 1 udp x 192.0.2.1 y typ host\r\na=rtpmap:x\r\n"
            "a=rtpmap:999 opus/48000/2\r\na=fmtp:96\r\na=fmtp:7 x\r\na=rtcp-fb:\r\na=extmap:x y\r\n"
            "a=ssrc:\r\n"
            "a=ssrc:x y\r\na=ssrc-group:FID\r\na=rtcp:x\r\na=msid\r\na=sctp-port:x\r\n"
            "a=max-message-size:x\r\n"
            "a=ice-options\r\na=\r\na\r\n=\r\nb=AS:x\r\nk=x\r\na=crypto:1 x\r\na=simulcast:x\r\na=rid:x\r\n",
        ),
        *ONE,
    ),
    Variant("bad fmtp of opus", after("a=rtcp-mux", "a=fmtp:96 minptime=x;stereo=-1;=;;\r\n"), *ONE),
    Variant("static payload numbers only", without("a=rtpmap", "a=fmtp", "a=rtcp-fb"), *ONE),
    Variant("opus below 96", lambda sdp: re.sub(r"\b96\b", "45", sdp), *ONE, flows=False),
    Variant("RTP/SAVPF", swap("UDP/TLS/RTP/SAVPF", "RTP/SAVPF"), *ONE),
    Variant("RTP/AVP with a fingerprint", swap("UDP/TLS/RTP/SAVPF", "RTP/AVP"), *ONE),
    Variant(
        "bundle-only",
        lambda s: after("a=rtcp-mux", "a=bundle-only\r\n")(re.sub(r"m=audio \d+", "m=audio 0", s)),
        *ONE,
    ),
    Variant(
        "second line bundle-only, without a transport of its own",
        second(lambda s: re.sub(r"audio \d+", "audio 0", without(*TRANSPORT)(s)) + "a=bundle-only\r\n"),
        *TWO,
        tracks=2,
    ),
    Variant("second line without a transport of its own", second(without(*TRANSPORT)), *TWO, tracks=2),
    Variant("AV1 only", bundled(VIDEO), ("audio", "idle"), (0,)),
    Variant("AV1 only, first", bundled(VIDEO, first=True), ("idle", "audio"), (1,)),
    Variant("HEVC only", bundled(VIDEO.replace("AV1", "H265")), ("audio", "idle"), (0,)),
    Variant(
        "video of no known codec",
        bundled(VIDEO.replace("a=rtpmap:106 AV1/90000\r\n", "")),
        ("audio", "idle"),
        (0,),
    ),
    Variant("bad rtpmap of video", bundled(VIDEO.replace("AV1/90000", "AV1")), ("audio", "idle"), (0,)),
    Variant("AV1 only, outside of the group", lambda s: s + VIDEO, ("audio", "rejected"), (0,)),
    Variant("G.722 only", bundled(G722), ("audio", "idle"), (0,)),
    Variant(
        "a stopped transceiver",
        lambda s: s + "m=video 0 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\na=mid:v\r\n",
        ("audio", "rejected"),
        (0,),
    ),
    Variant(
        "a stopped transceiver, first",
        lambda s: s.replace("m=", "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\na=inactive\r\na=mid:v\r\nm=", 1),
        ("rejected", "audio"),
        (1,),
    ),
    Variant(
        "plain text line", lambda s: s + "m=text 9 RTP/AVP 98\r\na=mid:t\r\n", ("audio", "rejected"), (0,)
    ),
    Variant("fax line", lambda s: s + "m=image 9 udptl t38\r\n", ("audio", "rejected"), (0,)),
    Variant("message line", lambda s: s + "m=message 9 TCP/MSRP *\r\n", ("audio", "rejected"), (0,)),
    Variant("floor control", lambda s: s + "m=application 9 UDP/BFCP *\r\n", ("audio", "rejected"), (0,)),
    Variant("recvonly beside", second(swap("a=sendonly", "a=recvonly")), ("audio", "idle"), (0, 1), tracks=2),
    Variant("inactive beside", second(swap("a=sendonly", "a=inactive")), ("audio", "idle"), (0, 1), tracks=2),
    Variant("data channels too", lambda s: s, ("audio", "data"), (0, 1), has_data=True),
    Variant(
        "data channels without a size",
        without("a=max-message-size"),
        ("audio", "data"),
        (0, 1),
        has_data=True,
    ),
    Variant(
        "data channels without a port",
        without("a=sctp-port"),
        ("audio", "rejected"),
        (0,),
        has_data=True,
        flows=False,
    ),
    Variant(
        "data channels twice",
        lambda s: s + re.split(r"(?=m=application)", s)[1].replace("a=mid:1", "a=mid:2"),
        ("audio", "data", "rejected"),
        (0, 1),
        has_data=True,
    ),
]


def check_answer(offer: str, answer: str, answered: tuple[str, ...]) -> None:
    """Check the rules of RFC 3264, 8122, 8829 and 8843 for every answer."""
    offered, got = lines_of(offer), lines_of(answer)
    assert len(got) == len(offered) == len(answered)
    accepted = set()
    for asked, section, expected in zip(offered, got, answered, strict=True):
        kind, _, protocol, *_ = asked.splitlines()[0].split()
        said, port, echoed, *formats = section.splitlines()[0].split()
        assert (said, echoed) == (kind, protocol)
        assert formats and set(formats) <= set(asked.splitlines()[0].split()[3:]) | {
            "0",
            "webrtc-datachannel",
        }
        assert attribute(section, "mid") == attribute(asked, "mid")
        assert (port == "0") == (expected == "rejected")
        if kind in ("audio", "video"):
            assert ("a=recvonly" in section) == (expected == "audio")
            assert ("a=inactive" in section) == (expected != "audio")
        if expected != "rejected":
            accepted.add(attribute(section, "mid"))
            assert re.findall(r"a=fingerprint:(\S+)", section) == ["sha-256"]
            assert attribute(section, "setup") in ("active", "passive")
    group = re.search(r"a=group:BUNDLE ?(.*?)\r", answer)
    assert (group is not None) == bool(re.search(r"(?i)a=group:bundle", offer) and accepted - {None})
    if group is not None:
        assert set(group[1].split()) == accepted


def for_client(answer: str, own: tuple[int, ...], client: str) -> str:
    """The answer's lines that the client has itself, with its own mids and group."""
    head = answer[: answer.index("m=")]
    kept = []
    for index, mine in zip(own, lines_of(client), strict=True):
        section, mid = lines_of(answer)[index], attribute(mine, "mid")
        section = re.sub(r"a=mid:.*\r\n", "", section)
        section = re.sub(r"^(\S+ \S+) \S+", r"\1 " + mine.split()[2], section)
        kept.append(f"m={section}a=mid:{mid}\r\n")
    mids = " ".join(str(attribute(mine, "mid")) for mine in lines_of(client))
    return re.sub(r"a=group:.*\r\n", "", head) + f"a=group:BUNDLE {mids}\r\n" + "".join(kept)


async def offered(world: World, variant: Variant) -> tuple[Client, str, str]:
    """The client, its own offer, and the changed one."""
    data = "transcript" if variant.has_data else None
    client = Client([hum() for _ in range(variant.tracks)], data_channel=data)
    world.clients.append(client)
    own = (await client.offer())["sdp"]
    changed = variant.change(own)
    assert changed != own or variant.name == "data channels too"
    return client, own, changed


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
async def test_an_offer_is_answered_line_by_line_and_its_audio_arrives(
    world: World, variant: Variant
) -> None:
    client, own, changed = await offered(world, variant)
    async with world.http.post("/offer", json={"sdp": changed, "type": "offer"}) as response:
        answer = await response.json()
        assert response.status == 200, answer
    check_answer(changed, answer["sdp"], variant.answered)
    assert len(answer["channels"]) == variant.answered.count("audio")
    if variant.flows:
        text = for_client(answer["sdp"], variant.own, own)
        await client.pc.setRemoteDescription(RTCSessionDescription(text, "answer"))
        await until(lambda: all(has_received(world, channel, 0.4) for channel in fed(answer).values()))
    await world.close_connection(answer["connection"])


@pytest.mark.parametrize("name", sorted(REAL_CLIENTS))
async def test_valid_offers_of_the_fuzzer_are_answered(world: World, name: str) -> None:
    client = Client([hum()])
    world.clients.append(client)
    own = (await client.offer())["sdp"]
    changed = REAL_CLIENTS[name](own)
    assert changed != own
    async with world.http.post("/offer", json={"sdp": changed, "type": "offer"}) as response:
        answer = await response.json()
        assert response.status == 200, answer
    assert len(lines_of(answer["sdp"])) == len(lines_of(changed))
    assert len(answer["channels"]) == 1


async def test_lines_without_audio_may_be_in_ignore_and_not_in_the_channel_list(world: World) -> None:
    client = Client([hum(), hum()])
    world.clients.append(client)
    own = (await client.offer())["sdp"]
    for change in (
        second(swap("a=sendonly", "a=recvonly")),
        second(swap("a=sendonly", "a=inactive")),
        second(lambda s: re.sub(r"audio \d+", "audio 0", without(*TRANSPORT)(s))),
        second(swap("m=audio", "m=text")),
    ):
        body = {"sdp": change(own), "type": "offer", "channels": [{"mid": "1", "ignore": True}]}
        async with world.http.post("/offer", json=body) as response:
            answer = await response.json()
            assert response.status == 200, answer
        assert set(fed(answer)) == {"0"}
        await world.close_connection(answer["connection"])
    body = {"sdp": second(swap("a=sendonly", "a=recvonly"))(own), "type": "offer", "channels": [{"mid": "1"}]}
    async with world.http.post("/offer", json=body) as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"]) == (422, "not_sending")
    assert "audio line 1 is recvonly" in error["message"]


async def test_a_later_offer_with_declined_lines_continues(world: World) -> None:
    client, answer = await world.connect(hum())
    await until(lambda: has_received(world, "C01", 0.3))
    own = (await client.offer())["sdp"]
    body = {"sdp": bundled(VIDEO)(own), "type": "offer", "connection": answer["connection"]}
    async with world.http.post("/offer", json=body) as response:
        again = await response.json()
        assert response.status == 200, again
    check_answer(body["sdp"], again["sdp"], ("audio", "data", "idle"))
    await client.pc.setRemoteDescription(
        RTCSessionDescription(for_client(again["sdp"], (0, 1), own), "answer")
    )
    before = len(world.rig.pipeline("C01").blocks)
    await until(lambda: len(world.rig.pipeline("C01").blocks) > before + 5)


async def test_a_line_on_hold_feeds_its_channel_again_afterwards(world: World) -> None:
    client, answer = await world.connect(hum(), hum())
    await until(lambda: has_received(world, "C01", 0.3) and has_received(world, "C02", 0.3))
    held = client.pc.getTransceivers()[0]
    held.direction = "inactive"
    paused = await offer_again(world, client, answer)
    assert (paused["status"], set(fed(paused).values())) == (200, {"C02"})
    await until(lambda: reasons(world, answer) == ["track_removed"])
    held.direction = "sendonly"
    resumed = await offer_again(world, client, answer)
    assert (resumed["status"], fed(resumed)) == (200, {"0": "C01", "1": "C02"}), resumed
    first = world.rig.pipeline("C01")
    assert not first.is_closed
    await until(lambda: len(first.blocks) > 5)
    await world.close_connection(answer["connection"])


async def test_a_new_line_may_take_the_place_of_one_that_ended(world: World) -> None:
    """A browser gives the m-line of a stopped transceiver to the next one, under another mid."""
    client, answer = await world.connect(hum(), hum())
    await until(lambda: has_received(world, "C01", 0.3) and has_received(world, "C02", 0.3))
    own = (await client.offer())["sdp"]
    changed = own.replace("a=mid:0", "a=mid:new").replace("BUNDLE 0", "BUNDLE new")
    body = {"sdp": changed, "type": "offer", "connection": answer["connection"]}
    async with world.http.post("/offer", json=body) as response:
        again = await response.json()
        assert response.status == 200, again
    check_answer(changed, again["sdp"], ("audio", "audio", "data"))
    assert fed(again).keys() == {"new", "1"} and fed(again)["1"] == "C02"
    before = len(world.rig.pipeline("C02").blocks)
    await until(lambda: len(world.rig.pipeline("C02").blocks) > before + 5)
