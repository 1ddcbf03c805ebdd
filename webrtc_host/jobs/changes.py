"""Tells the readers of a job's events that there is something new. The events themselves are in the record.

Invariant: nothing is queued here; a reader that misses several changes reads all of them at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class JobChanges:
    def __init__(self) -> None:
        self._readers: dict[str, set[asyncio.Event]] = {}

    def note(self, job_id: str) -> None:
        """Something of the job was saved. Never waits."""
        for reader in self._readers.get(job_id, ()):
            reader.set()

    @contextmanager
    def watching(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set at each change. The reader clears it before it reads the record."""
        changed = asyncio.Event()
        readers = self._readers.setdefault(job_id, set())
        readers.add(changed)
        try:
            yield changed
        finally:
            readers.discard(changed)
            if not readers:
                self._readers.pop(job_id, None)
