"""Who a caller is, as far as limits go: one key for each address that one machine or household has.

Pure. Everything that counts callers (connections, requests, wrong tokens, places) counts by these keys.
"""

from __future__ import annotations

import ipaddress

LOOPBACK = "loopback"
"""The key of 127.0.0.0/8 and ::1: this machine itself."""
IPV6_PREFIX_BITS = 64
"""A customer or network gets a /64 at least (RFC 6177): its addresses cannot be told from one another."""

MAPPED_BITS = 96
"""What all IPv4-mapped addresses begin with: ::ffff:0:0/96."""


def plain_address(address: str) -> str:
    """An IPv4-mapped address (::ffff:192.0.2.1, as proxies on both families write it) as the IPv4 address.

    Anything else, also what is no address, is returned as it is.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return address if mapped is None else str(mapped)


def plain_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The network that `text` names; one of IPv4-mapped addresses as the IPv4 network. Raises ValueError."""
    network = ipaddress.ip_network(text, strict=False)
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is None or network.prefixlen < MAPPED_BITS:
        return network
    return ipaddress.IPv4Network((mapped, network.prefixlen - MAPPED_BITS))


def caller_key(address: str) -> str:
    """The key that limits are counted by: an IPv4 address as it is, an IPv6 address as its /64 network.

    An IPv4-mapped address (::ffff:192.0.2.1) counts as the IPv4 address; the zone (fe80::1%eth0) is left out;
    every loopback address is "loopback". What is no address is returned as it is.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0].strip("[]"))
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        elif not parsed.is_loopback:
            return str(ipaddress.ip_network((parsed.packed, IPV6_PREFIX_BITS), strict=False))
    return LOOPBACK if parsed.is_loopback else str(parsed)
