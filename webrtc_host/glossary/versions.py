"""The numbered versions of the glossary in the data folder, so that the version of an old final has its list.

`versions.jsonl` has one line for each version; `N.yaml` is the text of version N, of the newest VERSIONS_KEPT
ones. Invariant: the number of a version is never used for another list, also not after a restart, as long
as the folder can be written.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from webrtc_host.glossary.schema import GlossaryList, as_dict
from webrtc_host.glossary.yaml_file import write_file

logger = logging.getLogger(__name__)

INDEX = "versions.jsonl"
VERSIONS_KEPT = 100
"""Texts kept; a glossary of 2,000 terms takes about 0.5 MB."""


@dataclass(frozen=True, slots=True)
class Version:
    """version: the number that finals carry. at: ISO 8601 in UTC. by: the name of a token, or `file`."""

    version: int
    at: str
    by: str
    terms: int
    """Terms after the patterns are expanded."""
    sha256: str
    """Of the list as JSON; comments and the order of keys do not matter."""


class Versions:
    """folder: where the versions are; None: only in memory."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._known: list[Version] = []

    def load(self) -> None:
        """Read the index of earlier processes. A line that cannot be read is skipped."""
        if self._folder is None:
            return
        try:
            lines = (self._folder / INDEX).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            logger.warning("the index of the glossary's versions cannot be read: %s", error)
            return
        for line in lines:
            try:
                self._known.append(Version(**json.loads(line)))
            except (ValueError, TypeError):
                logger.warning("a line of %s cannot be read and is skipped", self._folder / INDEX)

    @property
    def newest(self) -> Version | None:
        return self._known[-1] if self._known else None

    def all(self) -> tuple[Version, ...]:
        """Oldest first."""
        return tuple(self._known)

    def of(self, version: int) -> Version | None:
        return next((one for one in reversed(self._known) if one.version == version), None)

    def text(self, version: int) -> str | None:
        """The file of a version; None: not kept any more."""
        if self._folder is None:
            return None
        try:
            return (self._folder / f"{version}.yaml").read_text(encoding="utf-8")
        except OSError:
            return None

    def next_of(self, found: GlossaryList, by: str, terms: int) -> Version:
        """The version of this list: the newest one if it has the same list, else a new one, not kept yet."""
        digest = hashlib.sha256(json.dumps(as_dict(found), sort_keys=True).encode()).hexdigest()
        newest = self.newest
        if newest is not None and newest.sha256 == digest:
            return newest
        at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return Version(newest.version + 1 if newest else 1, at, by, terms, digest)

    def keep(self, new: Version, text: str) -> None:
        """Keep a version with its text; nothing happens for the newest one.

        A version that cannot be written to disk counts all the same; the log has a warning.
        """
        if new == self.newest:
            return
        self._known.append(new)
        try:
            self._write(new, text)
        except OSError as error:
            logger.warning("version %s of the glossary cannot be kept on disk: %s", new.version, error)

    def _write(self, new: Version, text: str) -> None:
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        write_file(self._folder / f"{new.version}.yaml", text)
        with (self._folder / INDEX).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(new)) + "\n")
        (self._folder / f"{new.version - VERSIONS_KEPT}.yaml").unlink(missing_ok=True)
