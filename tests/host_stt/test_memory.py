"""That large blocks are kept is seen by what they cost: page faults, counted in a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from host_stt.memory import keep_freed_memory, keep_window_memory

IS_GLIBC = platform.libc_ver()[0] == "glibc"
COUNT = """
import resource, sys
import host_stt.memory as memory
if sys.argv[1]:
    getattr(memory, sys.argv[1])()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    a, b = bytes(320_000), bytes(320_000)
    del a, b
before = faults()
for _ in range(100):
    a, b = bytearray(b"x") * 320_000, bytearray(b"x") * 320_000
    del a, b
print(faults() - before)
"""


def faults(setting: str) -> int:
    said = subprocess.run(
        [sys.executable, "-c", COUNT, setting], capture_output=True, text=True, check=True, timeout=60
    )
    return int(said.stdout)


@pytest.mark.parametrize("setting", ["keep_freed_memory", "keep_window_memory"])
def test_windows_cost_no_page_faults_once_memory_is_kept(setting: str) -> None:
    assert not IS_GLIBC or faults("") > 5000
    assert not IS_GLIBC or faults(setting) < 500


def test_glibc_agrees_and_others_are_left_alone() -> None:
    assert keep_window_memory() is IS_GLIBC
    assert keep_freed_memory() is IS_GLIBC
