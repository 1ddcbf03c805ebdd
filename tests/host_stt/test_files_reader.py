"""The thread in which recordings are read: one, shared in turns, and resting while somebody speaks."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from contextlib import aclosing
from pathlib import Path

import numpy as np

from host_stt.contract import SAMPLE_RATE, Priority
from host_stt.engines.fake import FakeEngine
from host_stt.files.job import FileJob, FileOptions
from host_stt.files.reader import reader
from host_stt.service import EngineService
from tests.host_stt.test_files_job import ready
from tests.support.recordings import spoken_phrases, write_wav
from tests.support.windows import window


def test_recordings_are_read_in_one_thread_with_the_priority_of_the_process() -> None:
    def who() -> tuple[int, int]:
        return threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    seen = {future.result() for future in [reader().submit(who) for _ in range(8)]}
    assert len(seen) == 1 and next(iter(seen))[1] == own


async def test_long_silence_does_not_hold_up_another_recording(tmp_path: Path) -> None:
    service = await ready(FakeEngine())
    silent = write_wav(tmp_path / "silent.wav", np.zeros(1800 * SAMPLE_RATE, np.float32))
    spoken = write_wav(tmp_path / "spoken.wav", spoken_phrases(["alpha one hold position"])[0])
    reading = asyncio.create_task(_read(FileJob(silent, FileOptions(), service)))
    await asyncio.sleep(0)
    await _read(FileJob(spoken, FileOptions(), service))
    assert not reading.done()
    reading.cancel()
    await asyncio.wait({reading})
    await asyncio.to_thread(service.stop)


async def test_reading_rests_for_most_of_the_time_while_somebody_speaks(tmp_path: Path) -> None:
    service = await ready(FakeEngine())
    silent = write_wav(tmp_path / "silent.wav", np.zeros(60 * SAMPLE_RATE, np.float32))
    try:
        assert not _is_live(service)
        _submit(service, Priority.BACKGROUND)
        assert not _is_live(service), "windows of recordings are not live"
        # The machine may be busy with something else during one of the readings.
        alone_s = min([await _read(FileJob(silent, FileOptions(), service)) for _ in range(3)])
        talking = asyncio.create_task(_talk(service))
        await asyncio.sleep(0)
        assert _is_live(service)
        beside_s = await _read(FileJob(silent, FileOptions(), service))
        talking.cancel()
        assert beside_s > 4 * alone_s, "a tenth of the time is for reading"
    finally:
        await asyncio.to_thread(service.stop)


async def _talk(service: EngineService) -> None:
    while True:
        _submit(service, Priority.FINAL)
        await asyncio.sleep(0.3)


def _submit(service: EngineService, priority: Priority) -> None:
    service.submit(window(priority=priority), "test", lambda answer: None)


async def _read(job: FileJob) -> float:
    """Read the recording; returns the seconds that it took."""
    begin_s = time.monotonic()
    async with aclosing(job.stretches()) as stretches:
        async for _ in stretches:
            pass
    return time.monotonic() - begin_s


def _is_live(service: EngineService) -> bool:
    return service.has_live_windows
