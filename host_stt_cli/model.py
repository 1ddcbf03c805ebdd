"""`host-stt model`: bring a model by hand, for machines without the hub, and see which are here."""

from __future__ import annotations

from pathlib import Path

import click

from host_stt.errors import ModelError
from host_stt.models import add_model, list_models
from host_stt_cli.errors import StartError
from host_stt_cli.options import ConfigOptions, config_options


@click.group()
def model() -> None:
    """Bring speech models by hand and list those that are here."""


@model.command("add")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", help="What engine.model will call it. Default: the folder's own name.")
@config_options
def add(options: ConfigOptions, folder: Path, name: str | None) -> None:
    """Copy the CTranslate2 Whisper in FOLDER to where the engine finds it."""
    models_dir = options.load().config.engine_in_force().models_dir
    try:
        target = add_model(folder.expanduser(), models_dir.expanduser(), name)
    except ModelError as error:
        raise StartError(f"{error}.") from error
    except OSError as error:
        raise StartError(f"the model cannot be copied to {models_dir}: {error.strerror}.") from error
    click.echo(f"added: {target}")
    click.echo(f"use it with --set engine.model={target.name.replace('--', '/')}")


@model.command("list")
@config_options
def list_(options: ConfigOptions) -> None:
    """List the models that can be used without a download."""
    for found in list_models(options.load().config.engine_in_force().models_dir.expanduser()):
        note = "  (bundled, for trying things out)" if found.is_starter else ""
        click.echo(f"{found.name:<32} {found.size_bytes / 1e6:9.1f} MB  {found.path}{note}")
