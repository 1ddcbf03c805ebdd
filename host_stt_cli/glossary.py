"""`host-stt glossary`: what can be done with the glossary outside of a server.

Each command has its own module, which is imported only when the command runs.
"""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = {
    "speak": "host_stt_cli.glossary_speech:speak",
    "test": "host_stt_cli.glossary_speech:test_command",
    "train": "host_stt_cli.glossary_speech:train",
    "export-clips": "host_stt_cli.glossary_clips:export_clips",
}
"""Name of each command -> its module and function."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(module), name)
        return command if isinstance(command, click.Command) else None


@click.command(cls=_Commands)
def glossary() -> None:
    """Measure a glossary on speech, collect mis-hearings, and export corrected lines with their audio."""
