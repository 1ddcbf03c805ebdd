"""What only Python's cycle collector can free: less of it, and freed sooner."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from host_stt_common.garbage import clear_tracebacks


def caught() -> ValueError:
    """An exception with a cause and a context, each with its frames."""
    try:
        try:
            int("x")
        except ValueError as error:
            raise KeyError("y") from error
    except KeyError:
        try:
            float("z")
        except ValueError as error:
            return error
    raise AssertionError


def test_the_frames_of_an_exception_and_of_its_causes_are_released() -> None:
    error = caught()
    context = error.__context__
    assert context is not None and context.__cause__ is not None
    assert all(one.__traceback__ is not None for one in (error, context, context.__cause__))
    clear_tracebacks(error)
    assert all(one.__traceback__ is None for one in (error, context, context.__cause__))


def test_exceptions_that_lead_to_each_other_come_to_an_end() -> None:
    one, other = caught(), caught()
    one.__context__, other.__context__ = other, one
    clear_tracebacks(one)
    assert one.__traceback__ is None and other.__traceback__ is None
    clear_tracebacks(None)


FULL_COLLECTIONS = """
    import gc
    from host_stt_common.garbage import freeze_startup_objects

    kept = [[] for _ in range(600_000)]
    gc.collect()
    if {is_set_apart}:
        freeze_startup_objects()
    before = gc.get_stats()[2]["collections"]
    more = [[] for _ in range(100_000)]
    print(gc.get_stats()[2]["collections"] - before)
"""


def full_collections(is_set_apart: bool) -> int:
    """While 100,000 objects come to 600,000 others; in a process of its own, as it changes the collector."""
    code = textwrap.dedent(FULL_COLLECTIONS.format(is_set_apart=is_set_apart))
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return int(done.stdout)


def test_objects_of_the_start_do_not_delay_a_full_collection() -> None:
    assert full_collections(is_set_apart=False) == 0
    assert full_collections(is_set_apart=True) > 0
