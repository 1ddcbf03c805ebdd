"""What the lab says: the phrases, the terms in them, and the conditions of the channel."""

from __future__ import annotations

import numpy as np
import pytest

from host_stt.contract import SAMPLE_RATE, Float32Array
from host_stt_cli.glossary_lab.conditions import CONDITIONS, band, in_condition, radio, resampled
from host_stt_cli.glossary_lab.korean_sounds import english_sounds
from host_stt_cli.glossary_lab.phrases import Kind, english_phrases, korean_calls, lab_glossary, lab_terms
from host_stt_cli.glossary_lab.scoring import Spellings
from webrtc_host.glossary.schema import parse


def tone(hz: float, seconds: float = 1.0) -> Float32Array:
    at = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return np.sin(2 * np.pi * hz * at).astype(np.float32)


def test_the_glossary_of_the_lab_is_valid_and_has_forty_terms() -> None:
    entries = parse(lab_glossary()).entries()
    assert len(entries) == len({entry.canonical for entry in entries}) == len(lab_terms()) == 40


def test_half_of_the_english_phrases_have_no_term_and_the_others_have_theirs() -> None:
    spellings = Spellings(parse(lab_glossary()).entries())
    phrases = english_phrases(160)
    assert [p.kind for p in phrases].count(Kind.NONE) == 80
    for phrase in phrases:
        assert tuple(spellings.in_text(phrase.text)) == phrase.terms, phrase.text
    assert phrases == english_phrases(160)


def test_korean_calls_have_the_terms_that_they_name() -> None:
    spellings = Spellings(parse(lab_glossary()).entries())
    for phrase in korean_calls(40):
        assert tuple(spellings.in_text(phrase.text)) == phrase.terms, phrase.text


def test_radio_has_the_given_noise_in_a_narrow_band() -> None:
    speech = tone(1000.0)
    noisy, quiet = radio(speech, 10.0, seed=1), radio(speech, 60.0, seed=1)
    noise = noisy - quiet
    assert 10 * np.log10((quiet**2).mean() / (noise**2).mean()) == pytest.approx(10.0, abs=0.5)
    assert float(np.abs(band(noise, 4000.0, 7900.0)).max()) < 0.01


def test_every_condition_keeps_length_and_level() -> None:
    for condition in CONDITIONS:
        samples = in_condition(tone(1000.0), condition, seed=3)
        assert samples.dtype == np.float32 and len(samples) == SAMPLE_RATE
        assert float(np.abs(samples).max()) == pytest.approx(0.5, abs=0.01)
    with pytest.raises(ValueError, match="'radio' is not a condition"):
        in_condition(tone(1000.0), "radio", seed=1)


def test_resampling_keeps_the_tone() -> None:
    at_24k = np.sin(2 * np.pi * 440.0 * np.arange(24_000) / 24_000).astype(np.float32)
    assert np.allclose(resampled(at_24k, 24_000), tone(440.0), atol=0.02)


def test_hangul_becomes_sounds_with_the_changes_at_syllable_borders() -> None:
    assert english_sounds("북문") == "buŋmun"  # k before m
    assert english_sounds("원으로,") == "wʌnʊTO,"  # a final consonant moves to the next vowel
    assert english_sounds("OK") == "OK"
