"""The single thread that decodes recordings and searches them for speech.

One thread for all jobs: four long recordings would otherwise take CPU time from live channels' windows. Jobs
take turns, so that a recording with hours of silence does not delay the others, and rest between turns while
there are live windows (`host_stt_common.read_rests`, which says why the thread has no low priority).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

TURN_BLOCKS = 4
"""Blocks of one second between two turns."""


class Turn:
    """No window yet; the thread may rest, or continue with another recording."""


@lru_cache(maxsize=1)
def reader() -> ThreadPoolExecutor:
    """The thread; it starts when it is first needed."""
    return ThreadPoolExecutor(1, thread_name_prefix="read-recordings")
