"""What the doors of all protocols share, and what each of them is allowed: limits, counters, places.

`Site` is made once for each process by `app`; `Traits` belong to one protocol.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from host_stt_common.rates import FrameRates
from webrtc_host.config import MediaConfig
from webrtc_host.desk.subscribers import Subscribers
from webrtc_host.doors.socket_feed import FeedConfig
from webrtc_host.errors import Overloaded
from webrtc_host.media.encodings import AudioFormat
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.resume import ResumeTokens
from webrtc_host.wires.read_ahead import Budget

RETRY_AFTER_S = 5.0
READ_AHEAD_BYTES = 64 * 1024 * 1024
"""Messages of all connections that may wait for their turn."""
CONTAINERS_MAX = 64
"""Containers that are decoded at a time; each has a thread."""


@dataclass(frozen=True, slots=True)
class Traits:
    """The limits of the connections of one protocol."""

    door: DoorKind
    message_bytes: int = 1024 * 1024
    """A longer message is not read: close code 1009."""
    frame_bytes: int = 256 * 1024
    """Audio in one message; 1.4 s of 48 kHz floats."""
    first_message_s: float = 10.0
    """Until the client has named its audio, each message has to come within this time."""
    idle_s: float = 30.0
    """Afterwards; every message counts, keep-alives too."""
    has_results: bool = True
    """Whether results go back on the same socket."""
    subprotocols: tuple[str, ...] = ()
    joins_frames: bool = False
    """Binary messages that wait are joined. Not where the protocol has a reply to each of them."""
    read_ahead_bytes: int = 32 * 1024 * 1024
    """Messages that may wait for their turn, so that pings behind them are answered; 32 MiB are 17 minutes of
    16 kHz samples. 0: nothing is read ahead."""


class Site:
    """The services that connections use, and their totals since the start of the process."""

    def __init__(
        self,
        registry: SessionRegistry,
        subscribers: Subscribers | None = None,
        tokens: ResumeTokens | None = None,
        rates: FrameRates | None = None,
        *,
        media: MediaConfig | None = None,
        containers_max: int = CONTAINERS_MAX,
    ) -> None:
        """subscribers: where results come from; None: no protocol of this site has results.

        tokens: for clients that continue their channels; None: no client can. rates: shared with other
        endpoints whose frames count together with these. media: when a channel has no signal; None: defaults.
        """
        self.registry = registry
        self.subscribers = subscribers
        self.tokens = tokens
        self.rates = rates or FrameRates()
        self._media = media or MediaConfig()
        self.totals = {"frames": 0, "bytes": 0, "audio_ms": 0, "slowed": 0, "refused": 0}
        self.read_ahead = Budget(READ_AHEAD_BYTES)
        self._containers = 0
        self._containers_max = containers_max

    def feed_config(self, channel: str) -> FeedConfig:
        """Of one channel, such as C01."""
        return FeedConfig(no_signal_samples=self._media.no_signal_samples(channel))

    def statistics(self) -> dict[str, float]:
        """Since the start of the process; a socket is counted when it closes."""
        return {**self.totals}

    @contextlib.contextmanager
    def room_for(self, audio: AudioFormat) -> Iterator[None]:
        """Count a container while it is decoded. Raises Overloaded when there are too many."""
        if not audio.is_container:
            yield
            return
        if self._containers >= self._containers_max:
            raise Overloaded(
                "too_many_streams",
                f"{self._containers} {audio.encoding.value} and other containers are being decoded; "
                "send Opus packets or PCM",
                retry_after_s=RETRY_AFTER_S,
            )
        self._containers += 1
        try:
            yield
        finally:
            self._containers -= 1
