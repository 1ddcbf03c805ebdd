"""What glibc does with memory that was freed: kept for the next time, or given back page by page.

By default a block of more than 128 kB is mapped anew each time, and each of its pages costs a fault. Both
processes handle such blocks all the time: the engine activations of megabytes, 8082 windows of 320 kB.
Does nothing where the C library is another.
"""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -2, -3, -4, -8


def keep_freed_memory() -> bool:
    """For the engine on a processor: keep blocks of every size. True when the C library agreed.

    CTranslate2 allocates its activations anew for each operation. As separate mappings they cost 561,508
    page faults per 16 windows; kept, none, and encoding is 1.5 to 2.2 times as fast. The process keeps its
    peak size. Call it before there are other threads: one that already has an arena of its own goes on giving
    memory back (eight windows of 30 s then cost 600,000 faults and take twice as long).
    """
    return _mallopt((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 64 << 20))


def keep_window_memory() -> bool:
    """For 8082: keep blocks up to 8 MB, the size of windows and messages; larger ones are still given back.

    A window of 320 kB is copied several times on its way out, at 80 page faults each: together they made up
    half of the time it took.
    """
    return _mallopt((_MMAP_THRESHOLD, 8 << 20), (_TRIM_THRESHOLD, 64 << 20), (_TOP_PAD, 4 << 20))


def _mallopt(*settings: tuple[int, int]) -> bool:
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all([mallopt(key, value) == 1 for key, value in settings])
