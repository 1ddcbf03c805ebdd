"""The watch on the glossary file: a change by an editor is used within about a second.

`glossary.store` reads and checks the file; this module calls it and writes the audit line. It looks at the
file's time and size, because notifications of the system do not work on network disks and in containers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from webrtc_host.glossary.store import Glossary

logger = logging.getLogger(__name__)

POLL_S = 0.5
"""A change is read at the second look that finds the same content, so a file that is being written is not."""
Note = Callable[[str, str], Awaitable[None]]
"""Writes an audit line: action and detail."""


class GlossaryWatch:
    """One per process; `run` is one of the server's start steps."""

    def __init__(self, glossary: Glossary, note: Note, poll_s: float = POLL_S) -> None:
        self._glossary = glossary
        self._note = note
        self._poll_s = poll_s

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            await self.look()

    async def look(self) -> None:
        """Read the file if it has changed."""
        try:
            version = await asyncio.to_thread(self._glossary.reload)
        except Exception:  # a stage that cannot use the list: a fault of this program, the old list stays
            logger.exception("the changed glossary file cannot be used")
            return
        if version is not None:
            await self._note("changed glossary", f"version={version.version} terms={version.terms} from=file")
