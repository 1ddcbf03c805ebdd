"""Interfaces of the objects that a channel uses: its session, the log, its pipeline, and its connection.

A channel does not import the session: these interfaces name the few things that it needs. No behaviour.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from webrtc_host.events import EventSink
from webrtc_host.seams import Block
from webrtc_host.transcript.event_log import ReadableLog


class DoorKind(StrEnum):
    WEBRTC = "webrtc"
    WHIP = "whip"
    SOCKET = "socket"
    PUSH = "push"
    SIMULATION = "simulation"


class SessionLog(EventSink, ReadableLog, Protocol):
    """The log of a session: to write, to read, and to wait for. `transcript.saved_log` implements it."""

    async def settled(self, seq: int | None = None) -> int:
        """Wait until event `seq` (None: the newest) is saved, or known not to be. Returns that seq."""
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


class ChannelSession(Protocol):
    """The parts of a session that a channel uses; `registry.Session` implements it."""

    @property
    def id(self) -> str: ...

    @property
    def log(self) -> SessionLog: ...

    def now_sample(self) -> int:
        """This moment on the session's timeline, at 16 kHz."""
        ...

    def now_ms(self) -> int: ...


class Holder(Protocol):
    """The parts of a connection that a channel uses; `registry.Connection` implements it."""

    @property
    def id(self) -> str: ...

    @property
    def door(self) -> DoorKind: ...

    @property
    def by(self) -> str | None:
        """The name of the caller's token; None when the server requires no token."""
        ...
