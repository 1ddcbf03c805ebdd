"""Window forms: how long the input is that a window is padded to before it is encoded.

`full` is 30 s, the length that Whisper was trained on. `short` is 10, 15, 20 or 30 s, whichever leaves at
least 2.5 s of silence after the audio; encoding it takes a quarter of the time. `shortest` has finer steps,
from 5 s on, and from 8 s on for finals. Weights may repeat themselves on short input, so `auto` uses these
two only for weights that were measured (docs/explanation/windows.md).
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
    SHORTEST = "shortest"


@dataclass(frozen=True, slots=True)
class MeasuredWeights:
    """Weights that are as accurate on short windows as on full ones. Figures: docs/explanation/windows.md."""

    name: str
    size_bytes: int  # of model.bin
    sha256: str  # of model.bin
    shortest: WindowForm = WindowForm.SHORT  # the shortest form that was measured in live use


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
        WindowForm.SHORTEST,
    ),
)


def settled(form: WindowForm, folder: Path, is_starter: bool, *, is_cpu: bool) -> WindowForm:
    """The meaning of a setting for the model in `folder`; never `auto`.

    is_starter: the bundled model, which was trained on windows of 10 s. is_cpu: the model runs on a
    processor. There a shorter window is quicker; a card decodes windows of many channels in one call, and for
    that they must have the same length. Reads model.bin (0.2 s) if its size is that of measured weights.
    Raises OSError if it cannot be read.
    """
    if form is not WindowForm.AUTO:
        return form
    if is_starter:
        return WindowForm.SHORT
    measured = _measured(folder / "model.bin")
    if measured is None:
        return WindowForm.FULL
    return measured.shortest if is_cpu else WindowForm.SHORT


def _measured(weights: Path) -> MeasuredWeights | None:
    size_bytes = weights.stat().st_size
    known = {measured.sha256: measured for measured in SHORT_WORKS if measured.size_bytes == size_bytes}
    if not known:
        return None
    with weights.open("rb") as file:
        return known.get(hashlib.file_digest(file, "sha256").hexdigest())
