"""Single final windows, decoded by a model that this process has loaded."""

from __future__ import annotations

from host_stt.config import Device, EngineConfig
from host_stt.contract import Priority, Samples, Transcript, Window
from host_stt.engines.configured import whisper_options
from host_stt.engines.loading import LoadedModel, load
from host_stt.engines.options import WhisperOptions
from host_stt.engines.whisper import WhisperEngine
from host_stt.models import ResolvedModel, find_model
from host_stt_cli.errors import StartError


def on_one_thread(name: str) -> tuple[LoadedModel, WhisperOptions]:
    """A downloaded model on one thread, and its usual options. Raises StartError if it is not here."""
    config = EngineConfig(device=Device.CPU, cpu_threads=1)
    folder = find_model(name, config.models_dir.expanduser())
    if folder is None:
        raise StartError(f"there is no model {name} here; host-stt model fetch {name} downloads it")
    model = ResolvedModel(folder, name, "given to the benchmark")
    loaded = load(folder, config.device, config.compute_type, config.cpu_threads, 0)
    return loaded, whisper_options(config, model, loaded.device)


def read(engine: WhisperEngine, samples: Samples, language: str, start_sample: int = 0) -> Transcript:
    """The result of one final. samples: (n,) at 16 kHz. There is no second reading with start_sample 0."""
    window = Window("w", "c", samples, start_sample, Priority.FINAL, language=language)
    (answer,) = engine.decode([window])
    if not isinstance(answer, Transcript):
        raise SystemExit(f"the engine did not read a window: {answer}")
    return answer
