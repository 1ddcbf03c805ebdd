"""Decides when a second publisher gets a channel that is still held: only when the first one is clearly dead.

Clients of inputs without resume tokens (WHIP, sockets) name their channel, and one token may open all
channels. So a client that lost its network and reconnects looks like any other client. As long as the first
connection sends audio, it keeps the channel.
"""

from __future__ import annotations

import logging

from webrtc_host.seams import ChannelState
from webrtc_host.session.channel import Channel
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.connection import Connection
from webrtc_host.session.registry import SessionRegistry

logger = logging.getLogger(__name__)

KEEPING = (DoorKind.WEBRTC, DoorKind.PUSH, DoorKind.SIMULATION, DoorKind.JOB)
"""Connections that keep their channels: a page uses its resume token, and the others end by themselves."""
CONNECTING_S = 5.0
"""A connection that does not feed after this time counts as dead; a working one needs less than 1 s."""


async def take_over_dead(registry: SessionRegistry, channel: Channel) -> None:
    """Free the channel when the connection that holds it has no signal, or never began to feed."""
    holder = registry.holder_of(channel)
    if holder is None or holder.door in KEEPING:
        return
    if _is_dead(registry, channel, holder):
        logger.info("%s %s is handed over: its connection was dead", channel.session.id, channel.id)
        await registry.take_over(holder, "taken_over")


def _is_dead(registry: SessionRegistry, channel: Channel, holder: Connection) -> bool:
    if channel.pipeline is None:
        return registry.age_s(holder) > CONNECTING_S
    return channel.state is ChannelState.NO_SIGNAL
