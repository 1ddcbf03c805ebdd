"""Which model, from where: find it here, have it brought, or fall back to the bundled starter.

Owns the choice and the models folder; names are `model_names`, downloads are `sources`, the decoding is
`engines`. Invariant: a model named explicitly is used or is an error; only `auto` falls back, and says why
in `ResolvedModel.reason`.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import wave
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
import numpy as np
from filelock import FileLock
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from host_stt import hub
from host_stt.archive import unpack_model
from host_stt.config import Device, EngineConfig
from host_stt.contract import Priority, Transcript, Window
from host_stt.download import OnProgress
from host_stt.engines.base import Engine
from host_stt.engines.loading import resolve_device
from host_stt.errors import ModelDamaged, ModelError, ModelNotFound
from host_stt.index import WHEELS_SUFFIX
from host_stt.index_models import BASE
from host_stt.model_names import (
    AUTO,
    NAME,
    STARTER,
    folder_name,
    is_hub_name,
    is_own_name,
    name_of_folder,
    repository_of,
)
from host_stt.sources import HUB, INDEX, bring

logger = logging.getLogger(__name__)

STARTER_FOLDER = Path(__file__).with_name("starter")
WARM_UP_CLIP = Path(__file__).with_name("warmup.wav")
"""espeak-ng saying "alpha one proceed to gate seven"; nobody's voice."""
AUTO_MODELS = {Device.CUDA: "large-v3-turbo", Device.CPU: "small"}
AUTO_WITHOUT_HUB = BASE.name
"""What `auto` takes from the package index when the hub does not give its default."""
_UNFINISHED = (".incoming", ".adding", WHEELS_SUFFIX)


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    path: Path
    name: str
    reason: str  # a sentence for people: why this one
    is_starter: bool = False


@dataclass(frozen=True, slots=True)
class ListedModel:
    name: str
    path: Path
    size_bytes: int
    is_starter: bool = False


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
    if _looks_like_a_path(config.model):
        raise ModelNotFound(f"there is no model folder {config.model!r}")
    repository = repository_of(config.model)
    try:
        path = _brought(config.model, config, "", on_progress)
    except ModelError as error:
        raise type(error)(f"{error}. {_how_to_add(config.model, repository, config.models_dir)}") from error
    return ResolvedModel(path, config.model, f"chosen in the config (engine.model: {config.model})")


def find_model(model: str, models_dir: Path) -> Path | None:
    """The folder of a model that is already here: as named, added, downloaded, or in the hub's own cache.

    Raises ModelDamaged when the folder named is not a model.
    """
    if _looks_like_a_path(model) and Path(model).expanduser().is_dir():
        folder = Path(model).expanduser().resolve()
        check_folder(folder)
        return folder
    places = [models_dir / model] if NAME.fullmatch(model) else []
    repository = repository_of(model) if is_hub_name(model) else None
    if repository:
        places.append(models_dir / folder_name(repository))
    for place in places:
        if place.is_dir():
            check_folder(place)
            return place.resolve()
    return _in_hub_cache(repository) if repository else None


def add_model(source: Path, models_dir: Path, name: str | None = None) -> Path:
    """Copy a model folder, or the file of an exported model, into models_dir under `name`.

    Default name: the one it was exported with, or the folder's own. No network is needed. Raises ModelError
    when the source is no model, the name cannot be one, or the name is taken.
    """
    if name is not None:
        _check_name(name)
    models_dir.mkdir(parents=True, exist_ok=True)
    incoming = models_dir / "model.adding"
    with FileLock(models_dir / "model.adding.lock"):
        shutil.rmtree(incoming, ignore_errors=True)  # of a run that was killed
        incoming.mkdir()
        try:
            name = _fill(incoming, source, name)
            check_folder(incoming)
            target = models_dir / folder_name(name)
            if target.exists():
                raise ModelError(f"{target} exists already; remove it first, or choose another --name")
            incoming.rename(target)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
    return target


def _fill(incoming: Path, source: Path, name: str | None) -> str:
    """Write the source's files into the folder `incoming`; return the name that the model gets."""
    if source.is_file():
        exported_as = unpack_model(source, incoming)
        _check_name(name or exported_as)
        return name or exported_as
    check_folder(source)
    name = name or source.resolve().name
    _check_name(name)
    for file in source.iterdir():
        if file.name in hub.FILES:
            shutil.copyfile(file, incoming / file.name)
    return name


def _check_name(name: str) -> None:
    if not is_own_name(name):
        raise ModelError(f"{name!r} cannot be a model's name: letters, digits, dot, dash and underscore")


def auto_default(config: EngineConfig) -> str:
    """The model that `auto` means on this machine when everything can be reached."""
    return AUTO_MODELS[resolve_device(config.device)]


def list_models(models_dir: Path) -> list[ListedModel]:
    """What can be used without a download: the starter, and what lies whole in models_dir."""
    listed = [ListedModel(STARTER, STARTER_FOLDER, _size_of(STARTER_FOLDER), is_starter=True)]
    for folder in sorted(models_dir.iterdir()) if models_dir.is_dir() else []:
        if folder.is_dir() and folder.suffix not in _UNFINISHED and not _missing_in(folder):
            listed.append(ListedModel(name_of_folder(folder.name), folder, _size_of(folder)))
    return listed


def check_folder(folder: Path) -> None:
    """Raises ModelError unless the folder holds a CTranslate2 Whisper."""
    if not folder.is_dir():
        raise ModelNotFound(f"there is no model folder {str(folder)!r}")
    missing = _missing_in(folder)
    if missing:
        raise ModelDamaged(
            f"{folder} is not a CTranslate2 Whisper: it has no {', '.join(missing)} (or an empty one)"
        )
    try:
        json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelDamaged(f"{folder / 'config.json'} is not JSON: {error}") from error


def warm_up(engine: Engine, *, must_hear: bool) -> None:
    """Decode the bundled clip once each way. Raises ModelDamaged when what comes back is no reading of it.

    must_hear: the text may not be empty: true for the starter, which knows the clip's words, and on a
    GPU, where a driver too old for the kernels gives silent empty transcripts instead of an error.
    """
    for priority in (Priority.INTERIM, Priority.FINAL):
        window = warm_up_window(priority)
        (answer,) = engine.decode([window])
        if not isinstance(answer, Transcript):
            raise ModelDamaged(f"the model {engine.model} cannot decode the test clip: {answer.message}")
        if not (math.isfinite(answer.avg_logprob) and math.isfinite(answer.no_speech_prob)):
            raise ModelDamaged(f"the model {engine.model} gives scores that are not numbers")
        if must_hear and not answer.text:
            raise ModelDamaged(
                f"the model {engine.model} hears nothing in the test clip; on a GPU this means a driver "
                f"older than 570"
            )


def warm_up_window(priority: Priority = Priority.FINAL) -> Window:
    """The bundled clip as a window."""
    with wave.open(str(WARM_UP_CLIP)) as clip:
        samples = np.frombuffer(clip.readframes(clip.getnframes()), dtype="<i2").astype(np.int16)
    return Window(
        id="warm-up", channel="warm-up", samples=samples, start_sample=0, priority=priority, language="en"
    )


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


def _in_hub_cache(repository: str) -> Path | None:
    """A whole snapshot in huggingface_hub's own cache, without asking the network."""
    try:
        snapshot = Path(
            huggingface_hub.snapshot_download(
                repository, local_files_only=True, allow_patterns=list(hub.FILES)
            )
        )
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        return None
    return None if _missing_in(snapshot) else snapshot


def _looks_like_a_path(model: str) -> bool:
    return model.startswith((".", "/", "~")) or ("/" in model and Path(model).is_dir())


def _missing_in(folder: Path) -> list[str]:
    def has(name: str) -> bool:
        return (folder / name).is_file() and (folder / name).stat().st_size > 0

    missing = [name for name in hub.REQUIRED_FILES if not has(name)]
    return missing if any(has(name) for name in hub.VOCABULARY_FILES) else [*missing, "vocabulary.json"]


def _how_to_add(model: str, repository: str, models_dir: Path) -> str:
    files = ", ".join(hub.REQUIRED_FILES)
    return (
        f"Without the hub: on another machine download the files of {repository} ({files}, vocabulary.*) "
        f"into a folder, bring it here and run: host-stt model add FOLDER --name {model} "
        f"(it is kept in {models_dir})"
    )


def _size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
