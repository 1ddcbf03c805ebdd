"""What all sockets of `/ws/pcm` share: limits, resume tokens, counters, and places for containers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from webrtc_host.doors.socket_feed import FeedConfig
from webrtc_host.doors.socket_start import AudioStart
from webrtc_host.errors import Overloaded
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.resume import ResumeTokens

RETRY_AFTER_S = 5.0


@dataclass(frozen=True, slots=True)
class SocketLimits:
    frame_bytes: int = 256 * 1024  # one binary frame; 1.4 s of 48 kHz floats
    text_bytes: int = 64 * 1024
    hard_frame_bytes: int = 1024 * 1024  # a longer frame is not read: close code 1009
    first_message_s: float = 10.0
    idle_s: float = 30.0  # without a message; `keepalive` is one
    containers: int = 64  # each has a thread


class SharedBySockets:
    """What all sockets of the endpoint share."""

    def __init__(
        self, registry: SessionRegistry, tokens: ResumeTokens | None, limits: SocketLimits, feed: FeedConfig
    ) -> None:
        self.registry = registry
        self.tokens = tokens
        self.limits = limits
        self.feed = feed
        self.totals = {"frames": 0, "bytes": 0, "audio_ms": 0, "slowed": 0, "refused": 0}
        self._containers = 0

    @contextlib.contextmanager
    def room_for(self, start: AudioStart) -> Iterator[None]:
        """Count a container while it is decoded. Raises Overloaded when there are too many."""
        if not start.encoding.is_container:
            yield
            return
        if self._containers >= self.limits.containers:
            raise Overloaded(
                "too_many_streams",
                f"{self._containers} {start.encoding.value} and other containers are being decoded; "
                "send Opus packets or PCM",
                retry_after_s=RETRY_AFTER_S,
            )
        self._containers += 1
        try:
            yield
        finally:
            self._containers -= 1
