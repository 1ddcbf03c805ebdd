"""Ids of utterances, segments and windows, unique on the server.

One `Ids` is shared by all channels of a process. `first` lets a record on disk go on where it ended.
"""

from __future__ import annotations

import itertools


class Ids:
    def __init__(self, first_utterance: int = 1, first_segment: int = 1) -> None:
        self._utterances = itertools.count(first_utterance)
        self._segments = itertools.count(first_segment)
        self._windows = itertools.count(1)

    def utterance(self) -> str:
        return f"u_{next(self._utterances)}"

    def segment(self) -> str:
        return f"g_{next(self._segments)}"

    def window(self) -> str:
        """Only between 8082 and 8081; need not outlive the process."""
        return f"w_{next(self._windows)}"
