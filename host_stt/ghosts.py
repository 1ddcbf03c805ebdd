"""Phrases that Whisper writes where nobody speaks, and when a segment is taken for one.

Pure but for its list, ghosts.json beside this file, read once. People do say these phrases, so the words
alone never condemn a segment: its sound must be faint too, or the model must doubt that there is speech.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from host_stt.contract import Float32Array, Segment
from host_stt.sound import loudest_dbfs

LIST = Path(__file__).with_name("ghosts.json")
FAINT_DBFS = -50.0
"""No voice that a desk listens to peaks lower; hiss of an open channel does."""
FAINT_BELOW_DB = 25.0
"""Under the window's loudest sound. Words are drawn in to what lies within 28 dB of it."""
NO_SPEECH = 0.6  # OpenAI's threshold


def is_ghost(segment: Segment, language: str, samples: Float32Array, start_sample: int) -> bool:
    """samples: (n,) float32, the window; start_sample: of samples[0]."""
    if _plain(segment.text) not in _phrases().get(language, ()):
        return False
    if segment.no_speech_prob > NO_SPEECH:
        return True
    level = loudest_dbfs(samples[segment.start_sample - start_sample : segment.end_sample - start_sample])
    return level < max(FAINT_DBFS, loudest_dbfs(samples) - FAINT_BELOW_DB)


@cache
def _phrases() -> dict[str, frozenset[str]]:
    listed = json.loads(LIST.read_text(encoding="utf-8"))["phrases"]
    return {language: frozenset(map(_plain, phrases)) for language, phrases in listed.items()}


def _plain(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
