"""`host-stt doctor`: what this machine is, what the engine would choose, and whether it really decodes."""

from __future__ import annotations

import sys

import click

from host_stt.config import EngineConfig
from host_stt.doctor import Decode, Machine, Problem, decode_once, diagnose, examine
from host_stt.errors import ModelError
from host_stt.models import ResolvedModel, resolve_model
from host_stt.service import Backend, load_whisper
from host_stt_cli.options import ConfigOptions, config_options


@click.command()
@config_options
def doctor(options: ConfigOptions) -> None:
    """Look this machine over and run a real decode; exit status 1 when the engine would not work."""
    config = options.load().config.engine_in_force()
    machine = examine(config)
    _tell_machine(machine)
    model, decode, refused = _try(config)
    if model:
        click.echo(f"model        {model.name}: {model.reason}")
    if decode and not decode.error:
        heard = "words heard" if decode.text else "no words"
        click.echo(f"decode       {decode.audio_s:.1f} s of speech in {decode.took_s * 1000:.0f} ms, {heard}")
    must_hear = bool(model and model.is_starter) or machine.device == "cuda"
    problems = [*refused, *diagnose(machine, decode, must_hear=must_hear)]
    for problem in problems:
        click.echo(
            f"{'PROBLEM' if problem.is_fatal else 'note':<12} {problem.what}\n{'':<12} fix: {problem.fix}"
        )
    is_well = not any(problem.is_fatal for problem in problems)
    click.echo("This machine can serve." if is_well else "This machine cannot serve like this.")
    sys.exit(0 if is_well else 1)


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
