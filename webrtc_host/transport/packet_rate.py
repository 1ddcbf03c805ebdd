"""The limit of packets of one peer, from the number of its audio lines.

Pure. The bucket holds ten seconds of packets, so packets that waited during a stall of the network or of this
process pass at once. A peer that empties the bucket is flooding.
"""

from __future__ import annotations

from host_stt_common.rates import Bucket

LINE_PER_S = 450  # an audio line: 50 packets a second as browsers send, 400 with packets of 2.5 ms
BASE_PER_S = 500  # ICE, RTCP, the data channel
BURST_S = 10.0


def rate_of_lines(lines: int) -> Bucket:
    """What a peer with so many audio lines may send; each packet takes one token."""
    per_s = BASE_PER_S + LINE_PER_S * lines
    return Bucket(per_s, per_s * BURST_S)
