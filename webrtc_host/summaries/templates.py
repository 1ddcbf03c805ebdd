"""Summary templates: YAML files that tell the language model what a summary of some kind of speech is about.

The packaged ones are in config/summary-templates; a folder of the operator (`summaries.templates_dir`) adds
others, and replaces a packaged one with the same name. The name of a file is NAME.LANGUAGE.yaml, such as
`radio.ko.yaml`. All files are read at the start: a mistake in one of them stops the start with its name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from host_stt_common.plain import plain_mistake
from webrtc_host.errors import ConfigError, RequestError
from webrtc_host.summaries.content import SECTIONS

DEFAULT_TEMPLATE = "general"
LANGUAGES = ("en", "ko")
FILES_MAX = 200
FILE_BYTES_MAX = 64 * 1024
_NAME = re.compile(r"([a-z0-9][a-z0-9-]{0,39})\.(en|ko)\.yaml")

SectionName = Literal["summary", "decisions", "actions", "topics"]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1, max_length=80)
    instructions: str = Field(min_length=1, max_length=8000)
    sections: dict[SectionName, str] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Template:
    name: str
    language: str
    """Of the summary: en or ko."""
    title: str
    """For people who choose a template."""
    instructions: str
    sections: Mapping[str, str]
    """What belongs into each section; a section that is not here stays empty."""
    version: str
    """Eight hexadecimal digits that change with the file."""


class Templates:
    """All templates by name and language."""

    def __init__(self, folder: Path | None = None) -> None:
        """folder: of the operator. Raises ConfigError for a folder or a file that cannot be read."""
        self._known = dict(_read_builtin())
        if folder is not None:
            self._known |= _read_folder(folder)

    def get(self, name: str, language: str) -> Template:
        """Raises RequestError 422."""
        found = self._known.get((name, language))
        if found is None:
            names = ", ".join(sorted({one for one, of_language in self._known if of_language == language}))
            message = f"there is no summary template {name[:40]!r} in {language!r}; known: {names}"
            raise RequestError("unknown_template", message, 422)
        return found

    def __iter__(self) -> Iterator[Template]:
        return iter(self._known.values())


def builtin_folder() -> Path:
    """The packaged templates: inside the wheel, or in config/ of a source tree."""
    inside = Path(__file__).parent / "templates"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "config" / "summary-templates"


@cache
def _read_builtin() -> Mapping[tuple[str, str], Template]:
    """Parsing the YAML of the packaged files costs more than all routes, and the files never change."""
    return _read_folder(builtin_folder())


def _read_folder(folder: Path) -> dict[tuple[str, str], Template]:
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix == ".yaml")
    except OSError as error:
        message = f"summaries.templates_dir: the folder {folder} cannot be read: {error.strerror}"
        raise ConfigError(message) from error
    if len(files) > FILES_MAX:
        raise ConfigError(f"{folder} has {len(files)} summary templates; the limit is {FILES_MAX}")
    return {(one.name, one.language): one for one in map(_read, files)}


def _read(path: Path) -> Template:
    named = _NAME.fullmatch(path.name)
    if named is None:
        raise ConfigError(f"{path}: name a summary template NAME.en.yaml or NAME.ko.yaml, in small letters")
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ConfigError(f"{path} is over {FILE_BYTES_MAX} bytes, too long for a summary template")
        raw = path.read_bytes()
        given = _File.model_validate(yaml.safe_load(raw.decode()))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path} is no YAML text: {' '.join(str(error).split())[:200]}") from error
    except ValidationError as error:
        mistake = error.errors()[0]
        place = ".".join(str(part) for part in mistake["loc"] if part != "[key]") or "the file"
        raise ConfigError(f"{path}: {place} {plain_mistake(mistake['msg'])}") from error
    about = {str(name): text for name, text in given.sections.items()}
    sections = {name: about[name] for name in (*SECTIONS, "topics") if name in about}
    version = hashlib.sha256(raw).hexdigest()[:8]
    return Template(named[1], named[2], given.title, given.instructions.strip(), sections, version)
