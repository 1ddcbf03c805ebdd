"""The one place where aiortc and aioice are changed to fit this server. Both are pinned to the minor version.

Owns every reach into their module state; peers of their own kind in the same process (tests) see it too.
"""

from __future__ import annotations

import aioice.ice
from aiortc.codecs import CODECS

OPUS_WISHES: dict[str, int | str | None] = {"minptime": 10, "useinbandfec": 1, "stereo": 0}
"""What the answer asks of the sender: repair data for lost packets, one channel, packets of 10 ms or more.

No `usedtx`: with it pauses are not sent, and a silent source cannot be told from a dead one.
"""


def fit_aiortc() -> None:
    """Ask for Opus as speech needs it; let a machine without a network talk to itself. Twice is harmless."""
    for codec in CODECS["audio"]:
        if codec.mimeType.lower() == "audio/opus":
            codec.parameters.update(OPUS_WISHES)
    if aioice.ice.get_host_addresses is not _host_addresses:
        aioice.ice.get_host_addresses = _host_addresses


_found_addresses = aioice.ice.get_host_addresses


def _host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    """As aioice finds them; 127.0.0.1, which it leaves out, when there is nothing else."""
    found: list[str] = _found_addresses(use_ipv4=use_ipv4, use_ipv6=use_ipv6)
    return found or ["127.0.0.1"]
