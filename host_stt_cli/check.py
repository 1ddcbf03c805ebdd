"""`host-stt check`: read the configuration and print every mistake, or a summary.

Also reads the glossary and the certificate that the configuration names. Starts nothing.
"""

from __future__ import annotations

import click

from host_stt_cli.certificate import server_context
from host_stt_cli.errors import StartError
from host_stt_cli.options import ConfigOptions, config_options
from webrtc_host.glossary.mistakes import GlossaryError
from webrtc_host.glossary.yaml_file import read_file


@click.command()
@config_options
def check(options: ConfigOptions) -> None:
    """Read the configuration and name the key and line of every mistake (exit status 2)."""
    loaded = options.load()
    config = loaded.config
    config.refuse_open("media")
    config.refuse_open("engine")
    if config.tls.mode == "files" and config.tls.cert and config.tls.key:
        server_context(config.tls.cert.expanduser(), config.tls.key.expanduser())
    try:
        read_file(config.glossary_file)
    except GlossaryError as error:
        raise StartError(f"the glossary cannot be used: {error}") from error
    scheme = "http" if config.tls.mode == "off" else "https"
    click.echo(f"{loaded.file}: no mistakes.")
    click.echo(f"  pages   {scheme}://{config.media.host}:{config.media.port}/ (tls.mode {config.tls.mode})")
    click.echo(
        f"  engine  http://{config.engine.host}:{config.engine.port}/ (engine.model {config.engine.model})"
    )
    click.echo(f"  data    {config.data.dir.expanduser().absolute()}")
    click.echo(f"  token   {'required' if config.asks_token else 'none'}")
