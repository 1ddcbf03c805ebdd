"""The data folder: made for its owner alone, proved writable, and held by one process at a time.

The lock is the operating system's, so a process that was killed leaves nothing to clean up. `host-stt.pid`
beside it is only there to name the other process in the message. A full disk keeps no server from starting:
text goes on, and `/ready` says what cannot be kept.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from host_stt_cli.errors import StartError

logger = logging.getLogger(__name__)

LOCK_NAME = "host-stt.lock"
PID_NAME = "host-stt.pid"


FULL = {errno.ENOSPC, errno.EDQUOT}


def keep_private() -> None:
    """Make every new file and folder of this process its owner's alone: they hold people's speech."""
    os.umask(0o077)


@contextmanager
def hold(folder: Path, *, is_needed: bool = True) -> Iterator[Path]:
    """The absolute data folder, ours until the block ends. Raises StartError when it cannot be.

    is_needed: False does with a folder that cannot be written: the record is in memory, and nothing is kept.
    """
    folder = folder.expanduser().absolute()
    try:
        make_writable(folder)
    except StartError as error:
        if is_needed:
            raise
        logger.warning("%s The record is in memory, so this goes on; nothing is kept.", error.message)
        yield folder
        return
    lock = FileLock(folder / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StartError(
            f"another host-stt{_other(folder)} already uses the data folder {folder}; "
            "stop it, or give this one its own with --set data.dir=FOLDER."
        ) from error
    except OSError as error:
        if error.errno not in FULL:
            raise _unusable(folder, error) from error
        logger.warning("the disk of %s is full; this goes on without a lock on the folder", folder)
    try:
        _write_pid(folder)
        yield folder
    finally:
        (folder / PID_NAME).unlink(missing_ok=True)
        lock.release()


def make_writable(folder: Path) -> None:
    """Make the folder if it is not there, and write a file to be sure: root passes every permission check."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if error.errno in FULL and folder.is_dir():
            return
        raise _unusable(folder, error) from error


def warn_of_readers(folder: Path) -> None:
    """Log a warning when other users of this machine can look into the folder."""
    try:
        mode = stat.S_IMODE(folder.stat().st_mode)
    except OSError:
        return
    if mode & stat.S_IRWXO:
        logger.warning(
            "every user of this machine can look into the data folder %s (mode %03o), which holds what was "
            "said; `chmod -R go-rwx %s` ends that",
            folder,
            mode,
            folder,
        )


def _write_pid(folder: Path) -> None:
    """Keep the process number for the message to a second server. It may fail: nothing depends on it."""
    try:
        (folder / PID_NAME).write_text(f"{os.getpid()}\n", encoding="ascii")
    except OSError as error:
        logger.warning("%s cannot be written: %s", folder / PID_NAME, error.strerror)


def _unusable(folder: Path, error: OSError) -> StartError:
    reason = (error.strerror or str(error)).lower()
    return StartError(
        f"the data folder {folder} cannot be written ({reason}); "
        "mend that, or choose another with --set data.dir=FOLDER."
    )


def _other(folder: Path) -> str:
    try:
        return f" (process {int((folder / PID_NAME).read_text(encoding='ascii'))})"
    except (OSError, ValueError):
        return ""
