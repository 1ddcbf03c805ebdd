"""Endpointing: turns speech probabilities into the starts and ends of utterances.

It is the four-state table below, plus the times around it. Pure: no clock, no I/O; the caller passes `now_s`.
Invariant: every SpeechStarted is followed by exactly one SpeechEnded with the same utterance_id.
Explanation: docs/explanation/endpointing.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from host_stt.contract import Float32Array
from host_stt_common.number_limits import check_ranges
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.speech.vad import FRAME_SAMPLES, TRAITS, DetectorName, DetectorTraits


class State(StrEnum):
    QUIET = "quiet"
    STARTING = "starting"  # speech, but not for min_speech_ms yet
    SPEAKING = "speaking"
    STOPPING = "stopping"  # silence, but perhaps only a breath


class Signal(StrEnum):
    SPEECH = "speech"
    SILENCE = "silence"
    LONG_ENOUGH = "long_enough"  # speech has lasted min_speech_ms
    HANGOVER_OVER = "hangover_over"  # silence has lasted hangover_ms
    CUT = "cut"  # the utterance ends here: gap, no packets, channel closed, closing word


TABLE: dict[tuple[State, Signal], State] = {
    (State.QUIET, Signal.SPEECH): State.STARTING,
    (State.QUIET, Signal.SILENCE): State.QUIET,
    (State.QUIET, Signal.CUT): State.QUIET,
    (State.STARTING, Signal.SPEECH): State.STARTING,
    (State.STARTING, Signal.LONG_ENOUGH): State.SPEAKING,
    (State.STARTING, Signal.SILENCE): State.QUIET,
    (State.STARTING, Signal.CUT): State.QUIET,
    (State.SPEAKING, Signal.SPEECH): State.SPEAKING,
    (State.SPEAKING, Signal.SILENCE): State.STOPPING,
    (State.SPEAKING, Signal.CUT): State.QUIET,
    (State.STOPPING, Signal.SPEECH): State.SPEAKING,
    (State.STOPPING, Signal.SILENCE): State.STOPPING,
    (State.STOPPING, Signal.HANGOVER_OVER): State.QUIET,
    (State.STOPPING, Signal.CUT): State.QUIET,
}
"""A pair that is not in the table is an error and raises. docs/explanation/endpointing.md shows the table; a
test compares both.
"""


class Rule(StrEnum):
    """Why an utterance ended; the field `rule` of speech.ended."""

    HANGOVER = "hangover"  # enough silence
    GAP = "gap"  # a gap in the timeline: audio that never arrived
    NO_PACKETS = "no_packets"  # no audio arrives any more
    CHANNEL_CLOSED = "channel_closed"
    CLOSING_WORD = "closing_word"  # its text ends with a word that closes a transmission
    FORCED = "forced"  # the sender asked for the text so far


STALL_FACTOR = 3
"""Audio that is awaited this many times as long as usual has stopped. Some senders send twice a second."""
WAIT_DECAY = 0.95
"""Per arrival of audio: the usual wait is the longest of about the last twenty, less for older ones."""
CLOSING_WORDS = ("over", "out", "이상", "오버", "송신")


@dataclass(frozen=True, slots=True)
class EndpointingConfig:
    on_probability: float | None = None  # None: the detector's own (Silero 0.5)
    off_probability: float | None = None  # None: the detector's own (Silero 0.35)
    min_speech_ms: int = 96  # shorter sounds are clicks; "yes" lasts 200 ms or more
    hangover_ms: int = 500  # silence that ends an utterance
    pre_roll_ms: int = 300  # audio before the first frame of speech, so that first syllables are complete
    gap_ms: int = 1000  # a longer gap in the timeline ends an utterance
    no_packets_ms: int = 1000  # so much time without any audio ends it too
    closing_words: tuple[str, ...] = CLOSING_WORDS  # text that ends with one ends the utterance; empty: none

    def __post_init__(self) -> None:
        on, off = self.thresholds(TRAITS[DetectorName.SILERO])
        if not 0 < off <= on < 1:
            raise ValueError(f"off_probability {off} and on_probability {on}: wanted 0 < off <= on < 1")
        ranges = (
            ("min_speech_ms", 0, 1000),
            ("hangover_ms", 100, 5000),
            ("pre_roll_ms", 0, 2000),
            ("gap_ms", 100, 10_000),
            ("no_packets_ms", 200, 30_000),
        )
        check_ranges(self, ranges)

        for phrase in self.closing_words:
            if not any(map(str.isalnum, phrase)):
                raise ValueError(f"closing_words has {phrase!r}, which has no letter")

    def thresholds(self, traits: DetectorTraits) -> tuple[float, float]:
        on = traits.on_probability if self.on_probability is None else self.on_probability
        off = min(on, traits.off_probability) if self.off_probability is None else self.off_probability
        return on, off


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    utterance_id: str
    start_sample: int  # start of speech
    audio_sample: int  # where its audio should begin: with pre-roll, but after the last utterance


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    utterance_id: str
    start_sample: int
    end_sample: int  # end of speech, without the hangover
    rule: Rule


SpeechEvent = SpeechStarted | SpeechEnded


class Endpointing:
    """The state of one channel.

    Positions are samples of its timeline; `now_s` is used for `no_packets` only.
    """

    def __init__(
        self,
        config: EndpointingConfig,
        new_utterance_id: Callable[[], str],
        traits: DetectorTraits = TRAITS[DetectorName.SILERO],
    ) -> None:
        self._config = config
        self._traits = traits
        self._on, self._off = config.thresholds(traits)
        self._new_utterance_id = new_utterance_id
        self._state = State.QUIET
        self._utterance_id = ""
        self._first_speech_sample = 0  # start of the first frame of speech
        self._last_speech_sample = 0  # end of the last frame of speech
        self._start_sample = 0  # start of speech, with the detector's lag subtracted
        self._floor_sample = 0  # end of the last utterance
        self._position: int | None = None
        self._audio_at_s = 0.0
        self._usual_wait_s = 0.0  # between two arrivals of audio

    @property
    def state(self) -> State:
        return self._state

    @property
    def is_speaking(self) -> bool:
        return self._state in (State.SPEAKING, State.STOPPING)

    @property
    def last_speech_sample(self) -> int:
        """End of the newest frame with speech."""
        return self._last_speech_sample

    @property
    def speech_end_sample(self) -> int:
        """End of the utterance if no more speech follows: what `SpeechEnded` will say."""
        end = self._last_speech_sample - self._samples(self._traits.tail_lag_ms)
        return max(end, self._start_sample + FRAME_SAMPLES)

    @property
    def settled_sample(self) -> int:
        """Audio before this sample is in an utterance that was reported, or it is silence for good."""
        if self._state in (State.SPEAKING, State.STOPPING):
            return self._start_sample
        first = self._first_speech_sample if self._state is State.STARTING else self._position or 0
        return max(self._floor_sample, first - self._samples(self._traits.onset_lag_ms))

    def feed(self, values: Float32Array, start_sample: int, now_s: float) -> list[SpeechEvent]:
        """Take the next probabilities; returns the events that they cause.

        values: (n,) in [0, 1], one per 512 samples. start_sample: of the first one; ValueError when it is
        before the end of the last call. A gap of up to gap_ms counts as silence; a longer one ends the
        utterance.
        """
        if self._position is not None and start_sample < self._position:
            raise ValueError(f"probabilities at sample {start_sample} come after {self._position}")
        self._note_arrival(now_s)
        events: list[SpeechEvent] = []
        if self._position is not None and start_sample - self._position > self._samples(self._config.gap_ms):
            events += self._cut(Rule.GAP)
        for value in values.tolist():
            events += self._frame(value, start_sample)
            start_sample += FRAME_SAMPLES
        self._position = start_sample
        return events

    def _note_arrival(self, now_s: float) -> None:
        waited_s = now_s - self._audio_at_s
        self._audio_at_s = now_s
        if 0 < waited_s < self._config.no_packets_ms / 1000:  # a longer wait was a stop
            self._usual_wait_s = max(waited_s, self._usual_wait_s * WAIT_DECAY)

    def stalled_ms(self, now_s: float) -> float:
        """Milliseconds since audio last arrived; 0 while the wait is usual for this sender."""
        waited_s = now_s - self._audio_at_s
        return waited_s * 1000 if waited_s > STALL_FACTOR * self._usual_wait_s else 0.0

    def on_tick(self, now_s: float) -> list[SpeechEvent]:
        """End the utterance when no audio has arrived for no_packets_ms."""
        if self._state is State.QUIET or (now_s - self._audio_at_s) * 1000 < self._config.no_packets_ms:
            return []
        return self._cut(Rule.NO_PACKETS)

    def close(self, utterance_id: str, end_sample: int) -> list[SpeechEvent]:
        """End the utterance, because its text up to end_sample closes the transmission.

        Nothing happens when the utterance has ended, or when speech has continued after end_sample.
        """
        is_same = self.is_speaking and utterance_id == self._utterance_id
        if not is_same or self.speech_end_sample != end_sample:
            return []
        return self._cut(Rule.CLOSING_WORD)

    def flush(self) -> list[SpeechEvent]:
        return self._cut(Rule.CHANNEL_CLOSED)

    def force_end(self) -> list[SpeechEvent]:
        """End the utterance, because its sender asks for the text so far."""
        return self._cut(Rule.FORCED)

    def _frame(self, value: float, at: int) -> list[SpeechEvent]:
        end = at + FRAME_SAMPLES
        # Two thresholds (hysteresis): during speech a lower probability is enough to continue.
        is_continuing = self._state in (State.STARTING, State.SPEAKING)
        if value >= (self._off if is_continuing else self._on):
            if self._state is State.QUIET:
                self._first_speech_sample = at
            self._move(Signal.SPEECH)
            self._last_speech_sample = end
            lasted = end - self._first_speech_sample
            if self._state is State.STARTING and lasted >= self._samples(self._config.min_speech_ms):
                return [self._start()]
            return []
        self._move(Signal.SILENCE)
        if self._state is State.STOPPING:
            silence = end - self._last_speech_sample
            if silence >= self._samples(self._config.hangover_ms):
                return [self._end(Signal.HANGOVER_OVER, Rule.HANGOVER)]
        return []

    def _start(self) -> SpeechStarted:
        self._move(Signal.LONG_ENOUGH)
        self._utterance_id = self._new_utterance_id()
        onset = self._first_speech_sample - self._samples(self._traits.onset_lag_ms)
        self._start_sample = max(self._floor_sample, onset)
        audio = max(self._floor_sample, self._start_sample - self._samples(self._config.pre_roll_ms))
        return SpeechStarted(self._utterance_id, self._start_sample, audio)

    def _cut(self, rule: Rule) -> list[SpeechEvent]:
        if self.is_speaking:
            return [self._end(Signal.CUT, rule)]
        self._move(Signal.CUT)
        return []

    def _end(self, signal: Signal, rule: Rule) -> SpeechEnded:
        self._move(signal)
        self._floor_sample = end = self.speech_end_sample
        return SpeechEnded(self._utterance_id, self._start_sample, end, rule)

    def _move(self, signal: Signal) -> None:
        self._state = TABLE[self._state, signal]

    @staticmethod
    def _samples(ms: int) -> int:
        return ms * SAMPLES_PER_MS


def mermaid() -> str:
    """The table as a Mermaid state diagram, for docs/explanation/endpointing.md."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.QUIET}"]
    lines += [f"    {state} --> {after}: {signal}" for (state, signal), after in TABLE.items()]
    return "\n".join(lines)
