"""Candidates from STUN and TURN servers, for all peers of the one port.

A STUN server is requested at most once in REFLEXIVE_S, because all peers share the one port and so have the
same reflexive address. A server that gave nothing is not waited for again in that time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from aioice.candidate import Candidate

from webrtc_host.seams import Clock
from webrtc_host.transport import aioice_seam as seam
from webrtc_host.transport.udp_socket import Address

logger = logging.getLogger(__name__)

REFLEXIVE_S = 60.0  # the reply of a STUN server, or its silence, is used for all peers for so long


class ServerCandidates:
    def __init__(self, clock: Clock, may_log: Callable[[str], bool]) -> None:
        """may_log: whether a log line of this kind may be written now."""
        self._clock, self._may_log = clock, may_log
        # (valid until, result), by STUN server
        self._reflexive: dict[Address, tuple[float, Candidate | None]] = {}
        self._relay_missed_s: dict[object, float] = {}  # when a TURN server gave no relay, by server

    async def reflexive(self, server: Address, protocol: Any) -> list[Candidate]:
        """The address of the one port as the STUN server sees it. protocol: sends the request."""
        until_s, seen = self._reflexive.get(server, (float("-inf"), None))
        if self._clock() >= until_s:
            seen = await seam.query_stun(protocol, server)
            self._reflexive[server] = (self._clock() + REFLEXIVE_S, seen)
            if seen is None and self._may_log("stun"):
                logger.warning("the STUN server %s:%s does not answer", server[0], server[1])
        return [] if seen is None else [seen]

    def expects_relay(self, server: object) -> bool:
        """False for REFLEXIVE_S after a TURN server gave no relay, so that not every answer waits for it."""
        return self._clock() >= self._relay_missed_s.get(server, float("-inf")) + REFLEXIVE_S

    def note_missing_relay(self, server: object) -> None:
        self._relay_missed_s[server] = self._clock()
        if self._may_log("turn"):
            logger.warning(
                "the TURN server %s gave no relay; check its credential, and that it can be reached", server
            )
