"""The glossary: terms with the spelling that a site wants, and the terms in the prompt of each channel.

The file `glossary.yaml` in memory and on disk, its validation and its version. A key that this version does
not use is refused, because a key without effect would mislead. Invariants: an invalid list changes nothing; a
reader gets the old list or the new one, never a mixture.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.json_schema import WithJsonSchema
from pydantic_core import ErrorDetails

from host_stt.contract import TERM_CHARS_MAX, TERMS_MAX
from host_stt_common.channel_ids import CHANNEL_PATTERN, BadChannelId, is_channel_id
from host_stt_common.plain import plain_mistake

logger = logging.getLogger(__name__)

FILE_BYTES_MAX = 1024 * 1024
FORMER_KEYS = frozenset(("defaults", "patterns"))
FORMER_TERM_KEYS = frozenset(
    ("active", "aliases", "alert", "boost", "class", "display", "never", "sounds_like")
)
"""Keys that earlier versions accepted in the file and never used. A file with them still loads, so that an
upgrade does not stop a site; they are ignored, and a copy of the file is kept."""
FORMER_COPY = "glossary.former.yaml"


def _channel_id(value: str) -> str:
    if not is_channel_id(value):
        raise ValueError(str(BadChannelId(value)))
    return value


Text = Annotated[str, Field(min_length=1, max_length=TERM_CHARS_MAX)]
ChannelId = Annotated[
    str,
    AfterValidator(_channel_id),
    WithJsonSchema({"type": "string", "pattern": f"^{CHANNEL_PATTERN}$"}),
]


class GlossaryError(ValueError):
    """The glossary is invalid. One sentence for each mistake, with its place."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Term(_Part):
    canonical: Text  # as the text should have it
    channels: list[ChannelId] | None = None  # None: all

    @field_validator("canonical")
    @classmethod
    def _is_one_line(cls, value: str) -> str:
        stripped = value.strip()
        if not stripped or any(ord(c) < 32 for c in stripped):
            raise ValueError("is empty or has a control character")
        return stripped

    def is_for(self, channel: str) -> bool:
        return self.channels is None or channel in self.channels


class GlossaryList(_Part):
    """The file. `version` is the version of its format; `Glossary.version` counts the changes."""

    version: Literal[1] = 1
    terms: Annotated[list[Term], Field(max_length=TERMS_MAX)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _names_each_once(self) -> GlossaryList:
        seen: set[str] = set()
        for term in self.terms:
            key = term.canonical.casefold()
            if key in seen:
                raise ValueError(f"the term {term.canonical!r} is in the list twice")
            seen.add(key)
        return self


@dataclass(frozen=True, slots=True)
class PromptTerms:
    """The terms that are sent with one window, and the glossary version that its segments will have."""

    terms: tuple[str, ...]
    version: int


class Glossary:
    """The list in use. Any thread may read; `load` and `replace` wait for each other."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        # List and version in one tuple, so that a reader in another thread gets both of the same change.
        self._now = (GlossaryList(), 0)
        self._changing = threading.Lock()

    @property
    def version(self) -> int:
        """0 until the file is loaded; each change adds one."""
        return self._now[1]

    def load(self) -> None:
        """Read the file; without a file, the list is empty.

        Raises GlossaryError when the file is invalid; then the old list stays in use.
        """
        if self._path is None:
            return
        with self._changing:
            self._swap(read_file(self._path))

    def replace(self, body: dict[str, Any]) -> int:
        """Check the list, write it to disk, and use it from the next window on. Returns the new version.

        Blocking, because it writes a file. Raises GlossaryError, or OSError when the file cannot be written.
        """
        new = parse(body)
        with self._changing:
            if self._path is not None:
                write_file(self._path, new)
            return self._swap(new)

    def prompt_for(self, channel: str) -> PromptTerms:
        now, version = self._now
        return PromptTerms(tuple(t.canonical for t in now.terms if t.is_for(channel)), version)

    def as_dict(self) -> dict[str, Any]:
        """The list in the form of `GET /api/glossary` and of `replace`."""
        return _as_dict(self._now[0])

    def _swap(self, new: GlossaryList) -> int:
        version = self._now[1] + 1
        self._now = (new, version)
        logger.info("glossary version %s in use: %s terms", version, len(new.terms))
        return version


def parse(body: Any) -> GlossaryList:
    """Raises GlossaryError with one sentence for each mistake, for at most five."""
    if not isinstance(body, dict):
        raise GlossaryError("the glossary is not a mapping with `version` and `terms`")
    try:
        return GlossaryList.model_validate(body)
    except ValidationError as error:
        raise GlossaryError("; ".join(_sentence(mistake) for mistake in error.errors()[:5])) from error


def _sentence(mistake: ErrorDetails) -> str:
    name = ""
    for part in mistake["loc"]:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    message = plain_mistake(mistake["msg"])
    if mistake["type"] == "extra_forbidden":
        model = Term if "terms" in mistake["loc"] else GlossaryList
        message = f"this version does not use this key; it uses {' and '.join(model.model_fields)}"
    return f"{name}: {message}" if name else message


def read_file(path: Path) -> GlossaryList:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise GlossaryError(f"{path} is over the limit of {FILE_BYTES_MAX} bytes")
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return GlossaryList()
    except OSError as error:
        raise GlossaryError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise GlossaryError(f"{path} is not valid YAML: {str(error).splitlines()[0]}") from error
    former = _remove_former_keys(body)
    if former:
        copy = _keep_copy(path)
        logger.warning(
            "%s has keys that this version does not use: %s. They are ignored%s",
            *(path, ", ".join(sorted(former)), f"; {copy} is a copy of the file" if copy else ""),
        )
    try:
        return parse(body if body is not None else {})
    except GlossaryError as error:
        raise GlossaryError(f"{path}: {error}") from error


def _remove_former_keys(body: Any) -> set[str]:
    """Remove the keys of earlier versions from a file's content. Returns their names."""
    if not isinstance(body, dict):
        return set()
    found = FORMER_KEYS & body.keys()
    for key in found:
        del body[key]
    terms = body.get("terms")
    for term in terms if isinstance(terms, list) else ():
        if isinstance(term, dict):
            unused = FORMER_TERM_KEYS & term.keys()
            found |= unused
            for key in unused:
                del term[key]
    return set(found)


def _keep_copy(path: Path) -> Path | None:
    """Copy the file beside it, because the next change of the glossary replaces it. None: not possible."""
    copy = path.with_name(FORMER_COPY)
    try:
        if not copy.exists():
            shutil.copyfile(path, copy)
    except OSError as error:
        logger.warning("%s cannot be copied to %s: %s", path, copy, error)
        return None
    return copy


def write_file(path: Path, new: GlossaryList) -> None:
    """Replace the file in one step: after a power cut, the old file or the new one is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(_as_dict(new), allow_unicode=True, sort_keys=False)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".new")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _as_dict(now: GlossaryList) -> dict[str, Any]:
    return {"version": 1, **now.model_dump(mode="json", exclude_unset=True)}
