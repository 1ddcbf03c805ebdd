"""Announced utterances: keeps the ids of utterances that were announced to watchers before.

Pure. After a crash, the pipeline of a job finds the same utterances again and gives them new ids. This module
matches them with the record by their times. Invariant: the start and the end of an utterance are announced
once, under one id.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from webrtc_host.recovery.known import NEAR_MS, KnownUtterance


class AnnouncedUtterances:
    """announced: from the record, in the order of their start."""

    def __init__(self, announced: Sequence[KnownUtterance]) -> None:
        self._announced = announced
        self._of_job: dict[str, KnownUtterance] = {}  # id in the job -> utterance of the record

    def begin(self, utterance: str, start_ms: int) -> bool:
        """An utterance of the job begins. True when it was not announced before.

        Each utterance of the record matches at most one of the job: a long utterance of the record can be
        found again as two, and then the second one is new.
        """
        for known in self._announced:
            end_ms = math.inf if known.end_ms is None else known.end_ms
            is_same = known.start_ms - NEAR_MS <= start_ms < max(end_ms, known.start_ms + NEAR_MS)
            if is_same and known not in self._of_job.values():
                self._of_job[utterance] = known
                return False
        return True

    def id_of(self, utterance: str) -> str:
        """The id that was announced; the id of the job for a new utterance."""
        known = self._of_job.get(utterance)
        return utterance if known is None else known.id

    def start_of(self, utterance: str, start_ms: int) -> int:
        """The start that was announced; `start_ms` for a new utterance."""
        known = self._of_job.get(utterance)
        return start_ms if known is None else known.start_ms

    def lacks_end(self, utterance: str) -> bool:
        """True when its end was not announced."""
        known = self._of_job.get(utterance)
        return known is None or known.end_ms is None

    def left_open(self) -> list[KnownUtterance]:
        """Utterances without an end in the record that the job did not find."""
        found = self._of_job.values()
        return [u for u in self._announced if u.end_ms is None and u not in found]
