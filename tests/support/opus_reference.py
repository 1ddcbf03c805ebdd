"""Ask libopus about a packet: the reference for the server's own reading of packets."""

from __future__ import annotations

import ctypes

from host_stt.contract import SAMPLE_RATE
from webrtc_host.media.libopus import library


def packet_samples(payload: bytes) -> int:
    """Length of a packet at 16 kHz; 0 when libopus cannot read it."""
    count = library().opus_packet_get_nb_samples
    count.restype, count.argtypes = ctypes.c_int, [ctypes.c_char_p, ctypes.c_int32, ctypes.c_int32]
    return max(0, int(count(payload, len(payload), SAMPLE_RATE)))
