"""Settings of the port for Wyoming, the protocol of Home Assistant."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from host_stt_common.channel_ids import CHANNEL_PATTERN
from webrtc_host.settings.types import Port, Settings, address_of, network_of


class WyomingSettings(Settings):
    """The TCP port of the Wyoming protocol."""

    enabled: bool = False
    port: Port = 10300
    host: Annotated[str, AfterValidator(address_of)] = "127.0.0.1"
    allow: tuple[Annotated[str, AfterValidator(network_of)], ...] = ("127.0.0.1/32", "::1/128")
    # The channel of its audio; empty: the next free one
    channel: Annotated[str, Field(pattern=f"^({CHANNEL_PATTERN})?$")] = ""
    connections: int = Field(32, ge=1, le=1000)  # open at the same time
