"""Memory that only Python's cycle collector can free: how little of it is made, and how soon it is freed.

A traceback holds every frame that it went through, and each frame holds its variables. An exception that one
of those variables leads to is a cycle, with all that it holds: the bytes that were read, the connection.
The collector looks at older objects only when a quarter more of them has come together. A started process
has hundreds of thousands, so megabytes waited for it.
"""

from __future__ import annotations

import gc


def forget_frames(error: BaseException | None) -> None:
    """Let go of the frames that an exception, and those it was raised from, went through.

    For exceptions that something keeps after they were handled. None: nothing to do.
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


def set_apart_what_stays() -> None:
    """Exempt everything that exists now from the collector. Call it once, when the process has started.

    Modules, routes and models live as long as the process. Without them a full collection looks only at what
    came later: it takes less time, and it begins after thousands of new objects instead of after 75,000.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # counts what is left; the next full collection begins when a quarter more has come
