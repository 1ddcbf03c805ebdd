"""Which model the engine uses, and from where: the one that the config names, or the choice of `auto`.

`models` finds models that are here, `sources` brings others. Invariant: a model named explicitly is used or
is an error; only `auto` falls back, and `ResolvedModel.reason` says why.
"""

from __future__ import annotations

import logging
from pathlib import Path

from host_stt import hub
from host_stt.config import Device, EngineConfig
from host_stt.download import OnProgress
from host_stt.engines.loading import resolve_device
from host_stt.errors import ModelError, ModelNotFound
from host_stt.index_models import BASE
from host_stt.model_names import AUTO, STARTER, repository_of
from host_stt.models import STARTER_FOLDER, ResolvedModel, check_folder, find_model, looks_like_a_path
from host_stt.sources import HUB, INDEX, bring

logger = logging.getLogger(__name__)

AUTO_MODELS = {Device.CUDA: "large-v3-turbo", Device.CPU: "small"}
AUTO_WITHOUT_HUB = BASE.name
"""What `auto` takes from the package index when the hub does not give its default."""


def resolve_model(config: EngineConfig, on_progress: OnProgress | None = None) -> ResolvedModel:
    """The folder of the model that the config asks for, downloaded where need be. Blocking.

    Raises ModelError (a sentence that says what to do) for a model named explicitly; `auto` always gives one.
    """
    if config.model == AUTO:
        return _resolve_auto(config, on_progress)
    if config.model == STARTER:
        return _starter("chosen in the config (engine.model: starter)")
    found = find_model(config.model, config.models_dir.expanduser())
    if found is not None:
        return ResolvedModel(found, config.model, f"chosen in the config (engine.model: {config.model})")
    if looks_like_a_path(config.model):
        raise ModelNotFound(f"there is no model folder {config.model!r}")
    repository = repository_of(config.model)
    try:
        path = _brought(config.model, config, "", on_progress)
    except ModelError as error:
        raise type(error)(f"{error}. {_how_to_add(config.model, repository, config.models_dir)}") from error
    return ResolvedModel(path, config.model, f"chosen in the config (engine.model: {config.model})")


def auto_default(config: EngineConfig) -> str:
    """The model that `auto` means on this machine when everything can be reached."""
    return AUTO_MODELS[resolve_device(config.device)]


def _resolve_auto(config: EngineConfig, on_progress: OnProgress | None) -> ResolvedModel:
    """The default from here, or base from here; else the default from the hub, base from the index, or
    the starter. What is here comes first, so that a start does not depend on the network.
    """
    default = auto_default(config)
    why = f"auto: the default on a {'GPU' if resolve_device(config.device) is Device.CUDA else 'CPU'}"
    if here := _find_whole(default, config):
        return ResolvedModel(here, default, why)
    if here := _find_whole(AUTO_WITHOUT_HUB, config):
        return ResolvedModel(
            here,
            AUTO_WITHOUT_HUB,
            f"auto: {AUTO_WITHOUT_HUB} is here and {default}, the default, is not "
            f"(host-stt model fetch {default} brings it)",
        )
    try:
        return ResolvedModel(_brought(default, config, HUB, on_progress), default, why)
    except ModelError as error:
        missing = f"{default} is not here, and {error}"
    try:
        path = _brought(AUTO_WITHOUT_HUB, config, INDEX, on_progress)
    except ModelError as error:
        missing = f"{missing}; {AUTO_WITHOUT_HUB}: {error}"
    else:
        logger.warning("Using %s from the package index, less accurate: %s", AUTO_WITHOUT_HUB, missing)
        reason = f"auto: {AUTO_WITHOUT_HUB} from the package index, because {missing}"
        return ResolvedModel(path, AUTO_WITHOUT_HUB, reason)
    logger.warning(
        "Using the bundled STARTER model, which knows the words of short radio phrases and no others: %s. "
        "For real speech bring a model with: host-stt model add FOLDER --name %s",
        missing,
        default,
    )
    return _starter(f"auto: {missing}")


def _find_whole(model: str, config: EngineConfig) -> Path | None:
    """As find_model; a damaged one counts as missing, and the log says so."""
    try:
        return find_model(model, config.models_dir.expanduser())
    except (ModelError, OSError) as error:
        logger.warning("%s is here and cannot be used: %s", model, error)
        return None


def _brought(model: str, config: EngineConfig, source: str, on_progress: OnProgress | None) -> Path:
    path = bring(model, config, source, on_progress)
    check_folder(path)
    return path


def _starter(reason: str) -> ResolvedModel:
    return ResolvedModel(STARTER_FOLDER, STARTER, reason, is_starter=True)


def _how_to_add(model: str, repository: str, models_dir: Path) -> str:
    files = ", ".join(hub.REQUIRED_FILES)
    return (
        f"Without the hub: on another machine download the files of {repository} ({files}, vocabulary.*) "
        f"into a folder, bring it here and run: host-stt model add FOLDER --name {model} "
        f"(it is kept in {models_dir})"
    )
