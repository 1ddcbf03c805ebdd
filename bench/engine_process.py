"""8081 with a model folder that the benchmark chooses, as its own process, so that its memory can be
measured.

`python -m bench.engine_process JSON`: `folder` (null: an engine that decodes nothing and responds at once),
`name`, `short` (windows shorter than 30 s), `tokens_per_s` (null: as the model generates), and keys of
EngineConfig. Prints `port N` once it listens.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from host_stt.config import EngineConfig
from host_stt.engines.fake import FakeEngine
from host_stt.engines.options import WhisperOptions
from host_stt.engines.whisper import WhisperEngine
from host_stt.memory import keep_freed_memory
from host_stt.models import ResolvedModel
from host_stt.server import serve
from host_stt.service import Backend
from host_stt.window_forms import WindowForm


def main(settings: dict[str, Any]) -> int:
    folder, name = settings.pop("folder"), settings.pop("name")
    is_short, tokens_per_s = settings.pop("short", False), settings.pop("tokens_per_s", None)
    config = EngineConfig(port=0, **settings)
    backend = _empty() if folder is None else _whisper(Path(folder), name, is_short, tokens_per_s, config)
    return asyncio.run(serve(config, backend, on_port=lambda port: print(f"port {port}", flush=True)))


def _empty() -> Backend:
    keep_freed_memory()  # as the engine does on a CPU
    model = ResolvedModel(Path(), "fake", "chosen by the benchmark")
    return Backend(lambda config, on_progress, on_measuring: model, lambda config, model: FakeEngine())


def _whisper(
    folder: Path, name: str, is_short: bool, tokens_per_s: float | None, config: EngineConfig
) -> Backend:
    form = WindowForm.SHORT if is_short else WindowForm.FULL
    options = WhisperOptions(
        beam_size=config.beam_size,
        interim_window=form,
        final_window=form,
        tokens_per_s=tokens_per_s,
    )
    model = ResolvedModel(folder, name, "chosen by the benchmark", is_starter=name == "starter")
    return Backend(
        lambda config, on_progress, on_measuring: model,
        lambda config, model: WhisperEngine.from_folder(
            folder,
            name,
            options,
            device=config.device,
            compute_type=config.compute_type,
            cpu_threads=config.cpu_threads,
        ),
    )


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
