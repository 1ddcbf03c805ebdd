"""Change `engine.model` in a configuration file: one line; everything else stays, including comments.

Edits the text. Invariant: the file is written only if the result has the same settings as before and the new
model. A form that this module cannot edit is an error, and the file stays unchanged.
"""

from __future__ import annotations

import copy
import json
import os
import re
from pathlib import Path
from typing import Any

import yaml

from host_stt_cli.config import FILE_NAME, packaged
from host_stt_cli.errors import StartError

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9._/-]*")
_WORDS_OF_YAML = {"null", "true", "false", "yes", "no", "on", "off"}


def config_to_change(file: Path) -> Path:
    """The file in which a setting is changed: `file`, or config/host-stt.yaml here for the packaged one.

    The packaged defaults are part of the program, and an upgrade replaces them.
    """
    return Path("config") / FILE_NAME if file == packaged(FILE_NAME) else file


def write_model(file: Path, model: str) -> None:
    """Set engine.model in the file; the file is made if it is missing. Raises StartError."""
    try:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        changed = with_model(text, model)
        if changed is None:
            raise StartError(
                f"{file} is written in a form that this command cannot change; write engine.model: {model} "
                f"into it by hand."
            )
        file.parent.mkdir(parents=True, exist_ok=True)
        # Written in place, not replaced by a new file, because a container may have mounted this one file.
        with file.open("r+" if file.exists() else "w", encoding="utf-8") as out:
            out.write(changed)
            out.truncate()
            out.flush()
            os.fsync(out.fileno())
    except UnicodeDecodeError as error:
        raise StartError(f"the config file {file} is not UTF-8 text (byte {error.start}).") from error
    except OSError as error:
        raise StartError(
            f"the config file {file} cannot be written: {error.strerror}. Write engine.model: {model} "
            f"into it as a user with write permission."
        ) from error


def with_model(text: str, model: str) -> str | None:
    """The text of a configuration with engine.model set. None: its form cannot be edited."""
    try:
        before = yaml.safe_load(text)
        changed = _edited(text, yaml.compose(text, Loader=yaml.SafeLoader), _quoted(model))
        after = yaml.safe_load(changed) if changed is not None else None
    except yaml.YAMLError:
        return None
    wanted: Any = copy.deepcopy(before) or {}
    if not isinstance(wanted, dict) or not isinstance(wanted.get("engine") or {}, dict):
        return None
    wanted["engine"] = {**(wanted.get("engine") or {}), "model": model}
    return changed if after == wanted else None


def _edited(text: str, root: yaml.Node | None, value: str) -> str | None:
    if root is None:
        return _with_section(text, value)
    if not isinstance(root, yaml.MappingNode):
        return None
    key, engine = _entry(root, "engine")
    if key is None or engine is None:
        return None if root.flow_style else _with_section(text, value)
    if isinstance(engine, yaml.MappingNode):
        _, model = _entry(engine, "model")
        if model is not None:
            return text[: model.start_mark.index] + value + text[model.end_mark.index :]
        if engine.flow_style:
            return None
        return _with_line_below(text, key, engine.start_mark.column, value)
    is_empty = isinstance(engine, yaml.ScalarNode) and not engine.value
    return _with_line_below(text, key, key.start_mark.column + 2, value) if is_empty else None


def _with_section(text: str, value: str) -> str:
    """Add the section at the end of the file."""
    separator = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{separator}engine:\n  model: {value}\n"


def _with_line_below(text: str, key: yaml.Node, indent: int, value: str) -> str:
    end = text.find("\n", key.end_mark.index)
    head, tail = (text, "") if end < 0 else (text[:end], text[end + 1 :])
    return f"{head}\n{' ' * indent}model: {value}\n{tail}"


def _entry(mapping: yaml.MappingNode, name: str) -> tuple[yaml.Node | None, yaml.Node | None]:
    return next(((key, value) for key, value in mapping.value if key.value == name), (None, None))


def _quoted(model: str) -> str:
    if _PLAIN.fullmatch(model) and model.lower() not in _WORDS_OF_YAML:
        return model
    return json.dumps(model)  # a string of JSON is one of YAML
