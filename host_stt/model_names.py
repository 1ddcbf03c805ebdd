"""Names of models, ids on the hub, and names of their folders."""

from __future__ import annotations

import re

from faster_whisper import utils as faster_whisper_utils

from host_stt.errors import ModelNotFound

AUTO = "auto"
STARTER = "starter"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
REPOSITORY = re.compile(rf"{NAME.pattern}/{NAME.pattern}")


def repository_of(model: str) -> str:
    """The hub's id of a faster-whisper name; an id is returned unchanged. Raises ModelNotFound otherwise."""
    known: dict[str, str] = faster_whisper_utils._MODELS  # available_models() returns only its keys
    if model in known:
        return known[model]
    if REPOSITORY.fullmatch(model):
        return model
    raise ModelNotFound(
        f"{model!r} is not a model: name a folder, a Hugging Face id (org/name), starter, auto, or one of "
        f"{', '.join(known)}"
    )


def is_hub_name(model: str) -> bool:
    return model in faster_whisper_utils.available_models() or bool(REPOSITORY.fullmatch(model))


def is_own_name(model: str) -> bool:
    """True if an added model may have this name."""
    return model not in (AUTO, STARTER) and bool(NAME.fullmatch(model) or REPOSITORY.fullmatch(model))


def folder_name(model: str) -> str:
    """The name of the folder inside models_dir, for a name or an id of the hub."""
    return model.replace("/", "--")


def name_of_folder(folder: str) -> str:
    """The name for engine.model: the reverse of folder_name."""
    return folder.replace("--", "/")
