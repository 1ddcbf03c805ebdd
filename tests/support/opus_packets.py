"""Opus packets and stored files for the tests of the archive."""

from __future__ import annotations

from pathlib import Path

from host_stt.contract import Float32Array
from webrtc_host.archive import ogg
from webrtc_host.archive.encoding import RunEncoder
from webrtc_host.archive.files import ArchiveFile, packets_of
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.seams import Block, OpusPacket

MS = 16
KEY = ChannelKey("s_1", "C01")


def packet_at(ms: int, payload: bytes = ogg.SILENCE_20_MS) -> OpusPacket:
    return OpusPacket(ms * MS, 320, payload)


def packets_between(from_ms: int, to_ms: int) -> list[OpusPacket]:
    """Packets of 20 ms, each with a different payload."""
    return [packet_at(ms, ogg.SILENCE_20_MS + ms.to_bytes(4, "big") * 15) for ms in range(from_ms, to_ms, 20)]


def encoded(samples: Float32Array, start: int = 0, piece: int = 777) -> list[OpusPacket]:
    encoder = RunEncoder(start)
    packets: list[OpusPacket] = []
    for at in range(0, len(samples), piece):
        packets += encoder.feed(Block(start + at, samples[at : at + piece]))
    return packets + encoder.flush()


def stored_packets(folder: Path, place: ChannelKey = KEY) -> list[OpusPacket]:
    """All packets in the files of one channel, in the order of the files."""
    found: list[OpusPacket] = []
    for path in sorted((folder / place.session / place.channel).iterdir()):
        if path.suffix in (".opus", ".part"):
            start = int(path.stem.partition("-")[0])
            found += packets_of(folder, ArchiveFile(start, path.stem, place))
    return found
