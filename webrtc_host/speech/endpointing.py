"""Endpointing: turn speech probabilities into utterance boundaries.

Pure: no clock, no I/O. `now_s` comes from the caller. Owns the four-state table below and nothing of the
audio itself. Invariant: every SpeechStarted is followed by exactly one SpeechEnded with the same
utterance_id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from host_stt.contract import Float32Array
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.speech.vad import FRAME_SAMPLES, TRAITS, DetectorName, DetectorTraits


class State(StrEnum):
    QUIET = "quiet"
    STARTING = "starting"  # sounds like speech, not yet long enough to say so
    SPEAKING = "speaking"
    STOPPING = "stopping"  # silent, but the speaker may only be drawing breath


class Signal(StrEnum):
    SPEECH = "speech"
    SILENCE = "silence"
    LONG_ENOUGH = "long_enough"  # speech has lasted min_speech_ms
    HANGOVER_OVER = "hangover_over"  # silence has lasted hangover_ms
    CUT = "cut"  # the audio itself ends here: gap, no packets, channel closed


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
"""A missing pair is an illegal move and raises. docs/explanation/endpointing.md draws this table; a test
compares."""


class Rule(StrEnum):
    """Why an utterance ended: on the wire in speech.ended."""

    HANGOVER = "hangover"  # enough silence
    GAP = "gap"  # the timeline jumps: audio that never came
    NO_PACKETS = "no_packets"  # nothing arrives any more
    CHANNEL_CLOSED = "channel_closed"


@dataclass(frozen=True, slots=True)
class EndpointingConfig:
    on_probability: float | None = None  # None: the detector's own (Silero 0.5)
    off_probability: float | None = None  # None: the detector's own (Silero 0.35)
    min_speech_ms: int = 96  # shorter sounds are clicks; "yes" lasts 200 ms and more
    hangover_ms: int = 500  # silence waited for
    pre_roll_ms: int = 300  # audio kept in front of the first frame, so that first syllables live
    gap_ms: int = 1000  # a longer hole in the timeline ends an utterance
    no_packets_ms: int = 1000  # so long without any audio ends it too

    def __post_init__(self) -> None:
        on, off = self.thresholds(TRAITS[DetectorName.SILERO])
        if not 0 < off <= on < 1:
            raise ValueError(f"off_probability {off} and on_probability {on}: wanted 0 < off <= on < 1")
        for name, low, high in (
            ("min_speech_ms", 0, 1000),
            ("hangover_ms", 100, 5000),
            ("pre_roll_ms", 0, 2000),
            ("gap_ms", 100, 10_000),
            ("no_packets_ms", 200, 30_000),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}; it lies between {low} and {high}")

    def thresholds(self, traits: DetectorTraits) -> tuple[float, float]:
        on = traits.on_probability if self.on_probability is None else self.on_probability
        off = min(on, traits.off_probability) if self.off_probability is None else self.off_probability
        return on, off


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    utterance_id: str
    start_sample: int  # where speech begins
    audio_sample: int  # where its audio should begin: the pre-roll, never inside the utterance before


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    utterance_id: str
    start_sample: int
    end_sample: int  # where speech ends, not where the waiting for more of it ended
    rule: Rule


SpeechEvent = SpeechStarted | SpeechEnded


class Endpointing:
    """One channel's table. Positions are samples of the channel's timeline; `now_s` only serves
    `no_packets`."""

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
        self._last_speech_sample = 0  # end of the last one
        self._start_sample = 0  # the same, lag taken off
        self._floor_sample = 0  # end of the utterance before
        self._position: int | None = None
        self._heard_at_s = 0.0

    @property
    def state(self) -> State:
        return self._state

    @property
    def is_speaking(self) -> bool:
        return self._state in (State.SPEAKING, State.STOPPING)

    @property
    def last_speech_sample(self) -> int:
        """End of the newest frame that was speech."""
        return self._last_speech_sample

    @property
    def settled_sample(self) -> int:
        """What lies before it, outside of utterances told of, is silence for good."""
        if self._state in (State.SPEAKING, State.STOPPING):
            return self._start_sample
        first = self._first_speech_sample if self._state is State.STARTING else self._position or 0
        return max(self._floor_sample, first - self._samples(self._traits.onset_lag_ms))

    def feed(self, values: Float32Array, start_sample: int, now_s: float) -> list[SpeechEvent]:
        """Take the next probabilities and return what they decide.

        values: (n,) in [0, 1], one per 512 samples. start_sample: of the first of them; never goes backwards
        (ValueError). A hole of up to gap_ms counts as silence, a longer one ends the utterance.
        """
        if self._position is not None and start_sample < self._position:
            raise ValueError(f"probabilities at sample {start_sample} come after {self._position}")
        self._heard_at_s = now_s
        events: list[SpeechEvent] = []
        if self._position is not None and start_sample - self._position > self._samples(self._config.gap_ms):
            events += self._cut(Rule.GAP)
        for value in values.tolist():
            events += self._frame(value, start_sample)
            start_sample += FRAME_SAMPLES
        self._position = start_sample
        return events

    def on_tick(self, now_s: float) -> list[SpeechEvent]:
        """Ends the utterance when audio has stopped coming altogether."""
        if self._state is State.QUIET or (now_s - self._heard_at_s) * 1000 < self._config.no_packets_ms:
            return []
        return self._cut(Rule.NO_PACKETS)

    def flush(self) -> list[SpeechEvent]:
        return self._cut(Rule.CHANNEL_CLOSED)

    def _frame(self, value: float, at: int) -> list[SpeechEvent]:
        end = at + FRAME_SAMPLES
        going = self._state in (State.STARTING, State.SPEAKING)
        if value >= (self._off if going else self._on):
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
        end = self._last_speech_sample - self._samples(self._traits.tail_lag_ms)
        end = max(end, self._start_sample + FRAME_SAMPLES)
        self._floor_sample = end
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
