"""When a second publisher may have a channel that is still held: only when the first one is plainly dead.

Doors without resume tokens (WHIP, sockets) name their channel outright, and one token opens them all; so a
client that lost its network and is here again, and a stranger, look the same. Who is heard keeps the channel.
"""

from __future__ import annotations

import logging

from webrtc_host.seams import ChannelState
from webrtc_host.session.channel import Channel, DoorKind
from webrtc_host.session.registry import Connection, SessionRegistry

logger = logging.getLogger(__name__)

DOORS = (DoorKind.WHIP, DoorKind.SOCKET)
"""A page holds a resume token and does it by that."""
CONNECTING_S = 5.0
"""A connection that has not begun to feed by then is taken for dead; a good one needs less than a second."""


async def take_over_dead(registry: SessionRegistry, channel: Channel) -> None:
    """Free the channel when the connection that holds it has no signal or never began."""
    holder = registry.holder_of(channel)
    if holder is None or holder.door not in DOORS:
        return
    if _is_dead(registry, channel, holder):
        logger.info("%s %s changes hands: its connection was dead", channel.session.id, channel.id)
        await registry.take_over(holder, "taken_over")


def _is_dead(registry: SessionRegistry, channel: Channel, holder: Connection) -> bool:
    if channel.pipeline is None:
        return registry.age_s(holder) > CONNECTING_S
    return channel.state is ChannelState.NO_SIGNAL
