"""What the command reports: a line for each change, and one line about all channels."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

import click

from host_stt_cli.capture.backlog import Backlog
from host_stt_cli.capture.line import Line
from host_stt_cli.job import clock as clock_text

REPORT_S = 60.0
"""Between two lines about all channels, where the output is not a terminal."""


class Status:
    """One channel is added for each input; `line` describes them all."""

    def __init__(self, *, is_terminal: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._is_terminal = is_terminal
        self._clock = clock
        self._began_s = self._reported_s = clock()
        self._channels: dict[str, tuple[Line, Backlog]] = {}
        self._ended: set[str] = set()
        self._taken_s: dict[str, float] = {}

    def add(self, channel: str, line: Line, backlog: Backlog) -> None:
        self._channels[channel] = (line, backlog)

    def end(self, channel: str) -> None:
        self._ended.add(channel)

    def tell(self, channel: str, text: str) -> None:
        """Write a change of one channel."""
        self._clear()
        click.echo(f"host-stt: {channel} {text}", err=True)

    def line(self) -> str:
        """How many channels send, which wait, and what was lost. Compares with the last call."""
        groups: dict[str, list[str]] = {
            "send": [],
            "waiting for the server": [],
            "waiting for the source": [],
        }
        for channel, (line, backlog) in self._channels.items():
            has_audio = backlog.taken_s > self._taken_s.get(channel, 0.0)
            self._taken_s[channel] = backlog.taken_s
            if channel in self._ended:
                continue
            what = "send" if has_audio else "waiting for the source"
            groups[what if line.is_open else "waiting for the server"].append(channel)
        parts = [f"{len(groups['send'])} of {len(self._channels)} channels send"]
        parts += [f"{what}: {', '.join(found)}" for what, found in groups.items() if found and what != "send"]
        if self._ended:
            parts.append(f"{len(self._ended)} ended")
        losses = {c: b.lost_s for c, (_, b) in self._channels.items() if b.lost_s >= 0.1}
        parts.append(
            "lost " + ", ".join(f"{c} {s:.1f} s" for c, s in losses.items()) if losses else "nothing lost"
        )
        return f"{clock_text(self._clock() - self._began_s)}  {'; '.join(parts)}"

    def report(self) -> None:
        """Call it every second. A terminal always shows the newest line; a log gets one a minute."""
        if self._is_terminal:
            text = self.line()
            self._clear()
            click.echo(text[: _width() - 1], err=True, nl=False)
        elif self._clock() - self._reported_s >= REPORT_S:
            self._reported_s = self._clock()
            click.echo(f"host-stt: {self.line()}", err=True)

    def close(self) -> None:
        """The last line."""
        self._clear()
        click.echo(f"host-stt: {self.line()}", err=True)

    def _clear(self) -> None:
        if self._is_terminal:
            click.echo("\r\x1b[K", err=True, nl=False)


def _width() -> int:
    return shutil.get_terminal_size().columns
