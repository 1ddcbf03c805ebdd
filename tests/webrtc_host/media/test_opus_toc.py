"""The length of a packet, read from its first bytes and compared with libopus."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.opus_reference import packet_samples
from webrtc_host.media.opus_toc import ticks_of


@pytest.mark.parametrize(
    ("packet", "milliseconds"),
    [
        (b"\x00", 10),  # SILK narrowband, one frame
        (b"\x18", 60),
        (b"\x48", 20),  # SILK wideband: Chromium with maxplaybackrate=16000
        (b"\x60", 10),  # hybrid
        (b"\x78", 20),  # Chromium's own choice
        (b"\x80", 2.5),  # CELT
        (b"\xfc", 20),
        (b"\xfd", 40),  # two frames
        (b"\xfb\x06", 120),  # six frames
    ],
)
def test_the_length_is_read_from_the_first_bytes(packet: bytes, milliseconds: float) -> None:
    assert ticks_of(packet) == milliseconds * 48


@pytest.mark.parametrize("packet", [b"", b"\xfb", b"\xfb\x07", b"\xfb\x00", b"\x1b\x03", bytes(70_000)])
def test_invalid_packets_are_refused(packet: bytes) -> None:
    with pytest.raises(ValueError, match="an Opus packet"):
        ticks_of(packet)


@given(st.binary(min_size=1, max_size=8))
def test_libopus_reads_the_same_length(packet: bytes) -> None:
    try:
        ours = ticks_of(packet) // 3
    except ValueError:
        ours = 0
    assert ours == packet_samples(packet)
