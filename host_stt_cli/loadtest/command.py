"""The command: options in, a progress bar while it runs, files and one sentence out.

Exit status: 0 the verdict is yes, 1 it is no, 2 it could not be measured. Ctrl-C ends the run early; what was
measured by then is reported and judged like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from host_stt_cli.errors import StartError
from host_stt_cli.loadtest import page, report, sounds, sweep
from host_stt_cli.loadtest.plan import Door, Load
from host_stt_cli.loadtest.run import OnProgress, Progress, Target, Unmeasured, run
from host_stt_cli.loadtest.sounds import Clip
from host_stt_cli.loadtest.verdict import Answer, Limits, Verdict, judge

TOKEN_VARIABLE = "HOST_STT_TOKEN"
_PATH = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--base", default="http://127.0.0.1:8082", show_default=True, metavar="URL", help="The server.")
@click.option(
    "--engine", metavar="URL", help="Its engine, where that is not on this machine. Default: found."
)
@click.option("--channels", default=16, show_default=True, type=click.IntRange(1, 64))
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(min=5))
@click.option("--talk", default=0.5, show_default=True, help="Share of time that each channel speaks.")
@click.option("--overlap", default=0.0, show_default=True, help="0: each at its own times; 1: all at once.")
@click.option("--loss", default=0.0, show_default=True, help="Share of packets lost on the way.")
@click.option("--jitter", default=0, show_default=True, metavar="MS", help="Packets come up to MS later.")
@click.option("--reconnects", default=0, show_default=True, help="Connections broken per channel.")
@click.option("--door", default="webrtc", show_default=True, type=click.Choice([d.value for d in Door]))
@click.option("--tracks", default=1, show_default=True, help="Channels in one peer connection.")
@click.option("--audio", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR")
@click.option("--language", default="en", show_default=True, help="Of the built-in phrases, or of DIR.")
@click.option("--seed", default=1, show_default=True)
@click.option("--ttfs-p95", default=1500.0, show_default=True, metavar="MS", help="The limit of the verdict.")
@click.option("--sweep", "sweep_to", is_flag=False, flag_value=64, default=0, metavar="[MOST]")
@click.option("--soak", is_flag=True, help="Judge what creeps too: memory, threads, files, timecodes.")
@click.option("--json", "json_file", type=_PATH, metavar="FILE", help="The whole report.")
@click.option("--html", "html_file", type=_PATH, metavar="FILE", help="The report as a page; opens offline.")
@click.option("--compare", nargs=2, type=_PATH, metavar="BEFORE AFTER", help="Two reports, no run.")
def loadtest(
    base: str,
    engine: str | None,
    channels: int,
    seconds: float,
    talk: float,
    overlap: float,
    loss: float,
    jitter: int,
    reconnects: int,
    door: str,
    tracks: int,
    audio: Path | None,
    language: str,
    seed: int,
    ttfs_p95: float,
    sweep_to: int,
    soak: bool,
    json_file: Path | None,
    html_file: Path | None,
    compare: tuple[Path, Path] | None,
) -> None:
    """Find out whether this machine carries your channels.

    Opens real connections to a running server, speaks into them, and tells how fast and how right the text
    comes. --sweep finds the largest number of channels that holds. The token, if one is needed, is taken from
    HOST_STT_TOKEN.
    """
    if compare:
        _compare(*compare)
        return
    try:
        load = Load(channels, seconds, talk, overlap, loss, jitter, reconnects, Door(door), tracks, seed)
    except ValueError as error:
        raise StartError(f"{error}.") from error
    clips = sounds.given(audio, language) if audio else sounds.spoken(language)
    target = Target(base.rstrip("/"), os.environ.get(TOKEN_VARIABLE, ""), engine)
    limits = Limits(ttfs_p95_ms=ttfs_p95, is_soak=soak)
    try:
        found, verdict = asyncio.run(_measured(target, load, clips, language, limits, sweep_to))
    except Unmeasured as error:
        raise StartError(f"could not be measured: {error}") from error
    _write(found, json_file, html_file)
    sys.exit(verdict.answer.exit_status)


async def _measured(
    target: Target, load: Load, clips: Sequence[Clip], language: str, limits: Limits, sweep_to: int
) -> tuple[dict[str, Any], Verdict]:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    runs: list[tuple[dict[str, Any], Verdict]] = []

    async def one(channels: int) -> tuple[dict[str, Any], Verdict]:
        with _bar(load.seconds, channels) as on_progress:
            found = await run(target, replace(load, channels=channels), clips, language, stop, on_progress)
        verdict = judge(found, limits)
        runs.append((found, verdict))
        return found, verdict

    if not sweep_to:
        found, verdict = await one(load.channels)
    else:
        found, verdict = await _swept(one, runs, load, limits, sweep_to, stop)
    found["verdict"] = {
        "answer": verdict.answer.value,
        "sentence": verdict.sentence,
        "reasons": list(verdict.reasons),
        "limiting": verdict.limiting,
    }
    for line in (*report.lines(found), "", verdict.sentence):
        click.echo(line)
    return found, verdict


async def _swept(
    one: Any,
    runs: list[tuple[dict[str, Any], Verdict]],
    load: Load,
    limits: Limits,
    most: int,
    stop: asyncio.Event,
) -> tuple[dict[str, Any], Verdict]:
    """The run asked for, judged with what the sweep found."""

    async def holds(channels: int) -> bool:
        if stop.is_set():
            return False  # Ctrl-C: no further run, and the edge is where we are
        found, verdict = await one(channels)
        p95 = found["measures"]["ttfs_ms"].get("p95", "-")
        click.echo(
            f"{channels:>3} channels: {verdict.answer.value}, time to final text p95 {p95} ms", err=True
        )
        return bool(verdict.answer is Answer.YES)

    edge = await sweep.largest(holds, load.channels, most)
    wanted = edge or min(found["load"]["channels"] for found, _ in runs)
    asked = next((f for f, _ in runs if f["load"]["channels"] == load.channels), None)
    found = asked or next(f for f, _ in runs if f["load"]["channels"] == wanted)
    found["sweep"] = {
        "largest": edge,
        "runs": [
            {
                "channels": f["load"]["channels"],
                "answer": v.answer.value,
                "ttfs_ms": f["measures"]["ttfs_ms"],
                "reasons": list(v.reasons),
            }
            for f, v in runs
        ],
    }
    verdict = judge(found, limits, edge)
    return found, replace(verdict, sentence=f"{verdict.sentence} The most that held is {edge} channels.")


@contextmanager
def _bar(seconds: float, channels: int) -> Iterator[OnProgress]:
    """A progress bar with the lag of the latest text, on standard error."""
    shape = "{desc}: {percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s{postfix}"
    with tqdm(total=seconds, desc=f"{channels} channels", bar_format=shape, file=sys.stderr) as bar:

        def show(progress: Progress) -> None:
            bar.n = min(progress.done_s, seconds)
            lag = f"{progress.lag_ms:.0f} ms" if progress.lag_ms is not None else "-"
            bar.set_postfix_str(f"lag {lag}, {progress.finals} finals", refresh=True)

        yield show


# --- files ------------------------------------------------------------------------------------------------


def _write(found: dict[str, Any], json_file: Path | None, html_file: Path | None) -> None:
    if json_file:
        json_file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if html_file:
        html_file.write_text(page.html(found), encoding="utf-8")
        click.echo(f"The report: {html_file}", err=True)


def _compare(before: Path, after: Path) -> None:
    one, two = (_read(file) for file in (before, after))
    click.echo(f"{'':<44} {'before':>12} {'after':>12} {'ratio':>8}")
    for name, a, b, ratio in report.compared(one, two):
        if ".growth." in name or name.endswith(".n"):
            continue
        click.echo(f"{name:<44} {a:>12.5g} {b:>12.5g} {f'{ratio:.2f}' if ratio is not None else '-':>8}")


def _read(file: Path) -> dict[str, Any]:
    found: Any = None
    with contextlib.suppress(ValueError):
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise StartError(f"{file} cannot be read: {error.strerror}.") from error
    if not isinstance(found, dict) or found.get("version") != report.VERSION:
        raise StartError(f"{file} is no report of this load test (made with --json).")
    return found
