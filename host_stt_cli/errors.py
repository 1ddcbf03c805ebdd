"""The only error of the command line: a plain sentence on stderr and exit status 2."""

from __future__ import annotations

from typing import IO, Any

import click


class StartError(click.ClickException):
    """The command cannot start. The sentence names the thing, the value and the way out; no traceback."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        for line in self.format_message().splitlines():
            click.echo(f"host-stt: {line}", file=file, err=file is None)
