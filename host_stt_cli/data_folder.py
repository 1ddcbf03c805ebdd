"""The data folder: made readable for its owner only, checked to be writable, and used by one process at a
time.

The lock belongs to the operating system, so a killed process leaves no lock behind. `host-stt.pid` is only
there to name the other process in an error. A full disk does not stop a server from starting: transcription
continues, and `/ready` reports what cannot be stored.
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
    """Make all new files and folders of this process private to its owner: they contain people's speech."""
    os.umask(0o077)


@contextmanager
def hold(folder: Path, *, is_needed: bool = True) -> Iterator[Path]:
    """Lock the data folder until the block ends; yields its absolute path. Raises StartError if it fails.

    is_needed: False accepts a folder that cannot be written, because the record is in memory.
    """
    folder = folder.expanduser().absolute()
    try:
        make_writable(folder)
    except StartError as error:
        if is_needed:
            raise
        logger.warning("%s The record is in memory, so the server starts; it stores nothing.", error.message)
        yield folder
        return
    lock = FileLock(folder / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StartError(
            f"another host-stt{_other(folder)} already uses the data folder {folder}; "
            "stop it, or give this one another folder with --set data.dir=FOLDER."
        ) from error
    except OSError as error:
        if error.errno not in FULL:
            raise _unusable(folder, error) from error
        logger.warning("the disk of %s is full; the server starts without a lock on the folder", folder)
    try:
        _write_pid(folder)
        yield folder
    finally:
        (folder / PID_NAME).unlink(missing_ok=True)
        lock.release()


def make_writable(folder: Path) -> None:
    """Make the folder if missing, and write a file as a test, because permission bits do not stop root."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if error.errno in FULL and folder.is_dir():
            return
        raise _unusable(folder, error) from error


def warn_of_readers(folder: Path) -> None:
    """Log a warning if other users of this machine can read the folder."""
    try:
        mode = stat.S_IMODE(folder.stat().st_mode)
    except OSError:
        return
    if mode & stat.S_IRWXO:
        logger.warning(
            "every user of this machine can read the data folder %s (mode %03o), which contains what was "
            "said; run `chmod -R go-rwx %s`",
            folder,
            mode,
            folder,
        )


def _write_pid(folder: Path) -> None:
    """Write the process number for the error of a second server. A failure has no other consequence."""
    try:
        (folder / PID_NAME).write_text(f"{os.getpid()}\n", encoding="ascii")
    except OSError as error:
        logger.warning("%s cannot be written: %s", folder / PID_NAME, error.strerror)


def _unusable(folder: Path, error: OSError) -> StartError:
    reason = (error.strerror or str(error)).lower()
    return StartError(
        f"the data folder {folder} cannot be written ({reason}); "
        "make it writable, or choose another with --set data.dir=FOLDER."
    )


def _other(folder: Path) -> str:
    try:
        return f" (process {int((folder / PID_NAME).read_text(encoding='ascii'))})"
    except (OSError, ValueError):
        return ""
