"""A live channel that received some audio and lost other audio, without a server around it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from host_stt.contract import Float32Array
from tests.support.peers import Rig
from webrtc_host.seams import Block, BlockKind
from webrtc_host.session.channel import Channel, ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.connection import Connection

SECOND = 16_000
AUDIO, LOST = BlockKind.AUDIO, BlockKind.LOST


def sound(seconds: float) -> Float32Array:
    return np.full(round(seconds * SECOND), 0.1, np.float32)


def fed_channel(
    rig: Rig,
    now: list[float],
    *pieces: tuple[float, float, BlockKind],
    on_disconnect: Callable[[Connection], None] | None = None,
) -> Channel:
    """A live channel that received these (start_s, seconds, kind). now: the rig's clock; it is moved on."""
    session = rig.registry.current()

    async def end(reason: str) -> int:
        return 0

    connection = rig.registry.connect(
        session, DoorKind.WEBRTC, [ChannelSpec("C01")], end, on_disconnect=on_disconnect
    )
    channel = connection.channels[0]
    channel.open()
    for start_s, seconds, kind in pieces:
        channel.feed(Block(round(start_s * SECOND), sound(seconds), kind))
        now[0] = max(now[0], start_s + seconds)
    return channel


def a_channel(*pieces: tuple[float, float, BlockKind]) -> tuple[Channel, Rig]:
    now = [0.0]
    rig = Rig(clock=lambda: now[0])
    return fed_channel(rig, now, *pieces), rig
