"""Makes the ids of utterances, segments and windows, unique on this server.

All channels of a process share one `Ids`. After a restart, `continue_after` continues the ids of the record.
"""

from __future__ import annotations

import itertools


class Ids:
    """Counters for ids of the form u_1, g_1 and w_1."""

    def __init__(self) -> None:
        self._windows = itertools.count(1)
        self.continue_after(0, 0)

    def continue_after(self, utterance_max: int, segment_max: int) -> None:
        """Start after the highest ids of an earlier process. Call it before the first id is used."""
        self._utterances = itertools.count(utterance_max + 1)
        self._segments = itertools.count(segment_max + 1)

    def utterance(self) -> str:
        return f"u_{next(self._utterances)}"

    def segment(self) -> str:
        return f"g_{next(self._segments)}"

    def window(self) -> str:
        """Used between 8082 and 8081 only, so it need not be unique after a restart."""
        return f"w_{next(self._windows)}"
