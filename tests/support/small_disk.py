"""A disk that is full soon, or cannot be written: a tmpfs of a given size. Needs root, as mounting does."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size_kb: int, *, read_only: bool = False) -> Iterator[Path]:
    """Mount `size_kb` KiB at `folder` until the block ends; the test is skipped where that is refused."""
    folder.mkdir()
    options = f"size={size_kb}k" + (",ro" if read_only else "")
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk of its own for this test: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
