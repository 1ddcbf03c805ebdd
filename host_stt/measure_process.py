"""Measure one model in a child process: `measured_in_child` starts it, `main` is what runs in it.

The process gives back all memory of the model when it ends, and a model for which the memory is too small, or
that crashes the native library, ends this process and not the engine. One line of JSON each way.
Invariant: the process ends when its parent does.
"""

from __future__ import annotations

import json
import logging
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from host_stt.config import EngineConfig
from host_stt.contract import SAMPLE_RATE, Priority, WindowError
from host_stt.engines.base import Engine
from host_stt.engines.configured import load_whisper
from host_stt.errors import ModelDamaged, ModelError
from host_stt.measured_costs import FIGURES
from host_stt.model_cost import ModelCost
from host_stt.models import ResolvedModel, clip_window, warm_up
from host_stt_common.plain import plain_error

logger = logging.getLogger(__name__)

CLIP = Path(__file__).with_name("measuring.wav")
"""espeak-ng, see scripts/make_measuring_clip.py; not the voice of a person."""
TERMS = tuple(
    f"{name}-{number}"
    for name in "Alpha Bravo Charlie Delta Echo Foxtrot Golf Hotel India Juliett".split()
    for number in range(1, 5)
)
"""Forty call signs, for the time of a final with a full glossary. None of them is in the clip."""
COMMAND = (sys.executable, "-m", "host_stt.measure_process")
DECODING_FAILURES = (RuntimeError, ValueError, OSError)
"""Exceptions of CTranslate2 and of a model's files."""
_SETTINGS = {
    "device",
    "gpus",
    "compute_type",
    "cpu_threads",
    "beam_size",
    "beam_size_unsure",
    "second_reading",
    "interim_window",
    "final_window",
    "auto_languages",
    "terms_tokens",
    "terms_use",
    "terms_form",
}
"""All of the configuration that the cost depends on; no tokens."""
_DECODES_MAX = 8
_DECODING_S = 3.0  # then the shortest time so far counts, for a large model on a slow CPU
_WITHIN_S = 180.0  # for loading and decoding; a model that takes longer is too slow for live text


class MeasurementEnded(ModelError):
    """The process that measured ended without a result."""


def measured_in_child(
    config: EngineConfig,
    model: ResolvedModel,
    command: Sequence[str] = COMMAND,
    within_s: float = _WITHIN_S,
) -> ModelCost:
    """The cost of a model. Blocking, seconds.

    Raises ModelError when the model cannot decode, MeasurementEnded when the process did not finish.
    """
    request = {
        "config": config.model_dump(mode="json", include=_SETTINGS),
        "model": {"path": str(model.path), "name": model.name, "is_starter": model.is_starter},
    }
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        too_late = threading.Timer(within_s, process.kill)
        too_late.start()
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()  # and stays open: its end tells the process that this one is gone
            answer = process.stdout.read()
            status = process.wait()
        except BrokenPipeError:
            answer, status = b"", process.wait()
        finally:
            too_late.cancel()
            process.kill()
    return _cost_of(model, answer, status, within_s)


def _cost_of(model: ResolvedModel, answer: bytes, status: int, within_s: float) -> ModelCost:
    try:
        body = json.loads(answer)
        if "error" not in body:
            return ModelCost(*(body[name] for name in FIGURES))
    except (ValueError, KeyError, TypeError):
        how = f"signal {-status}" if status < 0 else f"status {status}"
        raise MeasurementEnded(
            f"{model.name} cannot be measured: the process that decoded with it ended with {how}. The memory "
            f"may be too small for the model, or the decode took more than {within_s:g} s"
        ) from None
    raise ModelError(f"{model.name} cannot be measured: {body['error']}")


def measure(engine: Engine, searching: Engine | None = None, checking: Engine | None = None) -> ModelCost:
    """Decode the clip as a final and as an interim. Raises ModelDamaged if the result is not usable.

    searching: the same model, with the wider search and the second reading of unsure finals for each final;
    None: it has no wider search.
    checking: the same model, with the check of terms for each final; None: it does not use terms.
    """
    warm_up(engine, must_hear=False)
    language = engine.languages[0]  # English, where the model knows it
    return ModelCost(
        final_s=_least_s(engine, language, Priority.FINAL),
        interim_s=_least_s(engine, language, Priority.INTERIM),
        speech_s=len(clip_window(CLIP).samples) / SAMPLE_RATE,
        searched_s=_least_s(searching, language, Priority.FINAL) if searching else 0.0,
        termed_s=_least_s(checking, language, Priority.FINAL, TERMS) if checking else 0.0,
    )


def _least_s(engine: Engine, language: str, priority: Priority, terms: tuple[str, ...] = ()) -> float:
    """The shortest time of several decodes of the clip."""
    # Not at the start of a channel, where there is no room for a second reading.
    window = replace(clip_window(CLIP, priority, language), terms=terms, start_sample=SAMPLE_RATE)
    least_s, spent_s = math.inf, 0.0
    for _ in range(_DECODES_MAX):
        began_s = time.perf_counter()
        (answer,) = engine.decode([window])
        took_s = time.perf_counter() - began_s
        if isinstance(answer, WindowError):
            raise ModelDamaged(f"the model {engine.model} cannot decode the measuring clip: {answer.message}")
        least_s, spent_s = min(least_s, took_s), spent_s + took_s
        if spent_s > _DECODING_S:
            break
    return least_s


# --- the child ----------------------------------------------------------------------------------------


def main() -> None:
    """Read the request, measure, write the answer."""
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stdout.write(json.dumps(_answer(request)) + "\n")
    sys.stdout.flush()
    os._exit(0)  # the library's threads need no orderly end


def _answer(request: dict[str, Any]) -> dict[str, object]:
    config = EngineConfig.model_validate(request["config"])
    model = ResolvedModel(
        Path(request["model"]["path"]),
        request["model"]["name"],
        "to be measured",
        is_starter=request["model"]["is_starter"],
    )
    try:
        engine = load_whisper(config, model)
        cost = measure(engine, engine.searching_all_finals(), engine.checking_all_finals())
    except ModelError as error:
        return {"error": str(error)}
    except DECODING_FAILURES as error:
        logger.warning("the measurement of %s failed", model.name, exc_info=True)
        # The native library raises RuntimeError with its own sentences.
        is_sentence = isinstance(error, RuntimeError) and " " in str(error)
        return {"error": str(error) if is_sentence else plain_error(error, "the log has the details")}
    return {name: getattr(cost, name) for name in FIGURES}


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass  # the parent writes nothing after the first line
    os._exit(1)


if __name__ == "__main__":
    main()
