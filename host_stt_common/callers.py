"""The key that limits count a caller by: one key for each address that a machine or a household has.

Pure. All limits on connections, requests, wrong tokens and places count by these keys.
"""

from __future__ import annotations

import ipaddress

LOOPBACK = "loopback"
"""The key of 127.0.0.0/8 and ::1: this machine itself."""
IPV6_PREFIX_BITS = 64
"""A customer or network gets at least a /64 (RFC 6177), so addresses of one /64 count as one caller."""

MAPPED_BITS = 96
"""The prefix length of IPv4-mapped addresses, ::ffff:0:0/96."""


def plain_address(address: str) -> str:
    """An IPv4-mapped address (::ffff:192.0.2.1, written by proxies on both families) as the IPv4 address.

    Any other text is returned unchanged.
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
    """The key that limits count by: an IPv4 address unchanged, an IPv6 address as its /64 network.

    An IPv4-mapped address (::ffff:192.0.2.1) counts as the IPv4 address. The zone (fe80::1%eth0) is removed.
    Every loopback address is "loopback". Text that is not an address is returned unchanged.
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
