"""The base class of all settings, and the kinds of values that several of them have."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=0, le=65535)]


def address_of(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not an IP address") from error
    return text


def network_of(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(f"{text!r} is not an address or a network, such as 10.0.0.0/8") from error
    return text


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
