"""The numbers of layers in a `model.bin` of CTranslate2, which its library does not tell.

Reads the names of the weights and skips the weights themselves. OpenAI's models that translate have as many
layers in the decoder as in the encoder. Models with fewer (large-v3-turbo, Distil-Whisper) were trained
without translation: asked for it, they write what was said.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import BinaryIO

_VERSIONS = (4, 5, 6)
"""Of the binary format; all three write the names and sizes of the weights in the same way."""
_LAYER = re.compile(r"(encoder|decoder)/layer_(\d+)/")


def has_shallow_decoder(model_bin: Path) -> bool:
    """True if the decoder has fewer layers than the encoder. False for a file in an unknown format."""
    try:
        with model_bin.open("rb") as file:
            encoder, decoder = _layers(file)
    except (ValueError, struct.error):
        return False
    return decoder < encoder


def _layers(file: BinaryIO) -> tuple[int, int]:
    """(layers of the encoder, layers of the decoder). Raises ValueError for another format."""
    (version,) = struct.unpack("<I", file.read(4))
    if version not in _VERSIONS:
        raise ValueError(f"binary version {version}")
    _text(file)  # the name of the specification
    _, count = struct.unpack("<II", file.read(8))
    layers: dict[str, set[str]] = {"encoder": set(), "decoder": set()}
    for _ in range(count):
        if found := _LAYER.match(_text(file)):
            layers[found[1]].add(found[2])
        (rank,) = struct.unpack("<B", file.read(1))
        file.seek(4 * rank, 1)
        _, size = struct.unpack("<BI", file.read(5))
        file.seek(size, 1)
    return len(layers["encoder"]), len(layers["decoder"])


def _text(file: BinaryIO) -> str:
    (size,) = struct.unpack("<H", file.read(2))
    return file.read(size).rstrip(b"\0").decode()
