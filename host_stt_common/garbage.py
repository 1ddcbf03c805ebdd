"""Reduce the memory that only Python's cycle collector can free.

A traceback refers to all frames that it went through, and each frame refers to its variables. If one of these
variables refers to the exception, they form a cycle. The cycle keeps everything that the frames refer to: the
bytes that were read, the connection. The collector checks older objects only after their number has grown by
a quarter. A started process has hundreds of thousands of objects, so megabytes waited in such cycles.
"""

from __future__ import annotations

import gc


def clear_tracebacks(error: BaseException | None) -> None:
    """Remove the tracebacks of an exception and of the exceptions that it was raised from.

    Use it for exceptions that something keeps after they were handled. None: nothing to do.
    """
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.__traceback__ = None
        waiting += (one.__cause__, one.__context__)


def freeze_startup_objects() -> None:
    """Exempt all objects that exist now from the collector. Call it once, when the process has started.

    Modules, routes and models live as long as the process. Without them a full collection checks only newer
    objects: it takes less time, and it begins after thousands of new objects instead of after 75,000.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # count the rest: the next full collection begins when there is a quarter more
