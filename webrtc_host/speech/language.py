"""The language of a channel: given, or detected in the first seconds of speech and then fixed.

Pure. Whisper's guess on one second of speech is not reliable. So `auto` stays open until enough speech was
decoded with confidence in one language. A detected language is given up again when the engine is sure of
another one in a longer window: a model that is told the wrong language translates, and writes what nobody
said. Invariant: a language that the sender gave changes only when the sender asks.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from host_stt.contract import AUTO, EndReason, Transcript
from webrtc_host.seams import SAMPLES_PER_MS


@dataclass(frozen=True, slots=True)
class LanguageConfig:
    lock_after_ms: int = 3000  # speech decoded with confidence in one language
    lock_probability: float = 0.8  # a result counts as confident from this probability

    def __post_init__(self) -> None:
        if not 500 <= self.lock_after_ms <= 60_000:
            raise ValueError(f"lock_after_ms is {self.lock_after_ms}; it lies between 500 and 60000")
        if not 0.0 < self.lock_probability <= 1.0:
            raise ValueError(f"lock_probability is {self.lock_probability}; it lies between 0 and 1")


class LanguageLock:
    """The language of one channel."""

    def __init__(self, config: LanguageConfig, language: str = AUTO) -> None:
        self._config = config
        self._language = language
        self._is_given = language != AUTO
        self._samples: Counter[str] = Counter()
        self._counted_to = 0

    @property
    def language(self) -> str:
        """The language for requests to the engine: a code, or "auto"."""
        return self._language

    @property
    def is_locked(self) -> bool:
        return self._language != AUTO

    @property
    def may_change(self) -> bool:
        """Whether the language was detected, so that other speech may show that it has changed."""
        return self.is_locked and not self._is_given

    def choose(self, language: str) -> None:
        """The sender names another language, or `auto`: then detection begins again."""
        self._language = language
        self._is_given = language != AUTO
        self._samples.clear()

    def feed(self, transcript: Transcript, start_sample: int, end_sample: int, *, asked: str = AUTO) -> bool:
        """Take the result for [start_sample, end_sample). True when it fixes the language.

        Audio counts once, however many windows contain it. There must be twice as much speech of one language
        as of all others. Speech in another language than a detected one begins the detection again. asked:
        the language in the request; a result in the same language is no detection.
        """
        is_older = self.is_locked and asked == AUTO  # requested before the language was known
        if self._is_given or is_older or transcript.language == asked:
            return False
        if not transcript.text or transcript.end_reason is EndReason.NO_SPEECH:
            return False
        if transcript.language_probability < self._config.lock_probability:
            return False
        if self.is_locked:
            self.choose(AUTO)
        new = end_sample - max(start_sample, self._counted_to)
        if new <= 0:
            return False
        self._counted_to = end_sample
        self._samples[transcript.language] += new
        mine = self._samples[transcript.language]
        others = self._samples.total() - mine
        if mine < self._config.lock_after_ms * SAMPLES_PER_MS or mine < 2 * others:
            return False
        self._language = transcript.language
        return True
