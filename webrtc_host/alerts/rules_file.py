"""The rules in use: from the file `alerts.yaml`, changed by requests and by editors.

Invariants: an invalid list changes nothing; two editors who start from the same version cannot overwrite each
other; after a power cut, the old file or the new one is there.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any

import yaml

from webrtc_host.alerts.rules import RuleList, RulesError, as_dict, parse, version_of
from webrtc_host.glossary.mistakes import Mistake
from webrtc_host.glossary.yaml_file import write_file

logger = logging.getLogger(__name__)

FILE_NAME = "alerts.yaml"
FILE_BYTES_MAX = 256 * 1024
HEAD = (
    "# The alert rules of host-stt. The page /alerts changes them; an edited file is used within a second.\n"
)
_Signature = tuple[int, int, int]
"""Time of the last change, size and number of a file: another signature means another content."""


class RulesConflict(Exception):
    """The rules were changed since the version that a change is based on."""


class RulesFile:
    """Any thread may read `current`; `load`, `reload` and `replace` block on the disk."""

    def __init__(self, path: Path | None) -> None:
        """path: the file; None: only in memory."""
        self._path = path
        self._changing = threading.Lock()
        self._read: _Signature | None = None  # of the file that was read or written last
        self._seen: _Signature | None = None  # of the file at the last `reload`
        self.current = RuleList()
        self.trouble: str | None = None
        """Why the file on disk is not in use; None: it is."""

    def load(self) -> None:
        """Read the file at the start. An invalid file leaves no rules, and `trouble` says why."""
        with self._changing:
            self._take(_signature(self._path))

    def reload(self) -> bool:
        """Read the file if an editor has changed it. True: other rules are in use now.

        A file that is still being written is left for the next call. Does not raise for its content.
        """
        now = _signature(self._path)
        is_settled, self._seen = now == self._seen, now
        if not is_settled or now == self._read:
            return False
        with self._changing:
            return self._take(now)

    def replace(self, new: RuleList, base_version: str | None) -> None:
        """Write the list to disk and use it.

        base_version: the version that the change starts from; None: replace whatever is in use. Raises
        RulesConflict, or OSError when the file cannot be written.
        """
        with self._changing:
            if (now := _signature(self._path)) != self._read:
                self._take(now)  # a change by an editor that `reload` has not seen yet
            if base_version is not None and base_version != version_of(self.current):
                raise RulesConflict(
                    f"the rules are now version {version_of(self.current)}; this change starts from version "
                    f"{base_version}. Load the new version and make the change again"
                )
            if self._path is not None:
                write_file(self._path, HEAD + _dump(new))
                self._read = _signature(self._path)
            self.current, self.trouble = new, None
        logger.info("alert rules in use: %s (version %s)", len(new.rules), version_of(new))

    def _take(self, signature: _Signature | None) -> bool:
        self._read = signature
        before = version_of(self.current)
        try:
            self.current = _read(self._path)
            self.trouble = None
        except RulesError as error:
            self.trouble = f"the file {FILE_NAME} is not in use, the rules before it stay: {error}"
            logger.warning("%s", self.trouble)
        if changed := version_of(self.current) != before:
            logger.info("alert rules in use: %s from the file", len(self.current.rules))
        return changed


def _read(path: Path | None) -> RuleList:
    """Every value of the file is text until the models read it, so that 22:00 is a time and No a word."""
    if path is None:
        return RuleList()
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise RulesError([Mistake((), f"the file is over the limit of {FILE_BYTES_MAX} bytes")])
        body: Any = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except FileNotFoundError:
        return RuleList()
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it is nested too deeply"
        raise RulesError([Mistake((), f"the file is not valid YAML{where}: {problem}")]) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise RulesError([Mistake((), f"the file cannot be read: {reason}")]) from error
    return parse(body or {})


def _dump(found: RuleList) -> str:
    text: str = yaml.safe_dump(as_dict(found), allow_unicode=True, sort_keys=False, width=100)
    return text


def _signature(path: Path | None) -> _Signature | None:
    """None: there is no file."""
    try:
        found = None if path is None else os.stat(path)
    except OSError:
        return None
    return None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)
