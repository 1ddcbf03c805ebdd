"""Show the progress of a run on standard error: a bar on a terminal, else a line per minute."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from tqdm import tqdm

from host_stt_cli.loadtest.run import OnProgress, Progress

LINE_S = 60.0
SHAPE = "{desc}: {percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s{postfix}"


@contextmanager
def progress(seconds: float, channels: int) -> Iterator[OnProgress]:
    if sys.stderr.isatty():
        with tqdm(total=seconds, desc=f"{channels} channels", bar_format=SHAPE, file=sys.stderr) as bar:

            def show(now: Progress) -> None:
                bar.n = min(now.done_s, seconds)
                bar.set_postfix_str(_lag(now), refresh=True)

            yield show
    else:
        yield _lines(seconds, channels)


def _lines(seconds: float, channels: int) -> OnProgress:
    due_s = LINE_S

    def show(now: Progress) -> None:
        nonlocal due_s
        if now.done_s >= due_s:
            due_s += LINE_S
            click.echo(f"{channels} channels: {now.done_s:.0f} of {seconds:.0f} s, {_lag(now)}", err=True)

    return show


def _lag(now: Progress) -> str:
    lag = f"{now.lag_ms:.0f} ms" if now.lag_ms is not None else "-"
    return f"lag {lag}, {now.finals} finals"
