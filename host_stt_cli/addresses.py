"""Addresses: which ones other machines reach, and how to write one into a browser."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from host_stt_cli.errors import StartError
from host_stt_common.pages import is_loopback as is_loopback


def refuse_open(key: str, host: str, *, is_guarded: bool) -> None:
    """An address that other machines reach needs a token, or the explicit word that none is wanted.

    is_guarded: one of the two was said. Raises StartError.
    """
    if is_guarded or is_loopback(host):
        return
    raise StartError(
        f"{key} is {host}, which other machines can reach, and no auth.token is set: "
        "set one (--set auth.token='${NAME}', taken from the environment), "
        "or say --set auth=none if everyone may connect."
    )


def refuse_exposed(settings: Iterable[tuple[str, tuple[str, ...]]], *, is_guarded: bool) -> None:
    """Settings that let others in although the server listens on loopback need a token, or the explicit word.

    settings: (key, values) of those in force, such as ("media.trusted_proxies", ("127.0.0.1",)); one without
    values lets nobody in. is_guarded: a token or `auth: none` was given. Raises StartError.
    """
    if is_guarded:
        return
    for key, values in settings:
        if values:
            raise StartError(
                f"{key} names {values[0]}, so others than this machine get in, and no auth.token is set: "
                "set one (--set auth.token='${NAME}', taken from the environment), "
                "or say --set auth=none if everyone may be administrator."
            )


def beyond_loopback(hosts_or_origins: Iterable[str]) -> tuple[str, ...]:
    """Those that do not stand for this machine alone. An origin counts by its host."""
    return tuple(one for one in hosts_or_origins if not is_loopback(urlsplit(one).hostname or one))


def url(scheme: str, host: str, port: int) -> str:
    """The address to call: loopback in place of "every address", IPv6 in brackets."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host).strip("[]")
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
