"""The language of a channel: given, or found out in the first seconds of speech and then kept.

Pure. Whisper's guess on a second of speech is unsafe, so `auto` stays open until enough speech was read with
confidence in one language. Invariant: once locked, never changes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from host_stt.contract import AUTO, EndReason, Transcript
from webrtc_host.seams import SAMPLES_PER_MS


@dataclass(frozen=True, slots=True)
class LanguageConfig:
    lock_after_ms: int = 3000  # of speech read with confidence
    lock_probability: float = 0.8  # what counts as confidence

    def __post_init__(self) -> None:
        if not 500 <= self.lock_after_ms <= 60_000:
            raise ValueError(f"lock_after_ms is {self.lock_after_ms}; it lies between 500 and 60000")
        if not 0.0 < self.lock_probability <= 1.0:
            raise ValueError(f"lock_probability is {self.lock_probability}; it lies between 0 and 1")


class LanguageLock:
    def __init__(self, config: LanguageConfig, language: str = AUTO) -> None:
        self._config = config
        self._language = language
        self._samples: Counter[str] = Counter()
        self._counted_to = 0

    @property
    def language(self) -> str:
        """What to ask the engine for: a code, or "auto"."""
        return self._language

    @property
    def is_locked(self) -> bool:
        return self._language != AUTO

    def feed(self, transcript: Transcript, start_sample: int, end_sample: int) -> bool:
        """One reading of [start_sample, end_sample). True when it locks the language.

        Audio counts once, however many windows read it; twice as much of one language as of all others is
        wanted.
        """
        if self.is_locked or not transcript.text or transcript.end_reason is EndReason.NO_SPEECH:
            return False
        if transcript.language_probability < self._config.lock_probability:
            return False
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
