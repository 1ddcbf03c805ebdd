from __future__ import annotations

import pytest

from host_stt.contract import AUTO, EndReason, Segment, Transcript
from tests.webrtc_host.speech.helpers import S
from webrtc_host.speech.language import LanguageConfig, LanguageLock


def said(language: str, probability: float = 0.95, text: str = "something") -> Transcript:
    reason = EndReason.COMPLETE if text else EndReason.NO_SPEECH
    segment = Segment(text, 0, S, -0.2, 0.0, 1.0)
    return Transcript("w", (segment,), language, probability, -0.2, 0.0, 1.0, reason)


def test_three_seconds_of_confident_speech_lock_the_language() -> None:
    lock = LanguageLock(LanguageConfig())
    assert not lock.feed(said("ko"), 0, 2 * S)
    assert lock.language == AUTO
    assert lock.feed(said("ko"), 2 * S, 3 * S)
    assert lock.language == "ko"
    assert not lock.feed(said("en"), 3 * S, 90 * S)  # requested before the language was known
    assert lock.language == "ko"


def test_windows_that_overlap_count_their_audio_once() -> None:
    lock = LanguageLock(LanguageConfig())
    for _ in range(10):
        assert not lock.feed(said("ko"), 0, 2 * S)


@pytest.mark.parametrize("reading", [said("ko", 0.5), said("ko", text="")])
def test_doubtful_and_empty_results_do_not_count(reading: Transcript) -> None:
    lock = LanguageLock(LanguageConfig())
    assert not lock.feed(reading, 0, 10 * S)


def test_alternating_languages_keep_it_open_until_one_is_clear() -> None:
    lock = LanguageLock(LanguageConfig())
    assert not lock.feed(said("en"), 0, 2 * S)
    assert not lock.feed(said("ko"), 2 * S, 5 * S)
    assert lock.feed(said("ko"), 5 * S, 6 * S)


def test_a_language_that_was_given_stays() -> None:
    lock = LanguageLock(LanguageConfig(), "ko")
    assert lock.is_locked
    assert not lock.feed(said("en"), 0, 10 * S)


def test_the_sender_may_name_another_language_and_ask_for_detection_again() -> None:
    lock = LanguageLock(LanguageConfig(), "ko")
    lock.choose("en")
    assert lock.language == "en"
    lock.choose(AUTO)
    assert not lock.feed(said("ko"), 0, 2 * S)
    assert lock.feed(said("ko"), 2 * S, 3 * S)


def detected(language: str) -> LanguageLock:
    lock = LanguageLock(LanguageConfig())
    assert lock.feed(said(language), 0, 3 * S)
    return lock


@pytest.mark.parametrize(
    ("lock", "may_change"),
    [
        (LanguageLock(LanguageConfig()), False),
        (LanguageLock(LanguageConfig(), "en"), False),
        (detected("en"), True),
    ],
)
def test_only_a_detected_language_may_change(lock: LanguageLock, may_change: bool) -> None:
    assert lock.may_change is may_change


def test_confident_speech_in_another_language_begins_the_detection_again() -> None:
    lock = detected("en")
    assert not lock.feed(said("ko"), 5 * S, 7 * S, asked="en")
    assert (lock.language, lock.may_change) == (AUTO, False)
    assert lock.feed(said("ko"), 8 * S, 9 * S)
    assert (lock.language, lock.may_change) == ("ko", True)


def test_a_long_call_in_another_language_is_enough() -> None:
    lock = detected("en")
    assert lock.feed(said("ko"), 5 * S, 8 * S, asked="en")
    assert lock.language == "ko"


@pytest.mark.parametrize("reading", [said("ko", 0.7), said("ko", text=""), said("en")])
def test_doubtful_speech_does_not_change_a_detected_language(reading: Transcript) -> None:
    lock = detected("en")
    assert not lock.feed(reading, 5 * S, 20 * S, asked="en")
    assert lock.language == "en"


def test_results_for_the_former_language_do_not_count_in_the_new_detection() -> None:
    """They were requested before the change, and say the language that they were told."""
    lock = detected("en")
    assert not lock.feed(said("ko"), 5 * S, 7 * S, asked="en")
    assert not lock.feed(said("en"), 7 * S, 20 * S, asked="en")
    assert lock.language == AUTO


def test_a_language_that_was_given_may_not_change() -> None:
    lock = detected("en")
    lock.choose("en")
    assert not lock.may_change
    assert not lock.feed(said("ko"), 5 * S, 15 * S, asked="en")
    assert lock.language == "en"


@pytest.mark.parametrize("wrong", [{"lock_after_ms": 0}, {"lock_probability": 1.5}])
def test_a_config_that_cannot_work_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        LanguageConfig(**wrong)  # type: ignore[arg-type]  # wrong on purpose
