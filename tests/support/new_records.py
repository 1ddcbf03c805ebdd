"""A new, empty record in a data folder, made once by the migrations and then copied.

The migrations take a quarter of a second of processor time; hundreds of tests begin with a new record.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from webrtc_host.transcript.database import open_database
from webrtc_host.transcript.sqlite_database import FILE_NAME


def place_record(folder: Path) -> None:
    """Put a record without rows into `folder`, unless it has a record or is not there."""
    if folder.is_dir() and not (folder / FILE_NAME).exists():
        (folder / FILE_NAME).write_bytes(_empty_record())


@functools.cache
def _empty_record() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        open_database("", Path(folder), 1).dispose()
        return (Path(folder) / FILE_NAME).read_bytes()
