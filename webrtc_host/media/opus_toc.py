"""Reads the length of an Opus packet from its first bytes (RFC 6716, section 3). Pure; decodes nothing."""

from __future__ import annotations

TICKS_MAX = 5760  # 120 ms at 48 kHz; no packet may be longer
PACKET_BYTES_MAX = 1275 * 48 + 100  # 48 of the longest frames, with their headers
_SILK_MS = (10, 20, 40, 60)
_HYBRID_MS = (10, 20)
_CELT_MS = (2.5, 5, 10, 20)


def ticks_of(packet: bytes) -> int:
    """Length in ticks of 48 kHz. Raises ValueError when the bytes are not an Opus packet."""
    if not packet:
        raise ValueError("an Opus packet has at least one byte")
    if len(packet) > PACKET_BYTES_MAX:
        raise ValueError(f"an Opus packet of {len(packet)} bytes is longer than {PACKET_BYTES_MAX} bytes")
    ticks = _frame_ticks(packet[0] >> 3) * _frames(packet)
    if not 0 < ticks <= TICKS_MAX:
        raise ValueError(f"an Opus packet of {ticks // 48} ms; it may hold at most 120 ms")
    return ticks


def _frame_ticks(config: int) -> int:
    if config < 12:
        frame_ms: float = _SILK_MS[config & 3]
    elif config < 16:
        frame_ms = _HYBRID_MS[config & 1]
    else:
        frame_ms = _CELT_MS[config & 3]
    return int(frame_ms * 48)


def _frames(packet: bytes) -> int:
    code = packet[0] & 3
    if code < 3:
        return 1 if code == 0 else 2
    if len(packet) < 2:
        raise ValueError("an Opus packet without the byte that says how many frames it holds")
    return packet[1] & 0x3F
