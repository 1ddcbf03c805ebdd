"""A small or read-only disk: a tmpfs of a given size. Needs root, because it mounts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size_kb: int, *, read_only: bool = False) -> Iterator[Path]:
    """Mount `size_kb` KiB at `folder` until the block ends.

    If mounting is refused, the test is skipped, or fails when CI is set.
    """
    folder.mkdir()
    options = f"size={size_kb}k" + (",ro" if read_only else "")
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = f"no disk of its own for this test: {done.stderr.strip()}"
        if os.environ.get("CI"):  # a run without these tests proves nothing about full disks
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
