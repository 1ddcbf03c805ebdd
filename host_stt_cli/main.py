"""The command line, `host-stt`. Each command has its own file; this file lists them.

A command's file is imported only when the command runs: the engine's process never loads the media libraries,
and 8082 never loads the model's. That saves each process a second and tens of megabytes.
"""

from __future__ import annotations

import codecs
import io
import sys
from importlib import import_module

import click

from host_stt_cli import __version__

COMMANDS = (
    "serve",
    "media",
    "engine",
    "transcribe",
    "check",
    "doctor",
    "model",
    "glossary",
    "loadtest",
    "backup",
    "score",
    "job",
    "watch",
    "capture",
    "runpod",
)
"""In the order of --help. Each is a command of this name in the module of this name."""


class Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"host_stt_cli.{cmd_name}"), cmd_name)
        return command if isinstance(command, click.Command) else None


def write_utf8() -> None:
    """Write UTF-8 in every locale. Otherwise the transcript of an hour could end with a codec error.

    Pipes and files are read as UTF-8 on all systems today.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=_AS_GIVEN)


_AS_GIVEN = "host-stt-as-given"


def _as_given(error: UnicodeError) -> tuple[str | bytes, int]:
    """Write a file name that Python could not decode as its original bytes; escape other errors."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


codecs.register_error(_AS_GIVEN, _as_given)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="host-stt")
def main() -> None:
    """Live text with exact timecodes from many WebRTC audio channels, on your own machine."""
    write_utf8()
