"""The glossary in use: the current list with its version, from the file, changed by requests and by editors.

Invariants: an invalid list changes nothing; a reader gets the old list or the new one, never a mixture; two
editors who start from the same version cannot overwrite each other (`base_version`).
"""

from __future__ import annotations

import gc
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host_stt.contract import TERMS_MAX
from webrtc_host.glossary.entries import PromptTerms, Snapshot
from webrtc_host.glossary.mistakes import GlossaryError
from webrtc_host.glossary.schema import GlossaryList, as_dict, parse
from webrtc_host.glossary.versions import Version, Versions
from webrtc_host.glossary.yaml_file import dump, read_file, write_file

logger = logging.getLogger(__name__)

VERSIONS_FOLDER = "glossary-versions"
REFUSED_COPY = "glossary.refused.yaml"
BY_FILE = "file"
_Signature = tuple[int, int, int]
"""Time of the last change, size and number of a file: another signature means another content."""


class GlossaryConflict(Exception):
    """The list was changed since the version that a change is based on. newest: the version in use."""

    def __init__(self, newest: Version, base_version: int) -> None:
        super().__init__(
            f"the glossary is now version {newest.version}, changed by {newest.by} at {newest.at}; this "
            f"change starts from version {base_version}. Load the new version and make the change again"
        )
        self.newest = newest


@dataclass(frozen=True, slots=True)
class _Current:
    """List, snapshot and version in one object, so that a reader gets all of the same change."""

    found: GlossaryList
    snapshot: Snapshot


class Glossary:
    """Any thread may read; `load`, `reload` and `replace` wait for each other and may block on the disk."""

    def __init__(self, path: Path | None = None) -> None:
        """path: the file; None: only in memory."""
        self._path = path
        self._now = _Current(GlossaryList(), Snapshot())
        self._changing = threading.Lock()
        self._read: _Signature | None = None  # of the file that was read or written last
        self._seen: _Signature | None = None  # of the file at the last `reload`
        self.versions = Versions(None if path is None else path.with_name(VERSIONS_FOLDER))
        self.trouble: str | None = None
        """Why the file on disk is not in use; None: it is."""
        self.prepare: list[Callable[[Snapshot], object]] = []
        """Called with a new snapshot before it is used, in the thread that changes it. A stage computes its
        tables there, so that no final waits for them. An exception keeps the old list."""

    @property
    def snapshot(self) -> Snapshot:
        return self._now.snapshot

    @property
    def version(self) -> int:
        """0 until the file is loaded. The same list keeps its number over restarts."""
        return self._now.snapshot.version

    def load(self) -> None:
        """Read the file and the versions; without a file, the list is empty.

        Raises GlossaryError when the file is invalid; then the old list stays in use.
        """
        if self._path is None:
            return
        with self._changing:
            if not self.versions.all():
                self.versions.load()
            self._read_file(self._path)

    def reload(self) -> Version | None:
        """Read the file if an editor has changed it. Returns the new version; None: nothing new.

        A file that is still being written is left for the next call. An invalid file keeps the old list, and
        `trouble` says what is wrong with it. Does not raise for the content of the file.
        """
        if self._path is None:
            return None
        now = _signature(self._path)
        is_settled, self._seen = now == self._seen, now
        if not is_settled or now == self._read:
            return None
        with self._changing:
            before = self.version
            try:
                self._read_file(self._path)
            except GlossaryError as error:
                self.trouble = f"the glossary file is not in use; version {before} stays: {error}"
                logger.warning("%s", self.trouble)
                return None
            return self.versions.newest if self.version != before else None

    def replace(self, body: Any, *, base_version: int | None = None, by: str = "request") -> int:
        """Check the list, write it to disk, and use it from the next window on. Returns the new version.

        base_version: the version that the change starts from; None: replace whatever is in use. Raises
        GlossaryError, GlossaryConflict, or OSError when the file cannot be written.
        """
        return self.replace_list(parse(body), base_version=base_version, by=by)

    def replace_list(
        self, new: GlossaryList, *, base_version: int | None = None, by: str = "request", text: str = ""
    ) -> int:
        """Like `replace`, for a list that is checked already. text: its file, to keep the comments in it."""
        with self._changing:
            self._take_editors_change()
            if base_version is not None and base_version != self.version:
                newest = self.versions.newest or Version(0, "", "", 0, "")
                raise GlossaryConflict(newest, base_version)
            version, current = self._make(new, by)
            text = text or dump(new)
            if self._path is not None:
                if self.trouble is not None:
                    self._keep_refused(self._path)
                write_file(self._path, text)
                self._read = _signature(self._path)
            self._use(version, current, text)
            return version.version

    def prompt_for(self, channel: str, language: str | None = None) -> PromptTerms:
        """All terms of a channel in the order of the file; `prompt.ChannelPrompts` ranks them."""
        now = self.snapshot
        terms = [entry.canonical for entry in now.entries if entry.is_for(channel)]
        return PromptTerms(tuple(terms[:TERMS_MAX]), now.version)

    def as_dict(self) -> dict[str, Any]:
        """The list in the form of `GET /api/glossary` and of `replace`."""
        return as_dict(self._now.found)

    @property
    def current(self) -> GlossaryList:
        """The list in use."""
        return self._now.found

    def text(self) -> str:
        """The list in use as a file, with the comments of an editor."""
        return self.versions.text(self.version) or dump(self._now.found)

    def state(self) -> tuple[dict[str, Any], Snapshot]:
        """The list as `as_dict` has it, and the snapshot of the same change."""
        now = self._now
        return as_dict(now.found), now.snapshot

    def _read_file(self, path: Path) -> None:
        self._read = _signature(path)
        with _without_collector():
            found = read_file(path)
            version, current = self._make(found, BY_FILE)
        self._use(version, current, _text_of(path, found))

    def _take_editors_change(self) -> None:
        """Use a change of the file that `reload` has not seen yet, so that a request cannot lose it."""
        if self._path is None or self._read is None or _signature(self._path) == self._read:
            return
        try:
            self._read_file(self._path)
        except GlossaryError as error:
            self.trouble = str(error)

    def _keep_refused(self, path: Path) -> None:
        """Copy the invalid file of an editor beside it before a request replaces it."""
        try:
            shutil.copyfile(path, path.with_name(REFUSED_COPY))
        except OSError as error:
            logger.warning("%s cannot be copied to %s: %s", path, REFUSED_COPY, error)

    def _make(self, new: GlossaryList, by: str) -> tuple[Version, _Current]:
        """The list with its version and with what the stages compute from it, not in use yet."""
        entries = new.entries()
        version = self.versions.next_of(new, by, len(entries))
        snapshot = Snapshot(entries, version.version, new.defaults.plain())
        for prepare in self.prepare:
            prepare(snapshot)
        return version, _Current(new, snapshot)

    def _use(self, version: Version, current: _Current, text: str) -> None:
        self.versions.keep(version, text)
        self._now = current
        self.trouble = None
        logger.info("glossary version %s in use: %s terms", version.version, version.terms)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Pause the garbage collector for the 0.2 s that a list of 2,000 terms takes.

    It would walk all objects of the process several times meanwhile: 300 ms of processor time in place of
    150 (2 virtual cores, 2026-11-30). Nothing here makes a reference cycle.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _signature(path: Path) -> _Signature | None:
    """None: there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _text_of(path: Path, found: GlossaryList) -> str:
    """The file with its comments, for the list of versions."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return dump(found)
