"""8081 with a model folder of the benchmark's choice, in a process of its own so that its memory can be read.

`python -m bench.engine_process JSON`: `folder`, `name`, `short` (windows shorter than 30 s), `tokens_per_s`
(null: as the model likes), and keys of EngineConfig. Prints `port N` once it listens.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from host_stt.config import EngineConfig, InterimWindow
from host_stt.engines.whisper import WhisperEngine, WhisperOptions
from host_stt.models import ResolvedModel
from host_stt.server import serve
from host_stt.service import Backend


def main(settings: dict[str, Any]) -> int:
    folder, name = Path(settings.pop("folder")), settings.pop("name")
    is_short, tokens_per_s = settings.pop("short"), settings.pop("tokens_per_s")
    config = EngineConfig(port=0, **settings)
    options = WhisperOptions(
        beam_size=config.beam_size,
        interim_window=InterimWindow.SHORT if is_short else InterimWindow.FULL,
        short_finals=is_short,
        tokens_per_s=tokens_per_s,
    )
    model = ResolvedModel(folder, name, "chosen by the benchmark")
    backend = Backend(
        lambda config, on_progress: model,
        lambda config, model: WhisperEngine.from_folder(
            folder, name, options, device=config.device, compute_type=config.compute_type
        ),
    )
    return asyncio.run(serve(config, backend, on_port=lambda port: print(f"port {port}", flush=True)))


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
