"""The seams between the rooms of 8082: the few shapes and Protocols that one room hands to the next.

Owns no behaviour. Cores and shells import it; it imports only numpy, the standard library and
`host_stt.contract`. Every position is a sample index at 16 kHz on the session's timeline (sample 0 is the
session's t = 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from host_stt.contract import SAMPLE_RATE, Float32Array, Transcript, Window

SAMPLES_PER_MS = SAMPLE_RATE // 1000


def ms_of(sample: int) -> int:
    """Whole milliseconds since t = 0 of a sample index, rounded down."""
    return sample // SAMPLES_PER_MS


class BlockKind(StrEnum):
    AUDIO = "audio"  # decoded from what arrived
    LOST = "lost"  # never came: silence stands in for it
    PAUSED = "paused"  # the source stood still (RTP clock frozen), silence stands in for it


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of one channel. Blocks never overlap and never go backwards; a hole between two is `lost`.

    samples: (n,) float32 in [-1, 1], 16 kHz mono, n >= 1.
    """

    start_sample: int
    samples: Float32Array
    kind: BlockKind = BlockKind.AUDIO

    @property
    def end_sample(self) -> int:
        return self.start_sample + len(self.samples)


@dataclass(frozen=True, slots=True)
class OpusPacket:
    """One Opus packet as it came, with its place on the channel's timeline.

    start_sample: of its first decoded sample, at 16 kHz. Packets of a channel arrive in order, never overlap.
    """

    start_sample: int
    samples: int  # decoded length at 16 kHz
    payload: bytes

    @property
    def end_sample(self) -> int:
        return self.start_sample + self.samples


class EventType(StrEnum):
    """The wire's event names (docs/reference/events.md). Interims and errors are not stored, have no seq."""

    SESSION_STARTED = "session.started"
    SESSION_ENDED = "session.ended"
    CHANNEL_OPENED = "channel.opened"
    CHANNEL_CLOSED = "channel.closed"
    CHANNEL_STATE = "channel.state"
    SPEECH_STARTED = "speech.started"
    SPEECH_ENDED = "speech.ended"
    SEGMENT_INTERIM = "segment.interim"
    SEGMENT_FINAL = "segment.final"
    SEGMENT_REVISED = "segment.revised"
    WINDOW_FAILED = "window.failed"
    COVERAGE = "coverage"
    ERROR = "error"

    @property
    def is_stored(self) -> bool:
        return self not in (EventType.SEGMENT_INTERIM, EventType.ERROR)


class ChannelState(StrEnum):
    IDLE = "idle"
    TALKING = "talking"
    BEHIND = "behind"  # the engine lags more than the configured limit
    NO_SIGNAL = "no_signal"  # packets stopped or digital silence
    DISCONNECTED = "disconnected"


class Source(StrEnum):
    """Where the audio of a final came from when it was not live; live finals carry no source."""

    BACKFILL = "backfill"  # sent by the page after a break of the connection
    RECOVERY = "recovery"  # read again from the archive, after a crash or for want of an engine


class CoverageState(StrEnum):
    """What became of a millisecond of a channel; exactly one for each."""

    TRANSCRIBED = "transcribed"  # speech that was read; its text may be empty
    SILENCE = "silence"  # nobody spoke, or the source stood still
    SHED = "shed"  # it came and was refused: we were too slow
    LOST = "lost"  # it never came
    FAILED = "failed"  # the engine could not read it
    CLOSED = "closed"  # its sender had ended in good order: nothing was to come


class CoverageNotes(Protocol):
    """Where the rooms that read a channel say what its audio was; `transcript.coverage_keeper` keeps it.

    Audio that came awaits its verdict until one of these names it. Neither ever waits or raises.
    """

    def decide(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        """The verdict on live audio: of this stretch, what still awaits one takes it."""
        ...

    def repair(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        """Later knowledge on any time (late decode, backfill, upload): overrules lost, shed and failed."""
        ...


class AudioKeeper(Protocol):
    """Where a channel's sound is kept, ahead of its decoding. `archive.archive` implements it.

    A door that has Opus packets gives `keep_packet` for each, before the Block decoded from it goes to the
    pipeline; what is never given as a packet (PCM doors, uploads) is given as a Block and encoded once.
    """

    def keep_packet(self, packet: OpusPacket) -> None:
        """Never waits, never raises."""
        ...

    def keep_block(self, block: Block) -> None:
        """Never waits, never raises."""
        ...


class Transcriber(Protocol):
    """The way to the engine (8081). `speech.transcriber` implements it; tests may wrap `engines.fake`."""

    async def transcribe(self, window: Window) -> Transcript:
        """The engine's reading. Waits through engine restarts up to the window's deadline.

        Raises EngineError (errors.py) with code `shed` (a newer interim took its place, or overload), or any
        other code when the engine could not decode it.
        """
        ...


class Clock(Protocol):
    """Seconds that only grow; `time.monotonic` in life, a number in tests."""

    def __call__(self) -> float: ...
