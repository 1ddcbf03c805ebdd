"""Measure the cost of a model on this machine: a real decode of a bundled clip, like the engine's.

The clip is 6.6 s of synthetic speech in one window. Each kind of window is decoded several times, and the
shortest time counts, because other work on the machine can only add time. `measure_process` decodes,
`measured_costs` stores the result, and `model_cost` makes the estimate from it.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterator

from host_stt.config import EngineConfig
from host_stt.errors import ModelError
from host_stt.machine import decoding_conditions
from host_stt.measure_process import DECODING_FAILURES, MeasurementEnded, measured_in_child
from host_stt.measured_costs import MeasuredCosts, key_of
from host_stt.model_cost import ModelCost
from host_stt.models import ResolvedModel
from host_stt_common.plain import plain_error

logger = logging.getLogger(__name__)

OnMeasuring = Callable[[str], None]
"""Called with the name of the model that is being measured."""
_UNFINISHED_MAX = 2


class ModelMeter:
    """Gives the cost of models for one configuration, stored or measured now."""

    def __init__(
        self,
        config: EngineConfig,
        on_measuring: OnMeasuring | None = None,
        on_waiting: Callable[[], None] | None = None,
    ) -> None:
        """on_waiting: called when another process measures now, and this one has to wait for it."""
        self._config = config
        self._on_measuring = on_measuring
        self._on_waiting = on_waiting
        self._costs = MeasuredCosts(config.models_dir.expanduser())

    def remembered(self, model: ResolvedModel) -> ModelCost | None:
        """The stored cost under these conditions. Loads no model."""
        weights_sha256 = self._costs.known_sha256(model.path / "model.bin")
        if weights_sha256 is None:
            return None
        with contextlib.suppress(*DECODING_FAILURES):  # device: cuda on a machine without one
            found = self._costs.find(key_of(weights_sha256, self._conditions))
            return self._in_force(found) if found else None
        return None

    def cost(self, model: ResolvedModel, *, again: bool = False) -> ModelCost:
        """The stored cost, else a measured one; with glossary terms where they are expected. Blocking,
        seconds.

        again: measure even if a cost is stored. Raises ModelError if the model cannot be used.
        """
        return self._in_force(self._cost(model, again=again))

    def _in_force(self, cost: ModelCost) -> ModelCost:
        return cost.with_terms() if self._config.terms_expected else cost

    def _cost(self, model: ResolvedModel, *, again: bool) -> ModelCost:
        with _one_sentence(model):
            key = self._key(model)
            if not again and (known := self._costs.find(key)):
                return known
            with self._costs.locked(self._on_waiting) as is_kept:
                if not again and (known := self._costs.find(key)):
                    return known  # another process measured it meanwhile
                if not is_kept:
                    return self._measure(model)
                if not again:
                    self._check_tries(model, key)
                return self._measure_and_keep(model, key)

    def _check_tries(self, model: ResolvedModel, key: str) -> None:
        if self._costs.unfinished(key) >= _UNFINISHED_MAX:
            raise ModelError(
                f"the measurement of {model.name} did not end in order {_UNFINISHED_MAX} times; "
                f"host-stt model list --measure tries again"
            )

    def _measure_and_keep(self, model: ResolvedModel, key: str) -> ModelCost:
        self._costs.begin(key, model.name, self._conditions)
        try:
            cost = self._measure(model)
        except MeasurementEnded:
            raise  # the attempt stays counted; after two, no start measures this model
        except BaseException:
            self._costs.keep(key, model.name, self._conditions, None)
            raise
        self._costs.keep(key, model.name, self._conditions, cost)
        return cost

    def _measure(self, model: ResolvedModel) -> ModelCost:
        if self._on_measuring:
            self._on_measuring(model.name)
        began_s = time.perf_counter()
        cost = measured_in_child(self._config.model_copy(update={"gpus": self._config.gpus[:1]}), model)
        logger.info("measured %s in %.1f s", model.name, time.perf_counter() - began_s)
        return cost

    @functools.cached_property
    def _conditions(self) -> dict[str, str]:
        return decoding_conditions(self._config)

    def _key(self, model: ResolvedModel) -> str:
        return key_of(self._costs.weights_sha256(model.path / "model.bin"), self._conditions)


@contextlib.contextmanager
def _one_sentence(model: ResolvedModel) -> Iterator[None]:
    """Turn exceptions of a model or its files into ModelError."""
    try:
        yield
    except ModelError:
        raise
    except DECODING_FAILURES as error:
        logger.warning("the measurement of %s failed", model.name, exc_info=True)
        why = plain_error(error, "the log has the details")
        raise ModelError(f"{model.name} cannot be measured: {why}") from error
