"""Links for people who have no token of the configuration: to a range of a session, or to the wall.

A link to a range shows the text of the range, and its audio if its maker allowed that; nothing else. A link
to the wall is a token with the role `viewer`. Each link has an end and can be revoked. Invariants: the record
has only the hash of a link's token; a link that has ended opens nothing, and a screen that it opened gets no
more text.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row

from host_stt_common.tokens import digest_of
from webrtc_host.errors import Overloaded, RequestError, StoreError
from webrtc_host.http.issued import IssuedTokens
from webrtc_host.http.roles import Caller, Role
from webrtc_host.transcript import shares as rows
from webrtc_host.transcript.store import Store

logger = logging.getLogger(__name__)

VALID_MAX = 1000
"""Links that are valid at the same time."""
KEPT_S = 90 * 86_400.0
"""How long the list has a link after its end."""
CHECK_S = 1.0
"""A wall gets text for so long after the end of its link, at most."""
RETRY_S = 5.0
FORGET_S = 3600.0
USE_NOTED_S = 60.0
"""The last use of a link is written at most once in this time."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A new link. kind: `range` or `wall`. channels: None: all. The range has a session and its times."""

    kind: str
    name: str
    expires_in_s: int
    session: str | None = None
    channels: frozenset[str] | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    has_audio: bool = False


class Shares:
    """One per process; `run` is one of the server's start steps."""

    def __init__(
        self, store: Store, issued: IssuedTokens, *, wall_s: Callable[[], float] = time.time
    ) -> None:
        """issued: gets the tokens of wall links. wall_s: seconds since 1970."""
        self._store, self._issued, self._wall_s = store, issued, wall_s

    async def make(self, wish: Wish, who: str) -> tuple[Row[Any], str]:
        """The new link with its token, which is known at no later time.

        Raises RequestError 409 when there are too many links, StoreError.
        """
        token = secrets.token_urlsafe(24)
        now_ms = round(self._wall_s() * 1000)
        values: dict[str, Any] = {
            "token_hash": digest_of(token).hex(),
            "kind": wish.kind,
            "name": wish.name,
            "session": wish.session,
            "channels": None if wish.channels is None else json.dumps(sorted(wish.channels)),
            "from_ms": wish.from_ms,
            "to_ms": wish.to_ms,
            "has_audio": wish.has_audio,
            "who": who,
            "made_wall_ms": now_ms,
            "expires_wall_ms": now_ms + wish.expires_in_s * 1000,
        }
        row = await self._store.write(partial(_add, values=values))
        if row.kind == "wall":
            self._issue(row)
        return row, token

    async def open(self, token: str) -> Row[Any]:
        """The link of a range. Raises RequestError 404 (unknown), 410 (expired or revoked), StoreError."""
        token_hash = digest_of(token).hex()
        row = await self._store.read(lambda connection: rows.find_by_hash(connection, token_hash))
        if row is None or row.kind != "range":
            raise RequestError(
                "unknown_link", "there is no such link; check that its address is complete", 404
            )
        if row.revoked_wall_ms is not None:
            message = "this link was revoked; ask the person who sent it for a new one"
            raise RequestError("link_revoked", message, 410)
        now_ms = round(self._wall_s() * 1000)
        if row.expires_wall_ms <= now_ms:
            message = "this link has expired; ask the person who sent it for a new one"
            raise RequestError("link_expired", message, 410)
        if row.used_wall_ms is None or now_ms - row.used_wall_ms > USE_NOTED_S * 1000:
            await self._note_use(row.id, now_ms)
        return row

    async def page(self, limit: int, before: int | None) -> rows.Rows:
        return await self._store.read(lambda connection: rows.page(connection, limit, before))

    async def revoke(self, number: int, caller: Caller) -> Row[Any]:
        """An operator revokes own links, a supervisor all. Raises RequestError, StoreError."""
        row = await self._store.read(lambda connection: rows.find(connection, number))
        if row is None:
            raise RequestError("unknown_link", f"there is no link {number}", 404)
        if row.who != caller.name and not caller.role.may(Role.SUPERVISOR):
            message = f"the link was made by {row.who}; a supervisor can revoke the links of others"
            raise RequestError("role_too_low", message, 403)
        now_ms = round(self._wall_s() * 1000)
        if not await self._store.write(lambda c: rows.revoke(c, number, caller.name, now_ms)):
            raise RequestError("already_revoked", f"the link {number} was revoked already", 409)
        self._issued.end(bytes.fromhex(row.token_hash))
        return row

    async def run(self) -> None:
        """Make the wall links of the record valid, then end each link at its time. Cancelled at the stop."""
        while True:
            try:
                now_ms = round(self._wall_s() * 1000)
                for row in await self._store.read(partial(rows.valid_walls, now_wall_ms=now_ms)):
                    self._issue(row)
                break
            except (StoreError, Overloaded) as error:
                logger.warning("the links of wall screens are not known yet: %s", error)
                await asyncio.sleep(RETRY_S)
        forgotten_s = float("-inf")
        while True:
            self._issued.end_expired(self._wall_s())
            if time.monotonic() - forgotten_s > FORGET_S:
                forgotten_s = time.monotonic()
                await self._forget_old()
            await asyncio.sleep(CHECK_S)

    def _issue(self, row: Row[Any]) -> None:
        caller = Caller(f"link {row.id}: {row.name}", Role.VIEWER, is_link=True)
        self._issued.put(bytes.fromhex(row.token_hash), caller, row.expires_wall_ms / 1000)

    async def _note_use(self, number: int, now_ms: int) -> None:
        try:
            await self._store.write(lambda connection: rows.note_use(connection, number, now_ms))
        except StoreError as error:
            logger.debug("the use of link %s is not written down: %s", number, error)

    async def _forget_old(self) -> None:
        before_ms = round((self._wall_s() - KEPT_S) * 1000)
        try:
            await self._store.write(lambda connection: rows.forget_old(connection, before_ms))
        except StoreError as error:
            logger.debug("old links are not deleted now: %s", error)


def _add(connection: Connection, values: dict[str, Any]) -> Row[Any]:
    if rows.valid_count(connection, values["made_wall_ms"]) >= VALID_MAX:
        message = f"{VALID_MAX} links are valid already, which is the limit; revoke some"
        raise RequestError("too_many_links", message, 409)
    row = rows.find(connection, rows.add(connection, values))
    assert row is not None, "the row was inserted in this transaction"
    return row


def channels_of(row: Row[Any]) -> frozenset[str] | None:
    """The channels of a link to a range; None: all."""
    return None if row.channels is None else frozenset(json.loads(row.channels))
