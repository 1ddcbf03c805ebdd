"""The command `host-stt loadtest`: read the options, show progress, write the files and one sentence.

Exit status: 0 the verdict is yes, 1 it is no, 2 it could not be measured. Ctrl-C ends the run early; what was
measured until then is reported and judged like any other run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from host_stt_cli.errors import StartError
from host_stt_cli.loadtest import bar, comparing, creep, page, report, said, sounds, sweep
from host_stt_cli.loadtest.plan import Door, Load
from host_stt_cli.loadtest.run import Progress, Target, Unmeasured, run
from host_stt_cli.loadtest.sounds import Clip
from host_stt_cli.loadtest.verdict import Answer, Limits, Verdict, judge

TOKEN_VARIABLE = "HOST_STT_TOKEN"
SECONDS, STEP_SECONDS, SOAK_SECONDS = 60.0, 40.0, 3600.0
HOPELESS_S, HOPELESS = 15.0, 3.0
"""A step of a sweep ends early if its text is this many times too late after this time: it will not catch
up.
"""
_PATH = click.Path(path_type=Path, dir_okay=False)
_LENGTH = "60; a step of --sweep: 40; --soak: 3600"


@click.command()
@click.option("--base", default="http://127.0.0.1:8082", show_default=True, metavar="URL", help="The server.")
@click.option("--engine", metavar="URL", help="Its engine, if it is on another machine. Default: found.")
@click.option("--channels", default=16, show_default=True, type=click.IntRange(1, 64))
@click.option("--seconds", type=click.FloatRange(min=5), show_default=_LENGTH, help="How long they speak.")
@click.option("--talk", default=0.5, show_default=True, help="Share of time that each channel speaks.")
@click.option("--overlap", default=0.0, show_default=True, help="0: each at its own times; 1: all at once.")
@click.option("--loss", default=0.0, show_default=True, help="Share of packets lost on the way.")
@click.option("--jitter", default=0, show_default=True, metavar="MS", help="Packets arrive up to MS later.")
@click.option("--reconnects", default=0, show_default=True, help="Connections broken per channel.")
@click.option(
    "--door",
    default="webrtc",
    show_default=True,
    type=click.Choice([d.value for d in Door]),
    help="How audio is sent: a page's peer connection, WHIP, or samples over a WebSocket.",
)
@click.option("--tracks", default=1, show_default=True, help="Channels in one peer connection (webrtc).")
@click.option(
    "--audio",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Recordings to send instead of phrases, each with its text in a .txt file beside it.",
)
@click.option("--language", default="en", show_default=True, help="Of the built-in phrases, or of DIR.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same load.")
@click.option("--ttfs-p95", default=1500.0, show_default=True, metavar="MS", help="The limit of the verdict.")
@click.option(
    "--sweep",
    "sweep_to",
    is_flag=False,
    flag_value=64,
    default=0,
    type=click.IntRange(0, 64),
    metavar="[MOST]",
    help="Find the largest number of channels with a yes, up to MOST (64); five to seven runs.",
)
@click.option("--soak", is_flag=True, help="Also judge slow growth: memory, threads, files, timecodes.")
@click.option("--json", "json_file", type=_PATH, metavar="FILE", help="The whole report.")
@click.option("--html", "html_file", type=_PATH, metavar="FILE", help="The report as a page; opens offline.")
@click.option("--compare", nargs=2, type=_PATH, metavar="BEFORE AFTER", help="Two reports, no run.")
def loadtest(
    base: str,
    engine: str | None,
    channels: int,
    seconds: float | None,
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
    """Find out whether this machine can handle your channels.

    Opens real connections to a running server, sends speech, and reports how fast and how accurate the text
    is. --sweep finds the largest number of channels with a yes. The token, if one is needed, is taken from
    HOST_STT_TOKEN. Ctrl-C ends a run early and still reports.

    Exit status: 0 the verdict is yes, 1 it is no, 2 it could not be measured.
    """
    if compare:
        for row in comparing.table(*(_read(file) for file in compare)):
            click.echo(row)
        return
    if sweep_to and soak:
        raise StartError("--sweep and --soak cannot be combined; give one of them.")
    length_s = seconds or (STEP_SECONDS if sweep_to else SOAK_SECONDS if soak else SECONDS)
    try:
        load = Load(channels, length_s, talk, overlap, loss, jitter, reconnects, Door(door), tracks, seed)
    except ValueError as error:
        raise StartError(f"{error}.") from error
    for file in (json_file, html_file):
        _check_writable(file)
    clips = sounds.given(audio, language) if audio else sounds.spoken(language)
    target = Target(base.rstrip("/"), os.environ.get(TOKEN_VARIABLE, ""), engine)
    limits = Limits(ttfs_p95_ms=ttfs_p95, is_soak=soak)
    try:
        found, verdict = asyncio.run(_Measuring(target, load, clips, language, limits).whole(sweep_to))
    except Unmeasured as error:
        raise StartError(f"could not be measured: {error}") from error
    except KeyboardInterrupt:
        raise StartError("stopped; there is no report.") from None
    _write(found, json_file, html_file)
    sys.exit(verdict.answer.exit_status)


class _Measuring:
    """One run, or the runs of a sweep, until the verdict."""

    def __init__(
        self, target: Target, load: Load, clips: Sequence[Clip], language: str, limits: Limits
    ) -> None:
        self._target, self._load, self._clips, self._language = target, load, clips, language
        self._limits = limits
        self._stop = asyncio.Event()
        self._runs: list[tuple[dict[str, Any], Verdict]] = []

    async def whole(self, sweep_to: int) -> tuple[dict[str, Any], Verdict]:
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._end_early)
        if sweep_to:
            found, verdict = await self._sweep(sweep_to)
        else:
            found, verdict = await self._one(self._load.channels)
        found["limits"] = asdict(self._limits)
        found["verdict"] = {
            "answer": verdict.answer.value,
            "sentence": verdict.sentence,
            "reasons": list(verdict.reasons),
            "limiting": verdict.limiting,
        }
        if self._limits.is_soak:
            found["slopes"] = creep.judged(found, self._limits.growth_ms)
        for row in (*said.lines(found), *said.slopes(found.get("slopes", [])), "", verdict.sentence):
            click.echo(row)
        return found, verdict

    async def _one(self, channels: int, *, is_step: bool = False) -> tuple[dict[str, Any], Verdict]:
        over = asyncio.Event() if is_step else self._stop
        alone = self._runs[0][0]["read_alone"] if self._runs else ()
        with bar.progress(self._load.seconds, channels) as show:

            def on_progress(now: Progress) -> None:
                show(now)
                if is_step and (self._stop.is_set() or self._is_hopeless(now)):
                    over.set()

            load = replace(self._load, channels=channels)
            found = await run(self._target, load, self._clips, self._language, over, on_progress, alone=alone)
        verdict = judge(found, self._limits)
        self._runs.append((found, verdict))
        return found, verdict

    def _is_hopeless(self, now: Progress) -> bool:
        return now.done_s > HOPELESS_S and (now.lag_ms or 0.0) > HOPELESS * self._limits.ttfs_p95_ms

    async def _sweep(self, most: int) -> tuple[dict[str, Any], Verdict]:
        async def holds(channels: int) -> bool:
            if self._stop.is_set():
                return False  # Ctrl-C: no further run; the result is the best so far
            try:
                found, verdict = await self._one(channels, is_step=True)
            except Unmeasured as error:
                if not self._runs:
                    raise
                click.echo(f"{channels:>3} channels  could not be measured: {error}", err=True)
                return False
            click.echo(sweep.line(found, verdict), err=True)
            return verdict.answer is Answer.YES

        edge = await sweep.largest(holds, self._load.channels, most)
        return sweep.judged(self._runs, self._load.channels, most, edge, self._limits)

    def _end_early(self) -> None:
        self._stop.set()
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
        click.echo(
            "\nEnding early; waiting for the last words. Ctrl-C again ends without a report.", err=True
        )


# --- files ------------------------------------------------------------------------------------------------


def _check_writable(file: Path | None) -> None:
    """Check this before a long run, not after it."""
    if file and not os.access(file if file.exists() else file.absolute().parent, os.W_OK):
        raise StartError(f"{file} cannot be written.")


def _write(found: dict[str, Any], json_file: Path | None, html_file: Path | None) -> None:
    if json_file:
        json_file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if html_file:
        html_file.write_text(page.html(found), encoding="utf-8")
        click.echo(f"The report: {html_file}", err=True)


def _read(file: Path) -> dict[str, Any]:
    found: Any = None
    with contextlib.suppress(ValueError):
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise StartError(f"{file} cannot be read: {error.strerror}.") from error
    if not isinstance(found, dict) or found.get("version") != report.VERSION:
        raise StartError(f"{file} is not a report of this load test (made with --json).")
    return found
