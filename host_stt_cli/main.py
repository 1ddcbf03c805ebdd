"""The command line, `host-stt`. One file per command; this one lists them.

A command's file is imported when it is called for: the engine's process never loads the media libraries, nor
8082 the model's, which saves each a second and tens of megabytes.
"""

from __future__ import annotations

from importlib import import_module

import click

from host_stt_cli import __version__

COMMANDS = ("serve", "media", "engine", "transcribe", "check", "doctor", "model", "loadtest", "backup")
"""In the order of --help. Each is the object of that name in the module of that name."""


class Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"host_stt_cli.{cmd_name}"), cmd_name)
        return command if isinstance(command, click.Command) else None


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="host-stt")
def main() -> None:
    """Live text with exact timecodes from many WebRTC audio channels, on your own machine."""
