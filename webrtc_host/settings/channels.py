"""Settings that single channels have in place of the value for all channels: lists with one item for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field

from host_stt_common.channel_ids import is_channel_id
from webrtc_host.settings.types import Settings


def _channel(text: str) -> str:
    if not is_channel_id(text):
        raise ValueError(f"{text[:20]!r} is not a channel; write C01, C02, ...")
    return text


ChannelName = Annotated[str, AfterValidator(_channel)]


class ChannelKeeping(Settings):
    """How long the audio of one channel is archived, in place of `keep_days`."""

    channel: ChannelName
    keep_days: float = Field(ge=0, le=36_500)


class ChannelSignal(Settings):
    """How long one channel may send nothing before it has no signal, in place of `no_signal_after_s`."""

    channel: ChannelName
    no_signal_after_s: float = Field(gt=0, le=86_400)


OfChannel = TypeVar("OfChannel", ChannelKeeping, ChannelSignal)


def each_channel_once(items: Sequence[OfChannel]) -> Sequence[OfChannel]:
    """Raises ValueError when a channel has two items, because only one of them could apply."""
    names = [item.channel for item in items]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} stands in this list twice; name each channel once")
    return items
