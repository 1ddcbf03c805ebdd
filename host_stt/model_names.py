"""How models are called: names, the hub's ids, and the folders that they get."""

from __future__ import annotations

import re

from faster_whisper import utils as faster_whisper_utils

from host_stt.errors import ModelNotFound

AUTO = "auto"
STARTER = "starter"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
REPOSITORY = re.compile(rf"{NAME.pattern}/{NAME.pattern}")


def repository_of(model: str) -> str:
    """The hub's id of a faster-whisper name; an id is its own. Raises ModelNotFound for anything else."""
    known: dict[str, str] = faster_whisper_utils._MODELS  # what available_models() gives the names of
    if model in known:
        return known[model]
    if REPOSITORY.fullmatch(model):
        return model
    raise ModelNotFound(
        f"{model!r} is no model: name a folder, a Hugging Face id (org/name), starter, auto, or one of "
        f"{', '.join(known)}"
    )


def is_hub_name(model: str) -> bool:
    return model in faster_whisper_utils.available_models() or bool(REPOSITORY.fullmatch(model))


def is_own_name(model: str) -> bool:
    """Whether a model that is added may be called this."""
    return model not in (AUTO, STARTER) and bool(NAME.fullmatch(model) or REPOSITORY.fullmatch(model))


def folder_name(model: str) -> str:
    """Of a name or a hub's id, inside models_dir."""
    return model.replace("/", "--")


def name_of_folder(folder: str) -> str:
    """As engine.model says it: the reverse of folder_name."""
    return folder.replace("--", "/")
