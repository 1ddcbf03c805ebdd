"""Set what glibc does with freed memory: keep it for later use, or return it to the system page by page.

By default, glibc maps a block of more than 128 kB again each time, and each of its pages costs a page fault.
Both processes use such blocks all the time: the engine has activations of megabytes, 8082 has windows of 320
kB. Does nothing with another C library.
"""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -2, -3, -4, -8


def keep_freed_memory() -> bool:
    """For the engine on a CPU: keep blocks of every size. True if the C library accepted the settings.

    CTranslate2 allocates its activations again for each operation. As separate mappings they cost 561,508
    page faults per 16 windows. With kept memory there are none, and encoding is 1.5 to 2.2 times as fast. The
    process keeps its peak size. Call this before other threads start: a thread that already has its own arena
    continues to return memory (then eight windows of 30 s cost 600,000 faults and take twice as long).
    """
    return _mallopt((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 64 << 20))


def keep_window_memory() -> bool:
    """For 8082: keep blocks up to 8 MB, the size of windows and messages; larger ones are still returned.

    A window of 320 kB is copied several times while it is sent. Each copy cost 80 page faults, which took
    half of the total time.
    """
    return _mallopt((_MMAP_THRESHOLD, 8 << 20), (_TRIM_THRESHOLD, 64 << 20), (_TOP_PAD, 4 << 20))


def _mallopt(*settings: tuple[int, int]) -> bool:
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all([mallopt(key, value) == 1 for key, value in settings])
