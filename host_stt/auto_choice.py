"""The choice of `engine.model: auto`: the most accurate local model with which final text is early enough.

Makes the choice and its sentence. `model_order` knows which model is more accurate, `measuring` the cost of
each on this machine, `model_cost` how late text would be. Downloads nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from host_stt.config import EngineConfig
from host_stt.errors import ModelError
from host_stt.measuring import ModelMeter
from host_stt.model_cost import P95_LIMIT_S, AvailableModel
from host_stt.model_order import ACCURACY, OTHER_NAMES, is_english_only
from host_stt.models import ResolvedModel, find_model, list_models

logger = logging.getLogger(__name__)

_ENGLISH_ONLY = "transcribes English only: auto uses it where engine.auto_languages is [en]"
_NOT_IN_ORDER = "auto does not take it, because its accuracy is not known"


def available_models(config: EngineConfig, meter: ModelMeter) -> list[AvailableModel]:
    """All complete local models except the starter, with their stored costs. Measures nothing.

    The most accurate first, then those that are not in the order. A note says why `auto` does not use a
    model.
    """
    listed: list[AvailableModel] = []
    for name in ACCURACY:
        if one := _find_known(name, config):
            is_for_auto = not is_english_only(name) or config.auto_languages == ("en",)
            listed.append(one if is_for_auto else replace(one, note=_ENGLISH_ONLY))
    listed += _other_models(config, {one.path for one in listed})
    return [replace(one, cost=meter.remembered(_as_resolved(one))) for one in listed]


def candidates(models: Sequence[AvailableModel]) -> list[AvailableModel]:
    """The models of `available_models` that `auto` may choose."""
    return [one for one in models if not one.note]


def measured(models: Sequence[AvailableModel], meter: ModelMeter) -> list[AvailableModel]:
    """The same models with their costs; those without a cost are measured now. Blocking, seconds each."""
    return [one if one.cost else _measured(one, meter) for one in models]


def measured_again(model: AvailableModel, meter: ModelMeter) -> AvailableModel:
    """The model with a cost that is measured now, even if one is stored. Blocking, seconds."""
    return _measured(model, meter, again=True)


def choose(models: Sequence[AvailableModel], channels: int) -> tuple[AvailableModel, str]:
    """(the model for this number of channels, a sentence that says why). models: at least one."""
    costs = [(one, one.cost) for one in models if one.cost is not None]
    for one, cost in costs:
        if cost.keeps_limit(channels):
            why = f"{one.name} is the most accurate model here that is fast enough"
            return one, f"{why}: {cost.sentence(channels)}"
    if costs:
        one, cost = min(costs, key=lambda pair: pair[1].final_s)
        why = f"no model here keeps text within {P95_LIMIT_S:g} s at p95, and {one.name} is the fastest"
        return one, f"{why}: {cost.sentence(channels)}"
    one = models[-1]
    return one, f"{one.name} is here, and its speed could not be measured: {one.note}"


def with_choice(
    chosen: ResolvedModel, listed: Sequence[AvailableModel], tried: Sequence[AvailableModel] = ()
) -> tuple[AvailableModel, ...]:
    """All models in the order of `listed`, with the measured ones from `tried`, and one marked as chosen."""
    by_path = {one.path: one for one in tried}
    models = [by_path.get(one.path, one) for one in listed]
    if not chosen.is_starter and chosen.path not in {one.path for one in models}:
        models.append(AvailableModel(chosen.name, chosen.path))  # a folder outside models_dir
    return tuple(replace(one, is_chosen=one.path == chosen.path) for one in models)


def _find_known(name: str, config: EngineConfig) -> AvailableModel | None:
    """A model of the order under one of its names, if it is local and complete; a damaged one is logged."""
    for one in (name, *OTHER_NAMES.get(name, ())):
        try:
            path = find_model(one, config.models_dir.expanduser())
        except (ModelError, OSError) as error:
            logger.warning("%s is here and cannot be used: %s", one, error)
            continue
        if path is not None:
            return AvailableModel(one, path)
    return None


def _other_models(config: EngineConfig, listed: set[Path]) -> list[AvailableModel]:
    """The other models in models_dir, which have their own names."""
    try:
        found = list_models(config.models_dir.expanduser())
    except OSError as error:
        logger.warning("%s cannot be listed: %s", config.models_dir, error.strerror or error)
        return []
    others = [(one.name, one.path.resolve()) for one in found if not one.is_starter]
    return [AvailableModel(name, path, note=_NOT_IN_ORDER) for name, path in others if path not in listed]


def _measured(one: AvailableModel, meter: ModelMeter, *, again: bool = False) -> AvailableModel:
    try:
        return replace(one, cost=meter.cost(_as_resolved(one), again=again))
    except ModelError as error:
        logger.warning("the cost of %s is not known: %s", one.name, error)
        return replace(one, cost=None, note=str(error))


def _as_resolved(one: AvailableModel) -> ResolvedModel:
    return ResolvedModel(one.path, one.name, "to be measured")
