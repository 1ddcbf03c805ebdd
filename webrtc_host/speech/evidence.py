"""Evidence: decides whether a window contains enough speech to believe its text.

Pure. Coughs, sighs, clicks and bursts of music pass the speech detector for some 0.1 to 0.9 s, and Whisper
writes words for them. No single figure tells such text from a short "yes": real words are short, or quiet, or
unclear. Three figures together do: how long the speech detector found a voice, the model's probability of
no speech, and the log probability of its text. docs/explanation/endpointing.md has the measurements.
"""

from __future__ import annotations

from dataclasses import dataclass

from host_stt.contract import Transcript


@dataclass(frozen=True, slots=True)
class Doubt:
    """Text is not believed when all three hold."""

    voiced_ms_max: int  # a shorter time of voice than this
    no_speech_min: float  # a higher probability of no speech
    logprob_max: float  # a lower log probability


DOUBTS = (
    # Less than 0.35 s of voice is seldom a word: of 100 single digits and letters only three had so little.
    Doubt(350, 0.2, -0.9),
    # Up to 0.9 s may be a word: the model must be less sure of it.
    Doubt(900, 0.25, -1.15),
)
"""Measured with base on 2026-11-29. Coughs, sighs, a throat, signals and music, each in five variants and two
languages: 58 of 94 windows had text before all guards of that day, 2 after them. Of 100 single digits and
letters six lost their text; five of these texts were wrong.
"""


def is_believable(transcript: Transcript, voiced_ms: int | None) -> bool:
    """False: drop the text. voiced_ms: length of voice found in the window; None: unknown, keep the text."""
    if voiced_ms is None:
        return True
    return not any(
        voiced_ms < doubt.voiced_ms_max
        and transcript.no_speech_prob > doubt.no_speech_min
        and transcript.avg_logprob < doubt.logprob_max
        for doubt in DOUBTS
    )
