"""Known Whisper models by accuracy: the order in which `engine.model: auto` prefers them.

The order follows the model card of OpenAI's Whisper (large-v3 before large-v2; turbo near large-v2; then by
size) and the cards of the distilled models, which are trained only for English. Of two models of the same
size, the English one is more accurate for English. Models of other origin are not in the order: `auto` does
not choose them, but the config can name them.
"""

from __future__ import annotations

ACCURACY = (
    "large-v3",
    "large-v2",
    "large-v3-turbo",
    "large-v1",
    "distil-large-v3.5",
    "distil-large-v3",
    "distil-large-v2",
    "medium.en",
    "medium",
    "distil-medium.en",
    "small.en",
    "small",
    "distil-small.en",
    "base.en",
    "base",
    "tiny.en",
    "tiny",
)
"""Names of faster-whisper, the most accurate first."""
OTHER_NAMES = {"large-v3": ("large",), "large-v3-turbo": ("turbo",)}
"""Other names in faster-whisper for the same weights."""


def is_english_only(name: str) -> bool:
    """True if a model of ACCURACY knows only English."""
    return name.endswith(".en") or name.startswith("distil-")


def is_more_accurate(name: str, than: str) -> bool:
    """True if `name` is more accurate than `than`; both must be in ACCURACY."""
    return ACCURACY.index(name) < ACCURACY.index(than)
