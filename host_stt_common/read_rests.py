"""How long the thread that reads recordings rests while somebody speaks.

It shares the interpreter with the threads that serve live channels. It has the priority of the process: the
kernel takes the processor from a thread of low priority on a busy machine, also while it holds the
interpreter's lock, and then every other thread waits for it (docs/explanation/jobs.md). Pure.
"""

from __future__ import annotations

READ_SHARE = 0.1
"""Of the time, while there is live speech."""
REST_S_MAX = 2.0


def rest_s(read_s: float) -> float:
    """How long the reading rests after it has read for so long beside live speech."""
    return min(REST_S_MAX, read_s * (1 / READ_SHARE - 1))
