"""Which listening addresses other machines can reach, and how to write an address as a URL."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from host_stt_cli.errors import StartError
from host_stt_common.pages import is_loopback as is_loopback


def refuse_open(key: str, host: str, *, is_guarded: bool) -> None:
    """Refuse an address that other machines can reach, unless access is decided.

    is_guarded: a token is set, or the configuration says `auth: none`. Raises StartError.
    """
    if is_guarded or is_loopback(host):
        return
    raise StartError(
        f"{key} is {host}, which other machines can reach, and no auth.token is set: "
        "set one (--set auth.token='${NAME}', taken from the environment), "
        "or write --set auth=none if everyone may connect."
    )


def refuse_exposed(settings: Iterable[tuple[str, tuple[str, ...]]], *, is_guarded: bool) -> None:
    """Refuse settings that let other machines in through loopback, unless access is decided.

    settings: (key, values), such as ("media.trusted_proxies", ("127.0.0.1",)); a setting without values lets
    no other machine in. is_guarded: a token is set, or `auth: none`. Raises StartError.
    """
    if is_guarded:
        return
    for key, values in settings:
        if values:
            raise StartError(
                f"{key} names {values[0]}, so other machines can connect, and no auth.token is set: "
                "set one (--set auth.token='${NAME}', taken from the environment), "
                "or write --set auth=none if everyone may be administrator."
            )


def beyond_loopback(hosts_or_origins: Iterable[str]) -> tuple[str, ...]:
    """The hosts and origins that mean another machine than this one. An origin counts by its host."""
    return tuple(one for one in hosts_or_origins if not is_loopback(urlsplit(one).hostname or one))


def url(scheme: str, host: str, port: int) -> str:
    """The URL of a listening address: loopback in place of "all addresses", IPv6 in brackets."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host).strip("[]")
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
