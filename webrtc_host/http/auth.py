"""Access checks: tokens and their roles, the origin of a page, the Host name, and trusted proxies.

Which role a route needs stands in its declaration (`routes`). The pages, `/health` and `/ready` need no
token: a page has to load before it can show the field for the token. The handler of a WebSocket checks the
token after the upgrade, because a browser shows only close codes.
Invariant: every known token is compared, in constant time, and no token appears in a log or an error text.
"""

from __future__ import annotations

import hmac
import ipaddress
import time
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from host_stt_common.accepting import mark_caller_known
from host_stt_common.callers import caller_key, plain_address, plain_network
from host_stt_common.pages import Pages, is_address
from host_stt_common.tokens import digest_of, given_token
from webrtc_host.errors import RequestError
from webrtc_host.http.issued import IssuedTokens
from webrtc_host.http.limits import CallerLimits, LimitsOfCallers
from webrtc_host.http.roles import ANYONE, CALLER, Caller, Role
from webrtc_host.http.routes import needed_role

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Key:
    """A token that callers may use. Only its digest is kept."""

    caller: Caller
    digest: bytes

    @classmethod
    def of(cls, name: str, role: Role, token: str) -> Key:
        return cls(Caller(name, role), digest_of(token))


class Gate:
    """The checks of every request, from the configuration."""

    def __init__(
        self,
        token: str = "",
        *,
        keys: Sequence[Key] = (),
        allowed_origins: Sequence[str] = (),
        trusted_proxies: Sequence[str] = (),
        host: str = "127.0.0.1",
        limits: LimitsOfCallers | None = None,
        issued: IssuedTokens | None = None,
    ) -> None:
        """token: with the role `admin`. Without a token and without keys, requests need no token.

        trusted_proxies: addresses or networks (10.0.0.0/8). host: where the server listens; a name here is
        one of the server's own names. issued: tokens that are valid besides those of the configuration.
        """
        own = [Key.of("auth.token", Role.ADMIN, token)] if token else []
        self._keys = (*own, *keys)
        self.issued = issued or IssuedTokens()
        self.limits = CallerLimits(limits or LimitsOfCallers())
        self._pages = Pages(allowed_origins, host=host)
        self._trusted: tuple[Network, ...] = tuple(plain_network(network) for network in trusted_proxies)

    def check_token(self, request: web.BaseRequest) -> Caller:
        """The caller, which is also kept in `request[CALLER]`.

        Raises RequestError: 401 without a valid token (`Authorization: Bearer` or `?token=`), 403 when the
        role is too low for the route or a page of another origin sends the request, 429 after too many wrong
        tokens.
        """
        return self.check_key(request, given_token(request.headers, request.query))

    def check_key(self, request: web.BaseRequest, given: str) -> Caller:
        """As `check_token`, for a token that the handler has read: protocols send it in many places."""
        # Before the token: a page of another origin can then neither try tokens nor get the address of its
        # visitor locked out for wrong ones.
        self.check_page(request)
        request[CALLER] = self._caller(request, given) if self._keys else self._anyone(given)
        mark_caller_known(request)
        return self.check_role(request, needed_role(request))

    def accept(self, request: web.BaseRequest, caller: Caller) -> Caller:
        """As `check_key`, for a caller whose key the handler itself has given out and checked."""
        self.check_page(request)
        request[CALLER] = caller
        mark_caller_known(request)
        return self.check_role(request, needed_role(request))

    @staticmethod
    def check_role(request: web.BaseRequest, needed: Role) -> Caller:
        """Raises RequestError 403 when the caller's role is lower than `needed`."""
        caller: Caller = request.get(CALLER, ANYONE)
        if not caller.role.may(needed):
            message = f"this needs the role {needed}; the token {caller.name!r} has the role {caller.role}"
            raise RequestError("role_too_low", message, 403)
        return caller

    def _anyone(self, given: str) -> Caller:
        """The caller of a server without tokens. The link of a wall is read-only there, too."""
        digest = digest_of(given)
        known = self.issued.caller_of(digest, time.time()) if given else None
        if known is None and given and self.issued.is_ended(digest):
            raise _ended_link()
        return known or ANYONE

    def _caller(self, request: web.BaseRequest, given: str) -> Caller:
        if not given:
            message = "this server asks for a token: send `Authorization: Bearer TOKEN`, or `?token=TOKEN`"
            raise RequestError("token_missing", message, 401)
        key, now_s = self.caller_key(request), time.monotonic()
        digest = digest_of(given)
        # Every token is compared, also after a match, so that the time taken reveals nothing.
        fitting = [one.caller for one in self._keys if hmac.compare_digest(digest, one.digest)]
        if not fitting and (issued := self.issued.caller_of(digest, time.time())) is not None:
            fitting = [issued]
        if not (fitting and self.limits.is_remembered(key, digest, now_s)):
            self.limits.check_guess(key, now_s)
        if fitting:
            self.limits.remember(key, digest, now_s)
        elif self.issued.is_ended(digest):
            raise _ended_link()
        else:
            self.limits.count_guess(key, now_s)
            message = "the token is none of this server's (auth.token, auth.tokens)"
            raise RequestError("token_wrong", message, 401)
        return fitting[0]

    def is_own_or_allowed(self, request: web.BaseRequest) -> bool:
        """False when a page of a foreign origin sends this request. Programs send no Origin."""
        origin = request.headers.get("Origin")
        return origin is None or self._pages.allows(origin, self.own_origin(request))

    def check_origin(self, request: web.BaseRequest) -> None:
        """Raises RequestError 403 when a page of a foreign origin sends this request."""
        if not self.is_own_or_allowed(request):
            origin = request.headers.get("Origin", "")[:100]
            message = f"pages of {origin} may not call this server; list it in media.allowed_origins"
            raise RequestError("origin_not_allowed", message, 403)

    def check_page(self, request: web.BaseRequest) -> None:
        """As `check_origin`, and also for requests of pages that carry no Origin (images, links)."""
        self.check_origin(request)
        if self._pages.is_foreign(request.headers, self.own_origin(request)):
            message = (
                "a page of another origin may not call this server (Sec-Fetch-Site); list its origin in "
                "media.allowed_origins, and let its media elements say `crossorigin`"
            )
            raise RequestError("origin_not_allowed", message, 403)

    def check_host(self, request: web.BaseRequest) -> None:
        """Raises RequestError 403 for an unknown Host name, on a server without tokens.

        On every address, not only on loopback: through a browser inside a network, a page from outside can
        reach every address of that network (DNS rebinding).
        """
        if self._keys or self.is_from_proxy(request) or self._pages.knows_host(request.host):
            return
        message = (
            f"this server is not known as {request.host[:100]!r}; name the address of its pages in "
            "media.allowed_origins, or the proxy in front of it in media.trusted_proxies"
        )
        raise RequestError("host_not_allowed", message, 403)

    def own_origin(self, request: web.BaseRequest) -> str:
        """scheme://host[:port] as the browser sees this server."""
        scheme, host = request.scheme, request.host
        if self.is_from_proxy(request):
            scheme = _last(request.headers.get("X-Forwarded-Proto")) or scheme
            host = _last(request.headers.get("X-Forwarded-Host")) or host
        return f"{scheme}://{host}"

    def is_from_proxy(self, request: web.BaseRequest) -> bool:
        return self._is_trusted(_peer(request))

    def caller_key(self, request: web.BaseRequest) -> str:
        """The key under which limits count this caller: its address, or the /64 of an IPv6 address."""
        return caller_key(self.remote(request))

    def is_trusted(self, address: str) -> bool:
        """Whether the address is a trusted proxy (media.trusted_proxies)."""
        return self._is_trusted(address)

    def remote(self, request: web.BaseRequest) -> str:
        """The caller's address: the last one in X-Forwarded-For that is no trusted proxy, or the peer's."""
        header = request.headers.get("X-Forwarded-For", "")
        hops = [plain_address(hop.strip()) for hop in header.split(",") if hop.strip()]
        remote = _peer(request)
        while self._is_trusted(remote) and hops:
            remote = hops.pop()
        return remote if is_address(remote) else "unknown"

    def _is_trusted(self, address: str) -> bool:
        if not self._trusted or not is_address(address):
            return False
        parsed = ipaddress.ip_address(address)
        return any(parsed in network for network in self._trusted if network.version == parsed.version)


def _ended_link() -> RequestError:
    message = "this link has expired or was revoked; ask the person who sent it for a new one"
    return RequestError("link_ended", message, 401)


GATE = web.AppKey("gate", Gate)


def key_of(request: web.Request) -> str:
    """`Gate.caller_key` of this request, also in an application without a gate."""
    gate = request.app.get(GATE)
    return gate.caller_key(request) if gate is not None else caller_key(request.remote or "")


def _peer(request: web.BaseRequest) -> str:
    """The address of the other end of the TCP connection, also after the connection closed."""
    return plain_address(request.remote or "")


def _last(header: str | None) -> str:
    """The last value of a list, which the nearest proxy wrote."""
    return header.rpartition(",")[2].strip() if header else ""
