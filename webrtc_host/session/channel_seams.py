"""Interfaces of the objects that a channel uses: its session, the log, its pipeline, and its connection.

A channel does not import the session: these interfaces name the few things that it needs. No behaviour.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from webrtc_host.events import EventSink
from webrtc_host.seams import Block
from webrtc_host.transcript.event_log import ReadableLog
from webrtc_host.transcript.redaction import Removed


class DoorKind(StrEnum):
    """Where the audio of a connection comes in. A protocol of another service has its own kind."""

    WEBRTC = "webrtc"
    WHIP = "whip"
    SOCKET = "socket"
    PUSH = "push"
    CALL = "call"  # a recorded call of a radio system
    SIMPLESTREAM = "simplestream"  # live audio of a radio system
    SIMULATION = "simulation"
    JOB = "job"
    ASSEMBLYAI = "assemblyai"
    CONVERSATION = "conversation"
    DEEPGRAM = "deepgram"
    OPENAI = "openai"
    PIPECAT = "pipecat"
    SPEECHMATICS = "speechmatics"
    TELEPHONE = "telephone"
    VOSK = "vosk"
    WHISPERLIVE = "whisperlive"
    WYOMING = "wyoming"


class SessionLog(EventSink, ReadableLog, Protocol):
    """The log of a session: to write, to read, and to wait for. `transcript.saved_log` implements it."""

    async def settled(self, seq: int | None = None) -> int:
        """Wait until event `seq` (None: the newest) is saved, or known not to be. Returns that seq."""
        ...

    def redact(self, removed: Removed) -> None:
        """Remove the words of a redaction from the events in memory."""
        ...


class Pipeline(Protocol):
    """Turns the blocks of a channel into events; `speech.pipeline.ChannelPipeline` implements it."""

    def start(self) -> None: ...

    def feed(self, block: Block) -> None:
        """Never waits."""
        ...

    async def close(self) -> None:
        """Return when the last events are in the log. A second call waits for the same."""
        ...

    async def force_end(self) -> None:
        """End the running utterance now; return when the finals of the audio fed so far are in the log."""
        ...

    def set_language(self, language: str) -> None:
        """The language of the windows that are decoded from now on: Whisper's code, or `auto`."""
        ...

    @property
    def pause_ms(self) -> int:
        """The silence since the last speech, in the audio that was analysed; 0 during speech."""
        ...


class ChannelSession(Protocol):
    """The parts of a session that a channel uses; `session.Session` implements it."""

    @property
    def id(self) -> str: ...

    @property
    def log(self) -> SessionLog: ...

    def now_sample(self) -> int:
        """This moment on the session's timeline, at 16 kHz."""
        ...

    def now_ms(self) -> int: ...


class Holder(Protocol):
    """The parts of a connection that a channel uses; `connection.Connection` implements it."""

    @property
    def id(self) -> str: ...

    @property
    def door(self) -> DoorKind: ...

    @property
    def by(self) -> str | None:
        """The name of the caller's token; None when the server requires no token."""
        ...
