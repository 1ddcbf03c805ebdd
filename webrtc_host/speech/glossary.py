"""The glossary: terms a site wants spelt its way, and which of them each channel's prompt carries.

Owns `config/glossary.yaml` in memory and on disk, its validation and its version; knows no sockets (the desk
calls `replace`). In this release only canonical terms and their channels have effect; the rest of the schema
is checked and kept. Invariants: a list that does not validate changes nothing; readers see the old list or
the new one, never a mix.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from host_stt.contract import TERM_CHARS_MAX, TERMS_MAX
from host_stt_common.plain import plain_mistake

logger = logging.getLogger(__name__)

FILE_BYTES_MAX = 1024 * 1024
ALIASES_MAX = 50
"""Per term and list: what one person can oversee; long lists over-correct."""
PATTERNS_MAX = 100

Text = Annotated[str, Field(min_length=1, max_length=TERM_CHARS_MAX)]
Texts = Annotated[list[Text], Field(max_length=ALIASES_MAX)]
ChannelId = Annotated[str, Field(pattern=r"^C(0[1-9]|[1-5]\d|6[0-4])$")]
TimeOfDay = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class GlossaryError(ValueError):
    """The glossary cannot be used like this. One sentence per mistake, each naming its place."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Roster(_Part):
    start: TimeOfDay = Field(alias="from")
    end: TimeOfDay = Field(alias="to")


class Term(_Part):
    canonical: Text
    display: dict[Annotated[str, Field(max_length=8)], Text] = Field(default_factory=dict)
    aliases: Texts = Field(default_factory=list)
    sounds_like: Texts = Field(default_factory=list)
    never: Texts = Field(default_factory=list)
    kind: Literal["callsign", "place", "code", "person"] | None = Field(None, alias="class")
    channels: list[ChannelId] | None = None  # None: all
    active: Roster | None = None
    alert: dict[str, Any] | None = None
    boost: float | None = Field(None, ge=0, le=20)

    @field_validator("canonical")
    @classmethod
    def _is_one_line(cls, value: str) -> str:
        stripped = value.strip()
        if not stripped or any(ord(c) < 32 for c in stripped):
            raise ValueError("is empty or holds a control character")
        return stripped

    def is_for(self, channel: str) -> bool:
        return self.channels is None or channel in self.channels


class Post(_Part):
    min_similarity: float = Field(0.86, ge=0, le=1)
    min_jamo: int = Field(5, ge=0, le=50)


class Defaults(_Part):
    boost: float = Field(1.0, ge=0, le=20)
    post: Post = Field(default_factory=Post)
    echo_guard: bool = True


class Pattern(_Part):
    kind: Literal["callsign", "place", "code", "person"] = Field("callsign", alias="class")
    base: dict[Text, Texts]
    number: Annotated[str, Field(pattern=r"^\d{1,3}(-\d{1,3})?$")]
    join: Annotated[str, Field(max_length=3)] = "-"


class GlossaryList(_Part):
    """The file. `version` is that of the schema; the running number of changes is Glossary.version."""

    version: Literal[1] = 1
    defaults: Defaults = Field(default_factory=Defaults)
    terms: Annotated[list[Term], Field(max_length=TERMS_MAX)] = Field(default_factory=list)
    patterns: Annotated[list[Pattern], Field(max_length=PATTERNS_MAX)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _names_each_once(self) -> GlossaryList:
        seen: set[str] = set()
        for term in self.terms:
            key = term.canonical.casefold()
            if key in seen:
                raise ValueError(f"the term {term.canonical!r} stands twice")
            seen.add(key)
        return self


@dataclass(frozen=True, slots=True)
class PromptTerms:
    """What one window is asked with, and the version its segments will carry."""

    terms: tuple[str, ...]
    version: int


class Glossary:
    """The list in force. Any thread may read; `load` and `replace` take turns."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        # One reference, so that a reader in another thread gets a list and its own version.
        self._now = (GlossaryList(), 0)
        self._changing = threading.Lock()

    @property
    def version(self) -> int:
        """0 before anything was loaded, one more for every change."""
        return self._now[1]

    def load(self) -> None:
        """Read the file; none is an empty list. Raises GlossaryError and keeps the old list when it is
        broken."""
        if self._path is None:
            return
        with self._changing:
            self._swap(read_file(self._path))

    def replace(self, body: dict[str, Any]) -> int:
        """Validate, write to disk, swap; the new version. Raises GlossaryError, or OSError when it cannot be
        written.

        Blocking: a file is written. Takes effect with the next window.
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
        """The list as `GET /api/glossary` shows it and `replace` takes it."""
        return _as_dict(self._now[0])

    def _swap(self, new: GlossaryList) -> int:
        version = self._now[1] + 1
        self._now = (new, version)
        logger.info("glossary version %s in force: %s terms", version, len(new.terms))
        return version


def parse(body: Any) -> GlossaryList:
    """Raises GlossaryError with one plain sentence per mistake."""
    if not isinstance(body, dict):
        raise GlossaryError("the glossary is not a mapping with `version` and `terms`")
    try:
        return GlossaryList.model_validate(body)
    except ValidationError as error:
        raise GlossaryError("; ".join(_sentence(e["loc"], e["msg"]) for e in error.errors()[:5])) from error


def _sentence(place: tuple[int | str, ...], message: str) -> str:
    name = ""
    for part in place:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    message = plain_mistake(message)
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
    try:
        return parse(body if body is not None else {})
    except GlossaryError as error:
        raise GlossaryError(f"{path}: {error}") from error


def write_file(path: Path, new: GlossaryList) -> None:
    """Whole or not at all: a reader, or a power cut, sees the old file or the new one."""
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
    return {"version": 1, **now.model_dump(mode="json", by_alias=True, exclude_unset=True)}
