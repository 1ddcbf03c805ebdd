from __future__ import annotations

import pytest

from host_stt.contract import EndReason, Segment, Transcript
from webrtc_host.speech.noise import FINALS, ChannelNoise


def final(text: str, *, has_less_noise: bool) -> Transcript:
    segments = (Segment(text, 0, 16_000, -0.3, 0.0, 1.0),) if text else ()
    reason = EndReason.COMPLETE if text else EndReason.NO_SPEECH
    return Transcript("w", segments, "en", 1.0, -0.3, 0.0, 1.0, reason, has_less_noise=has_less_noise)


@pytest.mark.parametrize(
    ("finals", "is_noisy"),
    [
        ([], False),
        ([False], False),
        ([True], True),
        ([True, *[False] * (FINALS - 1)], True),
        ([True, *[False] * FINALS], False),
        ([*[False] * FINALS, True], True),
    ],
)
def test_the_newest_finals_decide(finals: list[bool], is_noisy: bool) -> None:
    noise = ChannelNoise()
    for one in finals:
        noise.feed(final("go ahead", has_less_noise=one))
    assert noise.is_noisy is is_noisy


def test_a_final_without_words_changes_nothing() -> None:
    noise = ChannelNoise()
    noise.feed(final("go ahead", has_less_noise=True))
    for _ in range(2 * FINALS):
        noise.feed(final("", has_less_noise=False))
    assert noise.is_noisy
