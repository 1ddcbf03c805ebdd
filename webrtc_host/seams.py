"""Data types and interfaces that several packages of 8082 share.

No behaviour. This module imports only the standard library and `host_stt.contract`. Every position is a
sample index at 16 kHz on the session's timeline (sample 0 is the session's t = 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from host_stt.contract import SAMPLE_RATE, Float32Array, Transcript, Window

SAMPLES_PER_MS = SAMPLE_RATE // 1000


def ms_of(sample: int) -> int:
    """Milliseconds since t = 0 of a sample index, rounded down."""
    return sample // SAMPLES_PER_MS


class BlockKind(StrEnum):
    AUDIO = "audio"  # decoded from audio that arrived
    LOST = "lost"  # the audio never arrived; the samples are silence
    PAUSED = "paused"  # the source was stopped (its RTP clock stood still); the samples are silence


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of one channel. Blocks never overlap or go back in time; a gap between two blocks is `lost`.

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
    """One Opus packet as it came, with its position on the channel's timeline.

    start_sample: of its first decoded sample, at 16 kHz. The packets of a channel are in order, without
    overlap.
    """

    start_sample: int
    samples: int  # decoded length at 16 kHz
    payload: bytes

    @property
    def end_sample(self) -> int:
        return self.start_sample + self.samples


class EventType(StrEnum):
    """The event names of the wire (docs/reference/events.md). Interims and errors are not stored: no seq."""

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
    SEGMENT_MARKED = "segment.marked"
    NOTE_ADDED = "note.added"
    RANGE_REDACTED = "range.redacted"
    WINDOW_FAILED = "window.failed"
    COVERAGE = "coverage"
    ALERT_RAISED = "alert.raised"
    ALERT_CONFIRMED = "alert.confirmed"
    ALERT_WITHDRAWN = "alert.withdrawn"
    ALERT_ESCALATED = "alert.escalated"
    ALERT_ACKNOWLEDGED = "alert.acknowledged"
    SUMMARY_UPDATED = "summary.updated"
    ERROR = "error"

    @property
    def is_stored(self) -> bool:
        return self not in (EventType.SEGMENT_INTERIM, EventType.ERROR)


class ChannelState(StrEnum):
    IDLE = "idle"
    TALKING = "talking"
    BEHIND = "behind"  # the engine is later than the configured limit
    NO_SIGNAL = "no_signal"  # no packets, or digital silence
    DISCONNECTED = "disconnected"


class AlertLevel(StrEnum):
    """How urgent an alert is, the least urgent level first."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class AlertCause(StrEnum):
    """What a rule waits for, and so the cause of its alerts."""

    TERMS = "terms"  # one of its terms in the text
    PATTERN = "pattern"  # text that its regular expression matches
    ACTIVITY = "activity"  # speech begins
    SILENCE = "silence"  # no speech for a time
    NO_SIGNAL = "no_signal"  # no audio for a time: no packets, digital silence, or a broken connection


class Source(StrEnum):
    """Where the audio of a final came from when it was not live. Live finals have no source."""

    BACKFILL = "backfill"  # sent by the client after a network gap
    CALL = "call"  # a recorded call, sent when it had ended
    RECOVERY = "recovery"  # transcribed from the archive, after a crash or when there was no engine
    RECORDING = "recording"  # a file, transcribed by a job


class Mark(StrEnum):
    """What a person can mark a line with."""

    STAR = "star"
    REPORT = "report"  # something is wrong with the line: another person should look at it
    NOT_SAID = "not_said"  # the engine wrote words for a noise


class CoverageState(StrEnum):
    """The state of a millisecond of a channel; each has exactly one."""

    TRANSCRIBED = "transcribed"  # speech that was decoded; its text may be empty
    SILENCE = "silence"  # no speech, or the source was stopped
    SHED = "shed"  # it arrived, and was dropped because too much was waiting
    LOST = "lost"  # it never arrived
    FAILED = "failed"  # the engine could not decode it
    CLOSED = "closed"  # the sender had ended on purpose, so no audio was expected
    REDACTED = "redacted"  # a person removed its text, its audio or both; the reason says who and why


class CoverageNotes(Protocol):
    """Where the stages of a channel report coverage; `transcript.coverage_tracker` implements it.

    Audio that arrived has no state until a stage reports one. The methods never wait and never raise.
    """

    def decide(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        """Set the state of live audio, for the parts of the range that have no state yet."""
        ...

    def repair(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        """Set a better state later, at any time (backfill, recovery): replaces lost, shed and failed."""
        ...


class AudioArchive(Protocol):
    """Archives the audio of a channel, before it is decoded. `archive.archive` implements it.

    An input with Opus packets calls `archive_packet` for each, before the block decoded from it goes to the
    pipeline. Audio without packets (PCM sockets, uploads) goes to `archive_block`, and is encoded once.
    """

    @property
    def is_keeping(self) -> bool:
        """Whether audio reaches the disk now."""
        ...

    def archive_packet(self, packet: OpusPacket) -> None:
        """Never waits, never raises."""
        ...

    def archive_block(self, block: Block) -> None:
        """Never waits, never raises."""
        ...


class LiveAudio(Protocol):
    """Takes the audio of a channel for desks that listen now. `listening.hub` implements it.

    It gets what the archive gets: each Opus packet as it came, or the blocks of audio that came without
    packets.
    """

    def take_packet(self, packet: OpusPacket) -> None:
        """Never waits, never raises."""
        ...

    def take_block(self, block: Block) -> None:
        """Never waits, never raises."""
        ...


class Transcriber(Protocol):
    """The way to the engine (8081). `speech.transcriber` implements it."""

    async def transcribe(self, window: Window) -> Transcript:
        """Send the window; returns the engine's result. Waits through engine restarts, up to the deadline.

        Raises EngineError (errors.py): with code `shed` when a newer interim replaced the window or there is
        too much load, with another code when the engine could not decode it.
        """
        ...


class Clock(Protocol):
    """Seconds that never decrease; `time.monotonic` in the server, a settable number in tests."""

    def __call__(self) -> float: ...
