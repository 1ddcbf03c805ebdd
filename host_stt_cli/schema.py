"""The keys of a settings model: pydantic models, dataclasses inside them, and tuples of either.

Pure. Used to suggest keys, to read values as text, and by the test that compares config/host-stt.yaml with
the code.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, SecretStr

from host_stt_cli.yaml_source import KeyPath, dotted


def fields_of(kind: Any) -> dict[str, Any]:
    """(field name -> annotation) of a settings class; empty if `kind` is not one."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {name: info.annotation for name, info in kind.model_fields.items()}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        return {f.name: hints[f.name] for f in dataclasses.fields(kind) if f.init}
    return {}


def choices(annotation: Any) -> list[Any]:
    """The plain types that an annotation allows: `Path | None` gives [Path, NoneType]."""
    if get_origin(annotation) is Annotated:
        return choices(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [choice for part in get_args(annotation) for choice in choices(part)]
    return [annotation]


def annotations_at(kind: Any, path: KeyPath) -> list[Any]:
    """The types allowed at `path` inside `kind`; empty if there is no such key."""
    if not path:
        return choices(kind)
    found: list[Any] = []
    for choice in choices(kind):
        if isinstance(path[0], int):
            if get_origin(choice) in (tuple, list) and get_args(choice):
                found += annotations_at(get_args(choice)[0], path[1:])
        elif path[0] in fields_of(choice):
            found += annotations_at(fields_of(choice)[path[0]], path[1:])
    return found


def holds_text(kind: Any, path: KeyPath) -> bool:
    """True if a plain scalar at `path` is text and must not be read as a number."""
    allowed = annotations_at(kind, path)
    textual = any(
        get_origin(a) is Literal or (isinstance(a, type) and issubclass(a, (str, Path, SecretStr)))
        for a in allowed
    )
    return textual and not any(a in (int, float, bool) for a in allowed)


def key_paths(kind: Any, prefix: KeyPath = ()) -> Iterator[KeyPath]:
    """All keys below `kind`, including sections, without keys inside lists."""
    for choice in choices(kind):
        for name, annotation in fields_of(choice).items():
            yield (*prefix, name)
            yield from key_paths(annotation, (*prefix, name))


def suggestion(kind: Any, path: KeyPath) -> str | None:
    """The key that a mistyped `path` probably means: a key of the same section, else of another section."""
    wrong = str(path[-1])
    siblings = {name for choice in annotations_at(kind, path[:-1]) for name in fields_of(choice)}
    if close := difflib.get_close_matches(wrong, siblings, n=1, cutoff=0.6):
        return dotted((*path[:-1], close[0]))
    everywhere = {dotted(p): str(p[-1]) for p in key_paths(kind)}
    for full, last in everywhere.items():
        if last == wrong:
            return full
    close = difflib.get_close_matches(dotted(path), everywhere, n=1, cutoff=0.75)
    return close[0] if close else None
