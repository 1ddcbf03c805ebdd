"""`host-stt model use NAME`: change the model; its cost is shown before anything is changed.

Contains the steps: measure the current model and the new one, write the configuration, request a restart of
the engine from a running server. If the new model is not here or cannot decode, nothing is changed.
"""

from __future__ import annotations

from pathlib import Path

import click

from host_stt.auto_choice import available_models, candidates, choose, measured
from host_stt.config import EngineConfig
from host_stt.errors import ModelError
from host_stt.measuring import ModelMeter
from host_stt.model_cost import AvailableModel
from host_stt.model_names import AUTO, STARTER, is_hub_name
from host_stt.models import STARTER_FOLDER, ResolvedModel, find_model
from host_stt_cli.config import Loaded
from host_stt_cli.config_writer import config_to_change, write_model
from host_stt_cli.engine_restart import request_restart
from host_stt_cli.errors import StartError
from host_stt_cli.options import ConfigOptions, config_options


@click.command("use")
@click.argument("name", metavar="NAME|auto")
@config_options
def use(options: ConfigOptions, name: str) -> None:
    """Change engine.model in the configuration to NAME, a local model, or to auto.

    Shows the cost of the current and the new model on this machine. A `host-stt serve` on the same data
    folder restarts its engine: channels keep their audio, and their text is late by some seconds.
    """
    loaded = options.load()
    config = loaded.config.engine_in_force()
    wanted = _as_written(name)
    meter = ModelMeter(config, lambda model: click.echo(f"measuring {model} ..."), say_waiting)
    try:
        after = _cost(wanted, config, meter)
    except (ModelError, OSError) as error:
        raise StartError(f"{name} cannot be used, and nothing was changed: {error}.") from error
    click.echo(f"before   {_cost_if_known(config.model, config, meter)}")
    click.echo(f"after    {after}")
    file = config_to_change(loaded.file)
    write_model(file, wanted)
    click.echo(f"written  {file}: engine.model: {wanted}")
    click.echo(f"restart  {_restarted(loaded)}")


def say_waiting() -> None:
    """Tell the user that another program measures a model now."""
    click.echo("waiting  until another host-stt on this data folder has measured a model ...", err=True)


def _as_written(name: str) -> str:
    """The name for the configuration. A folder becomes an absolute path, because the server may start
    elsewhere.
    """
    is_folder = name.startswith((".", "~", "/")) and Path(name).expanduser().is_dir()
    return str(Path(name).expanduser().resolve()) if is_folder else name


def _cost(name: str, config: EngineConfig, meter: ModelMeter) -> str:
    """The model and its cost on this machine. Raises ModelError if it is not here or cannot be used."""
    if name == AUTO:
        models = measured(candidates(available_models(config, meter)), meter)
        if not models:
            return "auto: no model is here, so the next start downloads one"
        return f"auto: {choose(models, config.channels_expected)[1]}"
    path = STARTER_FOLDER if name == STARTER else find_model(name, config.models_dir.expanduser())
    if path is None:
        way = (
            f"host-stt model fetch {name} downloads it"
            if is_hub_name(name)
            else "host-stt model list shows all"
        )
        raise ModelError(f"it is not on this machine; {way}")
    cost = meter.cost(ResolvedModel(path, name, "to be measured", is_starter=name == STARTER))
    return f"{name}: {AvailableModel(name, path, cost).sentence(config.channels_expected)}"


def _cost_if_known(name: str, config: EngineConfig, meter: ModelMeter) -> str:
    try:
        return _cost(name, config, meter)
    except (ModelError, OSError) as error:
        return f"{name}: its cost is not known: {error}"


def _restarted(loaded: Loaded) -> str:
    folder = loaded.config.data.dir.expanduser().absolute()
    try:
        sentence = request_restart(folder)
    except OSError as error:
        return f"{folder} cannot be written ({error.strerror}): restart the server to use the model"
    if sentence is None:
        return f"no host-stt serve runs on {folder}; its next start uses the model"
    return sentence
