"""Models on this machine: find them, check them, add them, and decode a test clip with one.

This module reads and changes the models folder. Names are in `model_names`, downloads in `sources`, the
choice of the model in `resolving`, and decoding in `engines`.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import wave
from dataclasses import dataclass, replace
from pathlib import Path

import huggingface_hub
import numpy as np
from filelock import FileLock
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from host_stt import hub
from host_stt.archive import unpack_model
from host_stt.contract import Priority, Transcript, Window
from host_stt.engines.base import Engine
from host_stt.errors import ModelDamaged, ModelError, ModelNotFound
from host_stt.index import WHEELS_SUFFIX
from host_stt.model_cost import AvailableModel
from host_stt.model_names import (
    NAME,
    STARTER,
    folder_name,
    is_hub_name,
    is_own_name,
    name_of_folder,
    repository_of,
)

logger = logging.getLogger(__name__)

STARTER_FOLDER = Path(__file__).with_name("starter")
WARM_UP_CLIP = Path(__file__).with_name("warmup.wav")
"""espeak-ng saying "alpha one proceed to gate seven"; not the voice of a person."""
_UNFINISHED = (".incoming", ".adding", WHEELS_SUFFIX)


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    path: Path
    name: str
    reason: str  # a sentence for people: why this one
    is_starter: bool = False
    available: tuple[AvailableModel, ...] = ()  # every model on this machine, with its cost where known


@dataclass(frozen=True, slots=True)
class ListedModel:
    name: str
    path: Path
    size_bytes: int
    is_starter: bool = False


def find_model(model: str, models_dir: Path) -> Path | None:
    """The folder of a local model: named as a folder, added, downloaded, or in the hub's own cache.

    Raises ModelDamaged if the named folder is not a model.
    """
    if looks_like_a_path(model) and Path(model).expanduser().is_dir():
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

    Default name: the name at its export, or the name of the folder. Needs no network. Raises ModelError if
    the source is not a model, or if the name is not valid or already used.
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
    """Write the source's files to the folder `incoming`; return the model's name."""
    if source.is_file():
        exported_as = unpack_model(source, incoming)
        _check_name(name or exported_as)
        return name or exported_as
    if not source.exists():
        raise ModelNotFound(f"there is no file and no folder {str(source)!r}")
    check_folder(source)
    name = name or source.resolve().name
    _check_name(name)
    for file in source.iterdir():
        if file.name in hub.FILES:
            shutil.copyfile(file, incoming / file.name)
    return name


def _check_name(name: str) -> None:
    if not is_own_name(name):
        raise ModelError(f"{name!r} cannot be a model's name; use letters, digits, dot, dash and underscore")


def list_models(models_dir: Path) -> list[ListedModel]:
    """The models that need no download: the starter, and the complete ones in models_dir."""
    listed = [ListedModel(STARTER, STARTER_FOLDER, _size_of(STARTER_FOLDER), is_starter=True)]
    for folder in sorted(models_dir.iterdir()) if models_dir.is_dir() else []:
        if folder.is_dir() and folder.suffix not in _UNFINISHED and not _missing_in(folder):
            listed.append(ListedModel(name_of_folder(folder.name), folder, _size_of(folder)))
    return listed


def check_folder(folder: Path) -> None:
    """Raises ModelError unless the folder contains a CTranslate2 Whisper model."""
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
    """Decode the bundled clip as an interim and as a final. Raises ModelDamaged if the result is not usable.

    must_hear: the text must not be empty. Used for the starter, which knows the clip's words, and on a GPU,
    where a driver that is too old gives empty transcripts instead of an error.
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
                f"the model {engine.model} gives no text for the test clip; on a GPU the cause is a driver "
                f"older than 570"
            )


def warm_up_window(priority: Priority = Priority.FINAL) -> Window:
    """The warm-up clip as a window."""
    return replace(clip_window(WARM_UP_CLIP, priority), id="warm-up", channel="warm-up")


def clip_window(clip: Path, priority: Priority = Priority.FINAL, language: str = "en") -> Window:
    """A bundled clip as a window: a WAV file, 16 kHz, mono, 16 bits."""
    with wave.open(str(clip)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.int16)
    return Window(
        id=clip.stem,
        channel=clip.stem,
        samples=samples,
        start_sample=0,
        priority=priority,
        language=language,
    )


def _in_hub_cache(repository: str) -> Path | None:
    """A complete snapshot in huggingface_hub's own cache; uses no network."""
    try:
        snapshot = Path(
            huggingface_hub.snapshot_download(
                repository, local_files_only=True, allow_patterns=list(hub.FILES)
            )
        )
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        return None
    return None if _missing_in(snapshot) else snapshot


def looks_like_a_path(model: str) -> bool:
    return model.startswith((".", "/", "~")) or ("/" in model and Path(model).is_dir())


def _missing_in(folder: Path) -> list[str]:
    def has(name: str) -> bool:
        return (folder / name).is_file() and (folder / name).stat().st_size > 0

    missing = [name for name in hub.REQUIRED_FILES if not has(name)]
    return missing if any(has(name) for name in hub.VOCABULARY_FILES) else [*missing, "vocabulary.json"]


def _size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
