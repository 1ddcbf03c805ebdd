"""Ids of utterances, segments and windows, unique on the server.

One `Ids` is shared by all channels of a process. `continue_after` lets a record on disk go on where it ended.
"""

from __future__ import annotations

import itertools


class Ids:
    def __init__(self) -> None:
        self._windows = itertools.count(1)
        self.continue_after(0, 0)

    def continue_after(self, utterance_max: int, segment_max: int) -> None:
        """Begin behind the highest ids of an earlier process. Before the first id is given out."""
        self._utterances = itertools.count(utterance_max + 1)
        self._segments = itertools.count(segment_max + 1)

    def utterance(self) -> str:
        return f"u_{next(self._utterances)}"

    def segment(self) -> str:
        return f"g_{next(self._segments)}"

    def window(self) -> str:
        """Only between 8082 and 8081; need not outlive the process."""
        return f"w_{next(self._windows)}"
