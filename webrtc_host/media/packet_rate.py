"""How many packets one peer may send: a bucket that fills at a steady rate and holds some seconds of it.

Pure; `now_s` comes from the caller. The bucket is so large that what waited during a stall of the network or
of this process passes at once; who empties it is flooding.
"""

from __future__ import annotations

LINE_PER_S = 450  # an audio line: 50 packets a second as browsers send, 400 with packets of 2.5 ms
BASE_PER_S = 500  # ICE, RTCP, the data channel
BURST_S = 10.0


class PacketRate:
    def __init__(self, per_s: float, burst: float, now_s: float) -> None:
        """burst: packets that may come at once after a pause."""
        self.per_s = per_s
        self._size = burst
        self._left = burst
        self._at_s = now_s

    def allows(self, now_s: float) -> bool:
        """Take one packet out of the bucket; False when it is empty."""
        if now_s > self._at_s:
            self._left = min(self._size, self._left + (now_s - self._at_s) * self.per_s)
            self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


def rate_of_lines(lines: int, now_s: float) -> PacketRate:
    """What a peer with so many audio lines may send."""
    per_s = BASE_PER_S + LINE_PER_S * lines
    return PacketRate(per_s, per_s * BURST_S, now_s)
