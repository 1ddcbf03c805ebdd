"""Which known Whisper is more accurate than which: the order in which `engine.model: auto` prefers them.

The order follows the model card of OpenAI's Whisper (large-v3 before large-v2; turbo near large-v2; then by
size) and the cards of the distilled models, which are trained for English alone. Among models of one size the
English one is the more accurate for English. Models of another origin are not in the order: `auto` does not
take them, the config can name them.
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
"""What faster-whisper also calls the same weights."""


def is_english_only(name: str) -> bool:
    """Whether a model of ACCURACY knows no language but English."""
    return name.endswith(".en") or name.startswith("distil-")


def is_more_accurate(name: str, than: str) -> bool:
    """Both are of ACCURACY."""
    return ACCURACY.index(name) < ACCURACY.index(than)
