"""Window forms: how long the input is that a window is padded to before it is encoded.

`full` is 30 s, the length that Whisper was trained on. `short` is 10, 15, 20 or 30 s, whichever leaves at
least 2.5 s of silence after the audio; encoding it takes a quarter of the time. Weights may repeat themselves
on short input, so `auto` uses it only for weights that were measured (docs/explanation/windows.md).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class WindowForm(StrEnum):
    AUTO = "auto"
    FULL = "full"
    SHORT = "short"


@dataclass(frozen=True, slots=True)
class MeasuredWeights:
    """Weights that are as accurate on short windows as on full ones. Figures: docs/explanation/windows.md."""

    name: str
    size_bytes: int  # of model.bin
    sha256: str  # of model.bin


SHORT_WORKS = (
    MeasuredWeights(
        "Systran/faster-whisper-tiny.en",
        75_537_502,
        "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    ),
    MeasuredWeights(
        "Systran/faster-whisper-base",
        145_217_532,
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    ),
)


def settled(form: WindowForm, folder: Path, is_starter: bool) -> WindowForm:
    """The meaning of a setting for the model in `folder`: full or short.

    is_starter: the bundled model, which was trained on short windows. Reads model.bin (0.2 s) if its size is
    that of measured weights. Raises OSError if it cannot be read.
    """
    if form is not WindowForm.AUTO:
        return form
    return WindowForm.SHORT if is_starter or _is_measured(folder / "model.bin") else WindowForm.FULL


def _is_measured(weights: Path) -> bool:
    size_bytes = weights.stat().st_size
    known = {measured.sha256 for measured in SHORT_WORKS if measured.size_bytes == size_bytes}
    if not known:
        return False
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() in known
