"""The private names of aioice and aiortc that `OnePort` uses exist in the installed versions."""

from __future__ import annotations

import aioice.ice
import pytest
from aioice.candidate import Candidate
from aiortc import RTCConfiguration, RTCPeerConnection

from webrtc_host.errors import ConfigError
from webrtc_host.transport import aioice_seam as seam


async def test_the_installed_versions_have_every_private_name() -> None:
    seam.check_names()


@pytest.mark.parametrize(
    "name", ["get_component_candidates", "request_received", "data_received", "__init__"]
)
async def test_a_version_without_a_private_name_is_refused_with_a_message(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "__init__":
        before = aioice.ice.Connection.__init__

        def moved(self: aioice.ice.Connection, *args: object, **kwargs: object) -> None:
            before(self, *args, **kwargs)  # type: ignore[arg-type]  # as it was called
            del self._queue

        monkeypatch.setattr(aioice.ice.Connection, "__init__", moved)
        name = "_queue"
    else:
        monkeypatch.delattr(aioice.ice.Connection, name)
    with pytest.raises(ConfigError, match=rf"Connection\.{name}.*install aioice 0\.13 and aiortc 1\.16"):
        seam.check_names()


async def test_a_function_with_other_parameters_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice.Connection, "request_received", lambda self, message, addr: None)
    with pytest.raises(ConfigError, match=r"Connection\.request_received"):
        seam.check_names()


async def test_gathering_is_replaced_for_the_given_connection_only() -> None:
    ours, other = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
    for pc in (ours, other):
        pc.addTransceiver("audio")
    connection = seam.ice_connection(ours)

    async def nothing(component: int, addresses: list[str]) -> list[Candidate]:
        return []

    seam.replace_gathering(connection, nothing)
    await connection.gather_candidates()
    await seam.ice_connection(other).gather_candidates()
    assert connection.local_candidates == []
    assert seam.ice_connection(other).local_candidates != []
    await ours.close()
    await other.close()


async def test_each_ice_user_name_is_given_once() -> None:
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    pc.addTransceiver("audio")
    connection = seam.ice_connection(pc)
    taken = iter([True, True, False])
    ufrag = seam.rename(connection, lambda _: next(taken))
    assert connection.local_username == ufrag and len(ufrag) == seam.UFRAG_CHARS
    assert next(taken, None) is None
    await pc.close()


def test_udp_is_preferred_to_tcp_and_the_first_address_to_the_second() -> None:
    candidates = seam.host_candidates(("192.0.2.1", "192.0.2.2"), ("192.0.2.1", "192.0.2.2"), 8082)
    assert [(c.transport, c.host) for c in candidates] == [
        ("udp", "192.0.2.1"),
        ("udp", "192.0.2.2"),
        ("tcp", "192.0.2.1"),
        ("tcp", "192.0.2.2"),
    ]
    priorities = [c.priority for c in candidates]
    assert priorities == sorted(priorities, reverse=True) and len(set(priorities)) == 4
    assert len({c.foundation for c in candidates}) == 4


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        (b"\x00\x06\x00\x09host:peer\x00\x00\x00", "host"),
        (b"\x80\x22\x00\x03abc\x00\x00\x06\x00\x04a:bc", "a"),
        (b"\x00\x06\x00\x04abcd", "abcd"),
        (b"\x00\x24\x00\x04\x00\x00\x00\x01", None),
        (b"", None),
        (b"\x00\x06", None),
    ],
)
def test_the_user_name_of_a_request_is_found_without_parsing_the_rest(
    attributes: bytes, name: str | None
) -> None:
    header = b"\x00\x01" + len(attributes).to_bytes(2, "big") + seam.STUN_COOKIE + bytes(12)
    assert seam.username_of(header + attributes) == name
