"""One share of the processor for a server and the script that measures it.

Linux first shares the processor between sessions of processes (`kernel.sched_autogroup_enabled`), and the
engine has a session of its own. On a machine with other work, it may get much less than the media server.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

OWN = Path("/proc/self/autogroup")


def use_one_group(pid: int) -> None:
    """Give the sessions of this process and its children the nice value of our own session.

    Does nothing where the system has no such groups, or does not allow it.
    """
    with contextlib.suppress(OSError, psutil.NoSuchProcess):
        nice = OWN.read_text(encoding="ascii").split()[-1]  # such as: /autogroup-123 nice 0
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            Path(f"/proc/{process.pid}/autogroup").write_text(nice, encoding="ascii")
