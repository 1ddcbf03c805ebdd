"""The command line, `host-stt`. One file per command; this one lists them."""

from __future__ import annotations

import click

from host_stt_cli import __version__
from host_stt_cli.check import check
from host_stt_cli.engine import engine
from host_stt_cli.media import media
from host_stt_cli.model import model
from host_stt_cli.serve import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="host-stt")
def main() -> None:
    """Live text with exact timecodes from many WebRTC audio channels, on your own machine."""


for _command in (serve, media, engine, check, model):
    main.add_command(_command)
