"""The glossary file: read it with the line of every value, and replace it in one step.

Every value is text except the few numbers and switches that the schema names, so `18:00`, `112` and `No` need
no quotes. Invariant: after a power cut, the old file or the new one is there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from webrtc_host.glossary.mistakes import GlossaryError, KeyPath, Mistake
from webrtc_host.glossary.schema import GlossaryList, as_dict, parse

FILE_BYTES_MAX = 1024 * 1024
DEPTH_MAX = 8
_NOT_TEXT = frozenset(("version", "boost", "min_similarity", "min_jamo", "margin", "echo_guard"))
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one reads 2,000 terms ten times faster
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def read_file(path: Path) -> GlossaryList:
    """The list in the file; an empty one without a file. Raises GlossaryError with the lines."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise GlossaryError([Mistake((), f"the file is over the limit of {FILE_BYTES_MAX} bytes")], path)
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return GlossaryList()
    except OSError as error:
        raise GlossaryError([Mistake((), f"the file cannot be read: {error.strerror}")], path) from error
    except UnicodeDecodeError as error:
        message = f"the file is not valid YAML: byte {error.start} is not UTF-8"
        raise GlossaryError([Mistake((), message)], path) from error
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path | None = None) -> GlossaryList:
    """The list in a text. path: the file of the text, for messages. Raises GlossaryError."""
    source = Path("glossary.yaml") if path is None else path
    reader = _Reader(text)
    try:
        body = reader.read()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        # The parser names the line after the last one for a text that ends too early.
        line = min(mark.line + 1, len(text.splitlines())) if mark else None
        wrong = Mistake((), f"the file is not valid YAML: {problem}", line=line)
        raise GlossaryError([wrong], source) from error
    if reader.mistakes:
        raise GlossaryError(reader.mistakes, source)
    try:
        return parse(body)
    except GlossaryError as error:
        raise error.in_file(source, _Reader(text).lines_of_all()) from error


def dump(found: GlossaryList) -> str:
    """The list as a file: one key on each line, and short lists in brackets."""
    text: str = yaml.dump(
        as_dict(found),
        Dumper=_Dumper,
        allow_unicode=True,
        sort_keys=False,
        default_flow_style=None,
        width=100,
    )
    return text


def write_file(path: Path, text: str) -> None:
    """Replace the file. Raises OSError; then the old file is still there."""
    path.parent.mkdir(parents=True, exist_ok=True)
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


class _Reader:
    """Turns the events of a YAML text into plain values.

    Not from YAML's nodes: building them makes a reload of 2,000 terms three times slower. The lines are
    collected only for a text with a mistake.
    """

    def __init__(self, text: str) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=_Loader)
        self._lines: dict[KeyPath, int] | None = None
        self.mistakes: list[Mistake] = []

    def read(self) -> Any:
        """The value of the text; an empty mapping for an empty text. Raises yaml.YAMLError."""
        for event in self._events:
            if not isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent):
                break
        value = {} if isinstance(event, yaml.StreamEndEvent) else self._value(event, ())
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._mistake((), _line(event), "a second document begins here; the file has one")
                break
        return {} if value is None else value

    def lines_of_all(self) -> dict[KeyPath, int]:
        """The line of each key and list item. For a text that `read` has read without an error."""
        self._lines = {}
        self.read()
        return self._lines

    def _value(self, event: Any, path: KeyPath) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event, path)
        if len(path) >= DEPTH_MAX:
            raise yaml.MarkedYAMLError(problem="a value is nested too deeply", problem_mark=event.start_mark)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        message = f"`*{event.anchor}` is not supported here; write the value out"
        raise yaml.MarkedYAMLError(problem=message, problem_mark=event.start_mark)

    def _mapping(self, path: KeyPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            if not isinstance(event, yaml.ScalarEvent):
                raise yaml.MarkedYAMLError(
                    problem="a key must be a plain word", problem_mark=event.start_mark
                )
            key, line = str(event.value), _line(event)
            if key in found:
                self._mistake((*path, key), line, "is set a second time here; keep one")
            if self._lines is not None:
                self._lines[*path, key] = line
            found[key] = self._value(next(self._events), (*path, key))
        return found

    def _sequence(self, path: KeyPath) -> list[Any]:
        found: list[Any] = []
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            if self._lines is not None:
                self._lines[*path, len(found)] = _line(event)
            found.append(self._value(event, (*path, len(found))))
        return found

    def _mistake(self, path: KeyPath, line: int, message: str) -> None:
        self.mistakes.append(Mistake(path, message, line=line))


def _line(event: Any) -> int:
    """The line of an event of the YAML parser, from 1."""
    line: int = event.start_mark.line
    return line + 1


def _scalar(event: Any, path: KeyPath) -> Any:
    if event.implicit[0] and event.value in ("", "~", "null", "Null", "NULL"):
        return None
    if path and path[-1] in _NOT_TEXT:
        try:
            return yaml.safe_load(str(event.value))
        except yaml.YAMLError:
            return event.value
    return event.value
