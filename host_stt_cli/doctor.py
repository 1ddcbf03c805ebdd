"""`host-stt doctor`: show this machine and the engine's choices, and test a real decode."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from host_stt.config import EngineConfig
from host_stt.doctor import Decode, Machine, Problem, decode_once, diagnose, examine
from host_stt.engines.configured import load_whisper
from host_stt.engines.loading import load
from host_stt.errors import ModelError
from host_stt.models import ResolvedModel
from host_stt.resolving import resolve_model
from host_stt.service import Backend
from host_stt_cli.client_list import tell_clients
from host_stt_cli.errors import StartError
from host_stt_cli.loadtest.measures import UNSPACED
from host_stt_cli.options import ConfigOptions, config_options
from host_stt_cli.window_chart import chart, clips_in, table


@click.command()
@click.option(
    "--windows",
    is_flag=True,
    help="Measure how short a window may be with this model, on the recordings of --audio. Takes minutes.",
)
@click.option(
    "--audio",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="For --windows: recordings with their text beside them (NAME.wav and NAME.txt), in folders named "
    "after their language (en, ko).",
)
@click.option(
    "--clients",
    is_flag=True,
    help="Print the settings for the clients of other services (OpenAI, Deepgram, ...), ready to paste, and "
    "nothing else.",
)
@config_options
def doctor(options: ConfigOptions, windows: bool, audio: Path | None, clients: bool) -> None:
    """Check this machine and run a real decode; exit status 1 if the engine would not work."""
    loaded = options.load().config
    config = loaded.engine_in_force()
    if clients and (windows or audio is not None):
        raise click.UsageError("--clients is not allowed together with --windows or --audio")
    if windows != (audio is not None):
        raise click.UsageError("--windows and --audio DIR are only allowed together")
    if clients:
        tell_clients(loaded)
        return
    if audio is not None:
        _chart_windows(config, audio)
        return
    machine = examine(config)
    _tell_machine(machine)
    model, decode, refused = _try(config)
    if model:
        click.echo(f"model        {model.name}: {model.reason}")
    if decode and not decode.error:
        heard = "with text" if decode.text else "no text"
        click.echo(f"decode       {decode.audio_s:.1f} s of speech in {decode.took_s * 1000:.0f} ms, {heard}")
    must_hear = bool(model and model.is_starter) or machine.device == "cuda"
    problems = [*refused, *diagnose(machine, decode, must_hear=must_hear)]
    for problem in problems:
        click.echo(
            f"{'PROBLEM' if problem.is_fatal else 'note':<12} {problem.what}\n{'':<12} fix: {problem.fix}"
        )
    is_well = not any(problem.is_fatal for problem in problems)
    click.echo(
        "The engine works on this machine." if is_well else "The engine does not work on this machine."
    )
    sys.exit(0 if is_well else 1)


def _chart_windows(config: EngineConfig, folder: Path) -> None:
    """Print a table for each language. Raises StartError if there is no model or no recording."""
    try:
        model = resolve_model(config, None)
        loaded = load(model.path, config.device, config.compute_type, config.cpu_threads)
    except (ModelError, RuntimeError, ValueError) as error:
        raise StartError(f"the model cannot be loaded: {error}") from error
    machine = examine(config)
    click.echo(f"model {model.name} ({loaded.compute_type}) on {machine.processor}, {machine.cores} cores")
    for language, clips in clips_in(folder, loaded.languages).items():
        seconds = sum(clip.seconds for clip in clips)
        click.echo(f"\n{len(clips)} recordings, {seconds:.0f} s, {language}\n")
        click.echo(table(language, list(chart(loaded, clips)), "CER" if language in UNSPACED else "WER"))


def _tell_machine(machine: Machine) -> None:
    click.echo(f"machine      {machine.processor}, {machine.cores} cores, {machine.memory_mb} MiB")
    click.echo(f"system       {machine.system}")
    for gpu in machine.gpus:
        click.echo(f"GPU          {gpu.name}, driver {gpu.driver}, {gpu.memory_mb} MiB")
    threads = f", {machine.threads} threads" if machine.device == "cpu" else ""
    click.echo(f"decodes on   {machine.device.value}, {machine.compute_type}{threads}")


def _try(config: EngineConfig) -> tuple[ResolvedModel | None, Decode | None, list[Problem]]:
    model: ResolvedModel | None = None
    try:
        model = resolve_model(config, None)
        return model, decode_once(config, model, Backend(resolve_model, load_whisper)), []
    except ModelError as error:
        return model, None, [Problem(str(error), "see docs/howto/air-gapped-model.md", is_fatal=True)]
