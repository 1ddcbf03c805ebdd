from __future__ import annotations

import pytest

from host_stt.contract import EndReason, Segment, Transcript
from webrtc_host.speech.evidence import is_believable


def transcript(text: str, no_speech_prob: float, avg_logprob: float) -> Transcript:
    segment = Segment(text, 0, 16_000, avg_logprob, no_speech_prob, 0.5)
    return Transcript(
        "w_1", (segment,), "en", 1.0, avg_logprob, no_speech_prob, 0.5, EndReason.COMPLETE, "base"
    )


@pytest.mark.parametrize(
    ("what", "text", "voiced_ms", "no_speech_prob", "avg_logprob"),
    [
        ("a cough", "Haha!", 288, 0.47, -1.59),
        ("a cough", "Eugh!", 288, 0.34, -1.23),
        ("a sigh", "Hey!", 256, 0.41, -1.53),
        ("a sigh", "랩", 288, 0.25, -1.36),
        ("a telephone key", "Oh", 32, 0.59, -1.67),
        ("music", "I'm", 192, 0.58, -2.17),
        ("a throat", "Uh, hmm.", 800, 0.50, -1.20),
        ("a sneeze", "H-H-E-E-L", 864, 0.27, -1.17),
    ],
)
def test_words_written_for_a_short_noise_are_not_believed(
    what: str, text: str, voiced_ms: int, no_speech_prob: float, avg_logprob: float
) -> None:
    assert not is_believable(transcript(text, no_speech_prob, avg_logprob), voiced_ms), what


@pytest.mark.parametrize(
    ("text", "voiced_ms", "no_speech_prob", "avg_logprob"),
    [
        ("6", 256, 0.40, -0.86),
        ("8 8", 320, 0.41, -0.56),
        ("B", 416, 0.28, -0.57),
        ("좋아", 480, 0.07, -1.68),
        ("7", 416, 0.33, -1.08),
        ("Niner", 768, 0.09, -1.28),
        ("H, M", 992, 0.43, -1.09),
        ("Review.", 1056, 0.15, -1.01),
    ],
)
def test_short_words_are_believed(
    text: str, voiced_ms: int, no_speech_prob: float, avg_logprob: float
) -> None:
    assert is_believable(transcript(text, no_speech_prob, avg_logprob), voiced_ms)


def test_long_speech_is_believed_however_unsure_the_model_is() -> None:
    assert is_believable(transcript("something unclear", 0.9, -2.5), 2000)


def test_where_the_voiced_time_is_not_known_all_text_is_believed() -> None:
    assert is_believable(transcript("Haha!", 0.47, -1.59), None)
