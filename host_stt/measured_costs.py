"""Stored costs of models: `measured.json` in the models folder.

Reads and writes the file, with a lock. An entry has the sha256 of the weights and everything else that the
cost depends on, so a changed model, machine or library is measured again. A file that cannot be read counts
as empty. Invariant: the start of a measurement is stored first, so that a model whose measurement ends the
process (no memory, a native crash) is not measured at every start.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from host_stt.model_cost import ModelCost

logger = logging.getLogger(__name__)

FILE_NAME = "measured.json"
LOCK_NAME = "measured.json.lock"
WAIT_S = 600.0
"""So long a measurement waits for those of other processes. One takes 180 s at most."""
_FORMAT = "host-stt measured costs 1"
FIGURES = ("final_s", "interim_s", "speech_s", "searched_s", "termed_s")
"""The measured fields of a ModelCost, in its order. An entry without one of them is measured again."""
_ENTRIES_MAX = 100
_BYTES_MAX = 1 << 20


def key_of(weights_sha256: str, conditions: Mapping[str, str]) -> str:
    """The key of an entry."""
    text = json.dumps({"weights": weights_sha256, **conditions}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class MeasuredCosts:
    """The stored costs of the models in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / FILE_NAME

    @contextlib.contextmanager
    def locked(self, on_waiting: Callable[[], None] | None = None, wait_s: float = WAIT_S) -> Iterator[bool]:
        """Lock the file: one process at a time measures, so that no measurement slows another one down.

        Yields False if the folder cannot be written, or another process keeps the lock for longer than
        `wait_s`; then nothing is stored. on_waiting: called once if another process has the lock.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._folder / LOCK_NAME)
            try:
                lock.acquire(timeout=0)
            except Timeout:  # an OSError, too
                if on_waiting:
                    on_waiting()
                lock.acquire(timeout=wait_s)
        except Timeout:
            logger.warning(
                "another process has been measuring models in %s for more than %.0f s and may hang. This one "
                "measures beside it and does not store the result. End the other process (host-stt serve, or "
                "host-stt model list --measure) to store results again",
                self._folder,
                wait_s,
            )
            yield False
            return
        except OSError as error:
            logger.warning("measured costs cannot be stored in %s: %s", self._folder, error.strerror or error)
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def find(self, key: str) -> ModelCost | None:
        """The cost, if it was measured under the same conditions."""
        entry = self._read()["costs"].get(key, {})
        try:
            return ModelCost(*(entry[name] for name in FIGURES))
        except (KeyError, TypeError, ValueError):
            return None

    def unfinished(self, key: str) -> int:
        """How many measurements began and did not end."""
        number = self._read()["costs"].get(key, {}).get("unfinished", 0)
        return number if isinstance(number, int) else 0

    def begin(self, key: str, name: str, conditions: Mapping[str, str]) -> None:
        """Store that a measurement begins. Call it with the lock."""
        entry = {"model": name, **conditions, "unfinished": self.unfinished(key) + 1}
        self._put("costs", key, entry)

    def keep(self, key: str, name: str, conditions: Mapping[str, str], cost: ModelCost | None) -> None:
        """Store the result; None: the measurement failed without ending the process. Call it with the
        lock.
        """
        entry: dict[str, Any] = {"model": name, **conditions, "measured_at": _now()}
        if cost is not None:
            entry |= {name: getattr(cost, name) for name in FIGURES}
        self._put("costs", key, entry)

    def weights_sha256(self, weights: Path) -> str:
        """The sha256 of a model.bin; stored too, because 3 GB take seconds to read. Raises OSError."""
        if known := self.known_sha256(weights):
            return known
        facts = weights.stat()
        with weights.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        entry = {"size_bytes": facts.st_size, "mtime_ns": facts.st_mtime_ns, "sha256": digest}
        self._put("weights", str(weights.resolve()), entry)
        return digest

    def known_sha256(self, weights: Path) -> str | None:
        """The stored sha256 of a file, if its size and time of change are the same as then; else None."""
        known = self._read()["weights"].get(str(weights.resolve()), {})
        try:
            facts = weights.stat()
        except OSError:
            return None
        is_same = (known.get("size_bytes"), known.get("mtime_ns")) == (facts.st_size, facts.st_mtime_ns)
        return str(known["sha256"]) if is_same and "sha256" in known else None

    def _read(self) -> dict[str, dict[str, dict[str, Any]]]:
        try:
            with self._file.open("rb") as file:
                body = json.loads(file.read(_BYTES_MAX))
            if body["format"] != _FORMAT:
                raise ValueError(f"its format is {body['format']!r}")
            parts = {part: body[part] for part in ("costs", "weights")}
            if not all(isinstance(entry, dict) for part in parts.values() for entry in part.values()):
                raise ValueError("an entry is not an object")
            return parts
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("%s cannot be used, so models are measured again: %s", self._file, error)
        return {"costs": {}, "weights": {}}

    def _put(self, part: str, key: str, entry: dict[str, Any]) -> None:
        """Add or replace an entry; the oldest ones are removed. A disk that cannot be written is only
        logged.
        """
        parts = self._read()
        entries = parts[part]
        entries.pop(key, None)
        entries[key] = entry
        parts[part] = dict(list(entries.items())[-_ENTRIES_MAX:])
        text = json.dumps({"format": _FORMAT, **parts}, indent=1) + "\n"
        fresh = self._file.with_suffix(f".{os.getpid()}")  # another process may write its own
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(self._file)
        except OSError as error:
            logger.debug("%s cannot be written: %s", self._file, error)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
