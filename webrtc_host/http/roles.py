"""Roles: what a token may be used for. Which role a route needs stands in its declaration (`routes`).

Invariant: each role may do everything that the roles before it may do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from aiohttp import web


class Role(StrEnum):
    VIEWER = "viewer"  # reads text
    LISTENER = "listener"  # also listens to audio
    OPERATOR = "operator"  # also sends audio and names sessions
    SUPERVISOR = "supervisor"  # also changes the glossary and ends sessions
    ADMIN = "admin"  # also removes sessions, changes the model and reads the audit

    @property
    def rank(self) -> int:
        return list(Role).index(self)

    def may(self, needed: Role) -> bool:
        return self.rank >= needed.rank


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request: the name of the token, never the token."""

    name: str
    role: Role
    is_link: bool = False  # the token is a link that a person made, not one of the configuration


ANYONE = Caller("anyone", Role.ADMIN)
"""Every caller of a server without tokens."""

CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)
