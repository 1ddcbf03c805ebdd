"""The steps of the server's life: started in order, stopped in reverse, and never left half started."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from webrtc_host.life import Step, living, task


class Diary:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, name: str, *, fails_at: str = "") -> Step:
        @asynccontextmanager
        async def running() -> AsyncIterator[None]:
            self._write(f"{name} starts", fails_at)
            try:
                yield
            finally:
                self._write(f"{name} stops", fails_at)

        return Step(name, running)

    def _write(self, line: str, fails_at: str) -> None:
        self.lines.append(line)
        if fails_at and line.endswith(fails_at):
            raise OSError(f"it failed when {line}")


async def test_steps_start_in_order_and_stop_in_reverse() -> None:
    diary = Diary()
    async with living([diary.step("record"), diary.step("archive")]):
        diary.lines.append("callers")
    assert diary.lines == ["record starts", "archive starts", "callers", "archive stops", "record stops"]


async def test_when_a_step_cannot_start_those_before_it_stop_and_later_ones_never_start() -> None:
    diary = Diary()
    steps = [diary.step("record"), diary.step("archive", fails_at="starts"), diary.step("recovery")]
    with pytest.raises(OSError, match="it failed when archive starts"):
        async with living(steps):
            diary.lines.append("callers")
    assert diary.lines == ["record starts", "archive starts", "record stops"]


async def test_a_step_that_fails_at_its_stop_does_not_keep_the_others_from_stopping() -> None:
    diary = Diary()
    with pytest.raises(OSError, match="it failed when archive stops"):
        async with living([diary.step("record"), diary.step("archive", fails_at="stops")]):
            pass
    assert diary.lines[-2:] == ["archive stops", "record stops"]


async def test_a_task_is_cancelled_at_the_stop_and_its_error_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    started, ended, failed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def for_ever() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def broken() -> None:
        failed.set()
        raise ValueError("no such thing")

    with caplog.at_level(logging.ERROR):
        async with living([task("for ever", for_ever), task("broken", broken)]):
            await asyncio.gather(started.wait(), failed.wait())
            assert not ended.is_set()
    assert ended.is_set()
    assert [record.getMessage() for record in caplog.records] == ["the task broken failed"]
