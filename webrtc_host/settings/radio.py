"""Settings for the calls of radio systems."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from host_stt_common.channel_ids import CHANNEL_PATTERN
from webrtc_host.settings.types import Port, Settings, address_of, network_of


def _system(text: str) -> str:
    if not text.strip() or text != text.strip():
        raise ValueError(f"{text!r} is not a number, name or short name of a radio system")
    return text


class RadioTalkgroup(Settings):
    """One talkgroup whose calls are transcribed, and its channel."""

    talkgroup: int = Field(ge=0, le=2**32 - 1)
    channel: Annotated[str, Field(pattern=f"^{CHANNEL_PATTERN}$")]
    # Numbers, names or short names of radio systems; empty: every system
    systems: tuple[Annotated[str, Field(max_length=100), AfterValidator(_system)], ...] = ()
    label: str = Field("", max_length=200)  # empty: the name that the radio system sends

    def is_of(self, systems: Collection[str]) -> bool:
        """Whether the talkgroup is one of a system with these names."""
        known = {system.lower() for system in self.systems}
        return not known or any(system.lower() in known for system in systems)


class SimplestreamConfig(Settings):
    """The UDP port for live audio of trunk-recorder."""

    port: Port = 0  # 0: off
    host: Annotated[str, AfterValidator(address_of)] = "127.0.0.1"
    allow: tuple[Annotated[str, AfterValidator(network_of)], ...] = ("127.0.0.1/32", "::1/128")
    hang_s: float = Field(2.0, ge=0.5, le=60)  # without audio for so long, a call is over


class RadioConfig(Settings):
    """Calls of radio systems: which talkgroup is which channel."""

    talkgroups: tuple[RadioTalkgroup, ...] = ()
    unknown: Literal["refuse", "ignore", "next"] = "refuse"  # calls of other talkgroups
    call_s: int = Field(600, ge=1, le=3600)  # length of one call
    waiting_s: int = Field(1200, ge=1, le=36_000)  # audio of calls that waits for the engine
    simplestream: SimplestreamConfig = SimplestreamConfig()

    @model_validator(mode="after")
    def _each_once(self) -> RadioConfig:
        for number, one in enumerate(self.talkgroups):
            for other in self.talkgroups[:number]:
                if one.channel == other.channel:
                    raise ValueError(
                        f"two talkgroups feed the channel {one.channel}: {other.talkgroup} and "
                        f"{one.talkgroup}; their calls can overlap, so each needs its own channel"
                    )
                is_same_system = one.systems == other.systems or any(
                    other.is_of((system,)) for system in one.systems if other.systems
                )
                if one.talkgroup == other.talkgroup and is_same_system:
                    raise ValueError(f"talkgroup {one.talkgroup} is named twice for one system")
        return self
