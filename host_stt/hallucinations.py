"""Hallucinations: phrases that Whisper writes without speech, and when a segment counts as one.

Pure but for its lists, hallucinations.json beside this file, read once. People do say these phrases, so the
words alone never condemn a segment: its audio must be faint too, or the model must doubt it.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from host_stt.contract import Float32Array, Segment
from host_stt.loudness import loudest_dbfs

LIST = Path(__file__).with_name("hallucinations.json")
FAINT_DBFS = -50.0
"""No voice on a monitored channel has a lower peak; the hiss of an open channel has."""
FAINT_BELOW_DB = 25.0
"""Below the window's loudest part. Word times cover only audio within 28 dB of it."""
NO_SPEECH = 0.6  # OpenAI's threshold
UNSURE_NO_SPEECH, UNSURE_LOGPROB = 0.4, -1.0
"""With both, the model doubts that there is speech and doubts its own words."""
SNEEZE_NO_SPEECH, SNEEZE_LOGPROB = 0.2, -0.5
"""Where a person clearly says what base writes for a sneeze, base is more certain than this."""


def is_hallucination(segment: Segment, language: str, samples: Float32Array, start_sample: int) -> bool:
    """True if the segment is a listed phrase and its audio is faint, or the model doubts it.

    A listed sound (a sigh, a throat) or sneeze counts only if the model doubts it: "yeah" in a low voice is
    faint audio too. samples: (n,) float32, the window; start_sample: position of samples[0].
    """
    text, no_speech, logprob = _plain(segment.text), segment.no_speech_prob, segment.avg_logprob
    if text in _phrases("sneezes", language):
        return no_speech > SNEEZE_NO_SPEECH and logprob < SNEEZE_LOGPROB
    is_phrase = text in _phrases("phrases", language)
    if is_phrase or text in _phrases("sounds", language):
        if no_speech > UNSURE_NO_SPEECH and logprob < UNSURE_LOGPROB:
            return True
    if not is_phrase:
        return False
    level = loudest_dbfs(samples[segment.start_sample - start_sample : segment.end_sample - start_sample])
    return no_speech > NO_SPEECH or level < max(FAINT_DBFS, loudest_dbfs(samples) - FAINT_BELOW_DB)


@cache
def _phrases(name: str, language: str) -> frozenset[str]:
    listed = json.loads(LIST.read_text(encoding="utf-8"))[name]
    return frozenset(map(_plain, listed.get(language, ())))


def _plain(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
