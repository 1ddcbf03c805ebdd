"""The encodings of audio that clients send over sockets, and the recognition of a container. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

SNIFF_BYTES = 12
"""As many bytes of a container decide which one it is."""


class Encoding(StrEnum):
    """The encodings of our own socket, and the raw ones of every other protocol."""

    S16 = "pcm_s16le"
    F32 = "pcm_f32le"
    ULAW = "mulaw"
    ALAW = "alaw"
    OPUS = "opus"  # one packet per frame
    WEBM = "webm"
    OGG = "ogg"

    @property
    def is_raw(self) -> bool:
        """True when the audio itself does not contain its sample rate."""
        return not self.is_container and self is not Encoding.OPUS

    @property
    def is_container(self) -> bool:
        return self in (Encoding.WEBM, Encoding.OGG)


class Container(StrEnum):
    """Audio that names its own format, cut into messages anywhere. `media.container` decodes it."""

    WEBM = "webm"
    OGG = "ogg"
    WAV = "wav"
    FLAC = "flac"
    MP3 = "mp3"
    MP4 = "mp4"
    AAC = "aac"  # ADTS
    AMR = "amr"
    ANY = "any"  # found out from the first bytes


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """What the binary messages of a client are."""

    encoding: Encoding | Container
    sample_rate: int = 48_000
    """Hz, for raw samples."""
    channels: int = 1
    """Of raw samples, interleaved."""

    @property
    def is_container(self) -> bool:
        return isinstance(self.encoding, Container) or self.encoding.is_container


def sniffed(head: bytes) -> Container | None:
    """The container that begins with these bytes (SNIFF_BYTES or more); None: it is none of those known."""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return Container.WAV
    for magic, container in (
        (b"OggS", Container.OGG),
        (b"fLaC", Container.FLAC),
        (b"\x1aE\xdf\xa3", Container.WEBM),
        (b"#!AMR", Container.AMR),
        (b"ID3", Container.MP3),
    ):
        if head.startswith(magic):
            return container
    if head[4:8] == b"ftyp":
        return Container.MP4
    if len(head) >= 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        # Both MP3 and ADTS begin with twelve set bits; ADTS has layer 0, which MPEG audio does not use.
        return Container.MP3 if head[1] & 0x06 else Container.AAC
    return None
