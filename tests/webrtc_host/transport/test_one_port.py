"""All peers on one port: real aiortc clients over UDP and TCP, and clients that misbehave."""

from __future__ import annotations

import asyncio
import socket
from random import Random

import aioice.stun
import pytest

from host_stt_common.rates import Bucket
from tests.support.one_port import (
    Ice,
    Relay,
    Served,
    binding_request,
    serving,
    udp,
    values,
    without_candidates,
)
from tests.support.peers import Client, SampleTrack, onsets_of, tone_bursts
from tests.support.polling import until
from webrtc_host.config import IceServer, MediaConfig
from webrtc_host.seams import EventType
from webrtc_host.transport import packet_rate
from webrtc_host.transport.udp_socket import Packet

pytestmark = pytest.mark.peer

ONSETS = (0.4, 1.0, 1.7)
STUN_SUCCESS = b"\x01\x01"


def hum(hertz: float = 500) -> SampleTrack:
    return SampleTrack(tone_bursts(hertz, ONSETS, 2.4))


def seconds(served: Served, channel: str) -> float:
    found = [p for p in served.rig.pipelines if p.channel.id == channel]
    return sum(len(b.samples) for b in found[-1].blocks) / 16_000 if found else 0.0


def assert_bursts_received(served: Served, channel: str) -> None:
    heard = onsets_of(served.rig.pipeline(channel).audio())
    assert len(heard) == len(ONSETS), heard
    for at, true in zip(heard, ONSETS, strict=True):
        assert abs((at - heard[0]) - (true - ONSETS[0])) < 0.03, heard


def closed_with(served: Served, channel: str) -> list[str]:
    logs = served.rig.logs.values()
    return [event["reason"] for log in logs for event in log.of(EventType.CHANNEL_CLOSED, channel)]


async def offered(served: Served) -> Ice:
    """A peer that the server waits for; a client with the answer may connect."""
    client = Client([hum()])
    served.clients.append(client)
    offer = await client.offer()
    offer["sdp"] = without_candidates(offer["sdp"])
    async with served.http.post("/offer", json=offer) as response:
        return Ice.of(offer["sdp"], (await response.json())["sdp"])


async def test_audio_of_several_peers_arrives_through_the_one_udp_port() -> None:
    async with serving() as served:
        for hertz in (400, 700, 1100):
            await served.connect(hum(hertz))
        await until(lambda: all(seconds(served, channel) > 2.2 for channel in ("C01", "C02", "C03")))
        assert served.figure("peers_udp") == 3
        assert served.figure("unknown") == served.figure("errors") == served.figure("dropped") == 0
        for channel in ("C01", "C02", "C03"):
            assert_bursts_received(served, channel)


async def test_every_candidate_of_an_answer_names_the_one_port_over_udp_and_tcp() -> None:
    async with serving() as served:
        ice = await offered(served)
        fields = [candidate.split() for candidate in ice.candidates]
        assert {f[5] for f in fields} == {str(served.number)}
        assert all(f[f.index("tcptype") + 1] == "passive" for f in fields if f[2] == "tcp")
        assert "127.0.0.1" in {f[4] for f in fields if f[2] == "udp"}, "a browser without a network"
        assert {f[4] for f in fields if f[2] == "tcp"} == {"127.0.0.1"}, "where TCP listens"
        assert len(ice.ufrag) == 12


async def test_on_every_address_loopback_is_not_offered_if_there_are_others() -> None:
    async with serving(host="0.0.0.0") as served:
        ice = await offered(served)
        told = {c.split()[4] for c in ice.candidates}
        found = [a for a in served.hosts.found() if ":" not in a and not a.startswith("127.")]
        assert told == (set(found) or {"127.0.0.1"})
        assert {c.split()[2] for c in ice.candidates} == {"udp", "tcp"}


async def test_a_server_on_loopback_accepts_only_peers_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving() as served, udp() as client:
        ice = await offered(served)
        monkeypatch.setattr(served.hosts, "is_own", lambda address: False)
        client.transport.sendto(binding_request(ice), ("127.0.0.1", served.number))
        await until(lambda: served.figure("unknown") == 1)
        assert served.figure("addresses") == 0


async def test_behind_a_proxy_on_loopback_remote_peers_connect_over_udp(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(MediaConfig(trusted_proxies=("127.0.0.1",))) as served, udp() as client:
        ice = await offered(served)
        told = {tuple(c.split()[i] for i in (2, 4)) for c in ice.candidates}
        found = [a for a in served.hosts.found() if ":" not in a and not a.startswith("127.")]
        assert told == {("udp", address) for address in found or ["127.0.0.1"]}
        monkeypatch.setattr(served.hosts, "is_own", lambda address: False)
        client.transport.sendto(binding_request(ice), ("127.0.0.1", served.number))
        await until(lambda: bool(client.got))


async def test_announced_addresses_replace_the_found_ones() -> None:
    async with serving(MediaConfig(announce=("203.0.113.9", "2001:db8::9"))) as served:
        ice = await offered(served)
        assert {c.split()[4] for c in ice.candidates} == {"203.0.113.9", "2001:db8::9"}
        assert len(ice.candidates) == 4, "each over UDP and TCP, once"


async def test_audio_arrives_over_ipv6() -> None:
    async with serving(host="::1") as served, Relay(served.number, host="::1") as relay:
        await served.connect_through(relay, hum())
        await until(lambda: seconds(served, "C01") > 2.2)
        assert_bursts_received(served, "C01")
        assert all(":" in address for address in served.port.addresses())


@pytest.mark.parametrize("over_tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_on_every_address_audio_arrives_over_either_family(host: str, over_tcp: bool) -> None:
    async with serving(host="::") as served, Relay(served.number, host=host, over_tcp=over_tcp) as relay:
        _, answer = await served.connect_through(relay, hum())
        told = {line.split()[4] for line in values(answer["sdp"], "candidate")}
        assert {":" in address for address in told} == {True, False}, "candidates of both families"
        assert not [address for address in told if "ffff" in address]
        await until(lambda: seconds(served, "C01") > 1.0)
        if not over_tcp:
            assert served.port.addresses() == {host}


async def test_audio_of_a_peer_that_reaches_only_the_tcp_port_arrives_over_tcp() -> None:
    async with serving() as served, Relay(served.number, over_tcp=True) as relay:
        await served.connect_through(relay, hum())
        await until(lambda: seconds(served, "C01") > 2.2)
        assert served.figure("peers_tcp") == served.figure("tcp_connections") == 1
        assert_bursts_received(served, "C01")
        await served.clients[0].close()
        await until(lambda: served.figure("tcp_connections") == 0)


async def test_a_peer_with_a_new_nat_address_continues_from_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The client sends an ICE check this often; the default is 5 s.
    monkeypatch.setattr("aioice.ice.CONSENT_INTERVAL", 0.5)
    async with serving() as served, Relay(served.number) as relay:
        client, _ = await served.connect_through(relay, hum())
        await until(lambda: seconds(served, "C01") > 0.5)
        before = seconds(served, "C01")
        await relay.move()
        await until(lambda: seconds(served, "C01") > before + 2.5)
        came_back = relay.came_back
        await until(lambda: relay.came_back > came_back + 3)
        assert client.pc.connectionState == "connected", "the server sends to the new address too"
        assert served.figure("addresses") == 2


async def test_a_reply_comes_from_the_address_of_the_request() -> None:
    """A server with several addresses must not reply from another one; the client would ignore the reply."""
    async with serving() as served, udp("0.0.0.0") as client:
        ice = await offered(served)
        hosts = [c.split()[4] for c in ice.candidates if " udp " in c and ":" not in c.split()[4]]
        for host in hosts:
            client.got.clear()
            client.transport.sendto(binding_request(ice), (host, served.number))
            await until(lambda: any(data[:2] == STUN_SUCCESS for data, _ in client.got))
            assert {source for data, source in client.got if data[:2] == STUN_SUCCESS} == {
                (host, served.number)
            }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\x00\x01" + bytes(18),
        b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12),
        b"\x00\x01\xff\xff\x21\x12\xa4\x42" + bytes(12) + b"\x00\x06\xff\xff",
        b"\x01\x01\x00\x00\x21\x12\xa4\x42" + bytes(12),
        b"\x80" + bytes(60),
        b"\x16\xfe\xfd" + bytes(60),
        bytes(1900),
    ],
    ids=["empty", "one", "no cookie", "no name", "long name", "answer", "rtp", "dtls", "zeros"],
)
async def test_a_packet_from_an_unknown_sender_is_counted_and_dropped(data: bytes) -> None:
    async with serving() as served:
        await offered(served)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.sendto(data, ("127.0.0.1", served.number))
            await until(lambda: served.figure("unknown") == 1)
            assert served.figure("errors") == served.figure("addresses") == 0
            with pytest.raises(BlockingIOError):  # no answer
                client.recv(2048)


async def test_a_check_with_a_wrong_password_gets_no_reply_and_no_table_entry() -> None:
    async with serving() as served, udp() as client:
        ice = await offered(served)
        client.transport.sendto(binding_request(ice, password="x" * 22), ("127.0.0.1", served.number))
        await until(lambda: served.figure("unsigned") == 1)
        client.transport.sendto(b"\x80" + bytes(60), ("127.0.0.1", served.number))
        await until(lambda: served.figure("unknown") == 1)
        assert client.got == []


async def test_a_packet_that_raises_an_error_is_dropped_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as served, udp() as client:
        ice = await offered(served)
        peer = served.port.attached[0]
        received = peer.connection.request_received
        peer.connection.request_received = lambda *_: 1 / 0
        for _ in range(3):
            client.transport.sendto(binding_request(ice), ("127.0.0.1", served.number))
        await until(lambda: served.figure("errors") == 3)
        peer.connection.request_received = received
        client.transport.sendto(binding_request(ice), ("127.0.0.1", served.number))
        await until(lambda: bool(client.got))
    assert len([r for r in caplog.records if r.exc_info]) == 1, "at most one traceback a minute"


async def test_one_peer_cannot_fill_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webrtc_host.transport.muxed_peer.ADDRESSES_MAX", 5)
    async with serving() as served:
        ice = await offered(served)
        for _ in range(8):
            async with udp() as client:
                client.transport.sendto(binding_request(ice), ("127.0.0.1", served.number))
                await until(lambda: bool(client.got) or served.figure("unknown") > 0)
        assert served.figure("addresses") == 5


async def test_a_peer_that_floods_is_cut_off_and_the_others_continue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The default is the packets of ten seconds, which a busy machine needs long to process.
    monkeypatch.setattr(packet_rate, "BURST_S", 1.0)
    async with serving() as served:
        flooder, _ = await served.connect(hum(400))
        await until(lambda: seconds(served, "C01") > 0.2)
        await served.connect(hum(700))
        transport = flooder.pc.getSenders()[0].transport.transport
        # If the server does not cut the flood off, pytest's timeout ends the test.
        while not served.figure("cut"):
            for _ in range(200):
                await transport._send(b"\x80\x6f" + bytes(160))
            await asyncio.sleep(0)
        await until(lambda: closed_with(served, "C01") == ["flood"])
        assert served.figure("cut") == 1
        await until(lambda: seconds(served, "C02") > 2.2)
        assert_bursts_received(served, "C02")
        assert closed_with(served, "C02") == []


async def test_the_socket_filter_drops_packets_of_a_cut_off_peer_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("webrtc_host.transport.port_sockets.BLOCKED_S", 0.5)
    async with serving() as served, udp() as client, udp() as other:
        ice = await offered(served)
        client.transport.sendto(binding_request(ice), ("127.0.0.1", served.number))
        await until(lambda: bool(client.got))
        served.port.cut_off(served.port.attached[0])
        packets = served.figure("packets")
        client.transport.sendto(b"\x80" + bytes(60), ("127.0.0.1", served.number))
        other.transport.sendto(b"\x80" + bytes(60), ("127.0.0.1", served.number))
        await until(lambda: served.figure("unknown") == 1)
        assert served.figure("packets") == packets + 1

        def is_read_again() -> bool:
            client.transport.sendto(b"\x80" + bytes(60), ("127.0.0.1", served.number))
            return served.figure("unknown") >= 2

        await until(is_read_again)


async def test_the_queue_of_a_peer_that_is_not_read_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webrtc_host.transport.one_port.WAITING_MAX", 50)
    async with serving() as served, udp() as client:
        ice = await offered(served)
        client.transport.sendto(binding_request(ice), ("127.0.0.1", served.number))
        await until(lambda: bool(client.got))
        for _ in range(80):
            client.transport.sendto(b"\x80" + bytes(60), ("127.0.0.1", served.number))
        await until(lambda: served.figure("overflowed") == 30)


async def test_tables_are_empty_after_peers_ended_in_every_way() -> None:
    async with serving(MediaConfig(connect_timeout_s=0.5)) as served:
        for number in range(8):
            if number % 4 == 0:
                await offered(served)
            elif number % 4 == 1:
                async with Relay(served.number, over_tcp=True) as relay:
                    client, _ = await served.connect_through(relay, hum())
                    await until(lambda c=client: c.pc.connectionState == "connected")  # type: ignore[misc]
                    await client.close()
            else:
                client, _ = await served.connect(hum())
                if number % 4 == 2:
                    await until(lambda c=client: c.pc.connectionState == "connected")  # type: ignore[misc]
                await client.close()
        await until(lambda: not served.rig.registry.connections)
        tables = ("peers", "addresses", "tcp_connections", "transactions")
        await until(lambda: not any(served.figure(name) for name in tables))


async def test_a_handshake_that_never_ends_is_stopped_after_a_time() -> None:
    async with serving(MediaConfig(connect_timeout_s=1.5)) as served:
        client = Client([hum()])
        served.clients.append(client)
        offer = await client.offer()
        transport = client.pc.getSenders()[0].transport.transport
        send = transport._send

        async def without_dtls(data: bytes) -> None:
            if not 20 <= data[0] <= 63:
                await send(data)

        transport._send = without_dtls
        async with served.http.post("/offer", json=offer) as response:
            client.answer = await response.json()
        await client.apply_answer()
        await until(lambda: served.figure("peers_udp") == 1)  # ICE is connected
        await until(lambda: not served.rig.registry.connections)
        assert served.figure("addresses") == 0


async def test_a_wrong_fingerprint_prevents_the_connection_and_frees_the_channel() -> None:
    async with serving() as served:
        client = Client([hum()])
        served.clients.append(client)
        offer = await client.offer()
        head, _, rest = offer["sdp"].partition("a=fingerprint:sha-256 ")
        assert rest, "aiortc gives SHA-256 first"
        other = "00" if rest[:2] != "00" else "11"
        offer["sdp"] = f"{head}a=fingerprint:sha-256 {other}{rest[2:]}"
        async with served.http.post("/offer", json=offer) as response:
            client.answer = await response.json()
        await client.apply_answer()
        await until(lambda: not served.rig.registry.connections)
        assert served.rig.pipelines == [] or served.rig.pipelines[-1].blocks == []


async def test_replayed_packets_are_not_decoded_twice() -> None:
    async with serving() as served, Relay(served.number) as relay:
        kept: list[bytes] = []

        def replay(data: bytes) -> list[bytes]:
            if not 128 <= data[0] <= 191:
                return [data]
            kept.append(data)
            return [data, kept[0], kept[len(kept) // 2], data]

        relay.on_way_out = replay
        await served.connect_through(relay, hum())
        await until(lambda: seconds(served, "C01") > 2.2)
        assert_bursts_received(served, "C01")
        assert len(kept) > 80


async def test_only_a_limited_number_of_candidates_is_tried() -> None:
    async with serving() as served:
        client = Client([hum()])
        served.clients.append(client)
        offer = await client.offer()
        many = "".join(f"a=candidate:{n} 1 udp 1 127.0.0.1 {20_000 + n} typ host\r\n" for n in range(1000))
        offer["sdp"] = offer["sdp"].replace("a=ice-ufrag", f"{many}a=ice-ufrag", 1)
        async with served.http.post("/offer", json=offer) as response:
            assert response.status == 200
        peer = served.port.attached[0]
        assert len(peer.connection._check_list) <= 2 * 64
        assert served.figure("errors") == 0


async def test_a_tcp_stream_above_the_limit_of_its_peer_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webrtc_host.transport.muxed_peer.STREAMS_MAX", 2)
    async with serving() as served:
        ice = await offered(served)
        request = binding_request(ice)
        writers = []
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", served.number)
            writer.write(len(request).to_bytes(2, "big") + request)
            writers.append(writer)
            answer = await reader.read(2)
        assert answer == b"", "the third is closed"
        assert served.figure("tcp_connections") == 2
        for writer in writers:
            writer.close()
        await until(lambda: served.figure("tcp_connections") == 0)


async def test_mutated_requests_are_dropped_without_an_error() -> None:
    async with serving() as served:
        ice = await offered(served)
        peer = served.port.attached[0]
        peer.new_address_budget = Bucket(1e6, 1e6)  # no limit, so that all requests are read
        good, random = binding_request(ice), Random(7)
        packets = []
        for _ in range(5000):
            data = bytearray(good)
            for at in random.sample(range(len(data)), random.randint(1, 4)):
                data[at] ^= random.randrange(1, 256)
            packets.append(Packet(bytes(data[: random.randint(1, len(data))]), ("127.0.0.1", 9), None))
        served.port.on_udp_packets(socket.AF_INET, packets)
        assert served.figure("errors") == served.figure("addresses") == 0
        assert served.figure("unknown") + served.figure("unsigned") == 5000


def stun_answer(request: bytes, seen: tuple[str, int]) -> bytes:
    """The response of a STUN server to a request."""
    message = aioice.stun.parse_message(request)
    answer = aioice.stun.Message(
        aioice.stun.Method.BINDING, aioice.stun.Class.RESPONSE, message.transaction_id
    )
    answer.attributes["XOR-MAPPED-ADDRESS"] = seen
    return bytes(answer)


async def test_one_stun_request_serves_all_peers_and_its_address_is_offered() -> None:
    async with udp() as stun:
        asked = []

        def answer(data: bytes, source: tuple[str, int]) -> None:
            asked.append(source[1])
            stun.transport.sendto(stun_answer(data, ("203.0.113.9", 4711)), source)

        stun.on_data = answer
        host, number = stun.transport.get_extra_info("sockname")[:2]
        servers = (IceServer(urls=(f"stun:{host}:{number}",)),)
        async with serving(MediaConfig(ice_servers=servers)) as served:
            for _ in range(2):
                ice = await offered(served)
                assert [c for c in ice.candidates if " 203.0.113.9 4711 typ srflx " in c]
            assert asked == [served.number], "the request comes from the server's port"


async def test_stun_servers_that_do_not_respond_delay_by_two_seconds_and_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with udp() as silent:
        host, number = silent.transport.get_extra_info("sockname")[:2]
        servers = (IceServer(urls=(f"stun:{host}:{number}", f"turn:{host}:{number}"), secret="s"),)
        async with serving(MediaConfig(ice_servers=servers)) as served:
            for _ in range(5):  # at two seconds each it would take ten
                ice = await offered(served)
                assert {c.split()[7] for c in ice.candidates} == {"host"}
            asked = {data[8:20] for data, _ in silent.got}
            assert len(asked) == 2, "one request of each kind"
    warnings = sorted(r.getMessage() for r in caplog.records if r.levelname == "WARNING")
    assert len(warnings) == 2, "once a minute each"
    assert warnings[0].startswith(f"the STUN server {host}:{number} does not answer")
    assert warnings[1].startswith("the TURN server")
