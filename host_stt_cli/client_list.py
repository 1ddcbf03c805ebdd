"""`host-stt doctor --clients`: the settings for the clients of other services, ready to paste."""

from __future__ import annotations

import click

from host_stt_cli.addresses import is_loopback, url
from host_stt_cli.config import Config
from webrtc_host.wires.client_settings import KEY_TEXTS, TOKEN, ClientSettings, clients_of


def tell_clients(config: Config) -> None:
    """Print the settings of each client that the configuration turns on."""
    base = url("http" if config.tls.mode == "off" else "https", config.media.host, config.media.port)
    click.echo(f"Address of this server: {base}")
    if is_loopback(config.media.host):
        click.echo("Only programs on this machine reach it; media.host opens it for other machines.")
    elif config.media.host in ("0.0.0.0", "::"):
        click.echo("On other machines, put the address or the name of this machine in its place.")
    click.echo(
        f"{TOKEN} is a token with the role operator (docs/howto/access.md)."
        if config.asks_token
        else f"The configuration sets no token, so every key is accepted; {TOKEN} can stay as it is."
    )
    clients = clients_of(config.doors, config.radio, base)
    for client in clients:
        _tell(client, base)
    if not clients:
        click.echo("The configuration turns every protocol of other services off (doors, radio).")


def _tell(client: ClientSettings, base: str) -> None:
    click.echo(f"\n{client.name}")
    click.echo(f"  address  {client.address}")
    click.echo(f"  token    {KEY_TEXTS[client.key]}")
    if client.needs_https and not base.startswith("https:"):
        click.echo("  note     this client needs HTTPS (docs/howto/https.md)")
    click.echo("")
    for line in client.example.splitlines():
        click.echo(f"    {line}".rstrip())
