"""The one thread in which recordings are decoded and listened to, behind everything live.

One for all jobs, with a low priority: four long recordings would otherwise take the processor from live
channels' windows. Jobs take turns, so that one with hours of silence does not hold up the others.
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
"""Blocks of a second between two turns; half a minute of silence takes about 50 ms."""


class Turn:
    """Nothing to decode yet; another recording may go on."""


@lru_cache(maxsize=1)
def reader() -> ThreadPoolExecutor:
    """The thread, begun when it is first needed."""
    return ThreadPoolExecutor(1, thread_name_prefix="read-recordings", initializer=_lower_priority)


def _lower_priority() -> None:
    """Of this thread alone; only Linux has priorities of threads."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
