"""The single thread that decodes recordings and searches them for speech, at low priority.

One thread for all jobs: four long recordings would otherwise take CPU time from live channels' windows. Jobs
take turns, so that a recording with hours of silence does not delay the others.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

NICENESS = 10
TURN_BLOCKS = 30
"""Blocks of one second between two turns; half a minute of silence takes about 50 ms."""


class Turn:
    """No window yet; the thread may continue with another recording."""


@lru_cache(maxsize=1)
def reader() -> ThreadPoolExecutor:
    """The thread; it starts when it is first needed."""
    return ThreadPoolExecutor(1, thread_name_prefix="read-recordings", initializer=_lower_priority)


def _lower_priority() -> None:
    """Lower the priority of this thread only; only Linux has priorities of threads."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
