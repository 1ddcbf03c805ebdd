"""A connection: one peer connection, socket or upload, with the channels that it holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from webrtc_host.session.channel import Channel
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.session import Session


@dataclass(eq=False, slots=True)
class Connection:
    """One peer connection, socket or upload. `end(reason)` drains it and returns its last seq."""

    id: str
    session: Session
    door: DoorKind
    opened_s: float  # of the registry's clock
    end: Callable[[str], Awaitable[int]]
    channels: tuple[Channel, ...] = ()
    by: str | None = None  # the name of the caller's token; None when the server requires no token
    release: Callable[[str], None] | None = None  # frees its channels at once, and ends in the background
    on_disconnect: Callable[[Connection], None] | None = None  # called once, when it has ended

    def add(self, channels: Sequence[Channel]) -> None:
        """Add channels behind the present ones."""
        self.channels += tuple(channels)

    def drop(self, channel: Channel) -> None:
        """Remove a channel from this connection. `Channel.release` frees the channel itself."""
        self.channels = tuple(one for one in self.channels if one is not channel)
