"""Which numeric addresses this server may send requests to: public ones, and those that are listed.

An address of the server's own network could be one that only the server may reach (a router, a metadata
service, the engine). So such addresses are refused unless the configuration allows their network. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
NAT64 = ip_network("64:ff9b::/96")


def networks_of(texts: Sequence[str]) -> tuple[Network, ...]:
    return tuple(ip_network(text, strict=False) for text in texts)


def is_allowed(text: str, allowed: Sequence[Network]) -> bool:
    """Whether a request may be sent to this numeric address. False for a text that is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    forms = _forms(address)
    if any(form in network for form in forms for network in allowed if form.version == network.version):
        return True
    return all(form.is_global and not form.is_multicast and not form.is_reserved for form in forms)


def _forms(address: Address) -> tuple[Address, ...]:
    """The address, and the IPv4 address inside it: a router may unwrap it."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address in NAT64:
        return (IPv4Address(int(address) & 0xFFFFFFFF),)
    inner = address.sixtofour or (address.teredo[1] if address.teredo else None)
    return (address,) if inner is None else (address, inner)
