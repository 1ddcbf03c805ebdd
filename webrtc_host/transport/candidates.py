"""Remote ICE candidates: decides which of them can be used, and writes them in a form that aiortc can read.

Pure: the rules for one `a=candidate` value (RFC 8839). Leaving a candidate out does no harm: the server finds
the client by the packets that it sends.
"""

from __future__ import annotations

import ipaddress
import re

CANDIDATES_MAX = 64  # per transport; a browser sends a handful
KINDS = ("host", "srflx", "prflx", "relay")
PRIORITY_MAX = 2**32 - 1
_FOUNDATION = re.compile(r"[!-~]{1,32}")
_NUMBER = re.compile(r"[0-9]{1,10}")
_BROADCAST = ipaddress.ip_address("255.255.255.255")


def usable_candidate(text: str) -> str | None:
    """The value of an `a=candidate` line without its extensions; None when it cannot be used.

    text: what follows `a=candidate:`. Not usable are: TCP, the component of RTCP (it is multiplexed), host
    names (no name is resolved), zone indexes (they are valid on one machine only), and addresses or ports
    that no client can have. Transport and type are compared without regard to case, as RFC 8839 defines them.
    """
    fields = text.split()
    if len(fields) < 8 or fields[6].lower() != "typ":
        return None
    foundation, component, transport, priority, host, port, _, kind = fields[:8]
    if component != "1" or transport.lower() != "udp" or kind.lower() not in KINDS:
        return None
    if not (_FOUNDATION.fullmatch(foundation) and _NUMBER.fullmatch(priority) and _NUMBER.fullmatch(port)):
        return None
    address = _address(host)
    if address is None or not 0 < int(port) < 65536 or int(priority) > PRIORITY_MAX:
        return None
    return f"{foundation} 1 udp {int(priority)} {address} {int(port)} typ {kind.lower()}"


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if "%" in text:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    is_unusable = address.is_unspecified or address.is_multicast or address == _BROADCAST
    return None if is_unusable else address
