"""`host-stt check`: read the configuration and name every mistake, or say what it comes to."""

from __future__ import annotations

import click

from host_stt_cli.options import ConfigOptions, config_options


@click.command()
@config_options
def check(options: ConfigOptions) -> None:
    """Read the configuration and name the key and line of every mistake (exit status 2)."""
    loaded = options.load()
    config = loaded.config
    config.refuse_open("media")
    config.refuse_open("engine")
    scheme = "http" if config.tls.mode == "off" else "https"
    click.echo(f"{loaded.file}: no mistakes.")
    click.echo(f"  pages   {scheme}://{config.media.host}:{config.media.port}/ (tls.mode {config.tls.mode})")
    click.echo(
        f"  engine  http://{config.engine.host}:{config.engine.port}/ (engine.model {config.engine.model})"
    )
    click.echo(f"  data    {config.data.dir.expanduser().absolute()}")
    click.echo(f"  token   {'asked for' if config.token else 'none'}")
