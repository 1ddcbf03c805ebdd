"""The thread in which recordings are read: one, of low priority, and shared in turns."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import aclosing
from pathlib import Path

import numpy as np

from host_stt.contract import SAMPLE_RATE
from host_stt.engines.fake import FakeEngine
from host_stt.files.job import FileJob, FileOptions
from host_stt.files.reader import NICENESS, reader
from tests.host_stt.test_files_job import ready
from tests.support.recordings import spoken_phrases, write_wav


def test_recordings_are_read_in_one_thread_of_low_priority() -> None:
    def who() -> tuple[int, int]:
        return threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    seen = {future.result() for future in [reader().submit(who) for _ in range(8)]}
    assert len(seen) == 1 and next(iter(seen))[1] == min(19, max(own, NICENESS))
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own


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


async def _read(job: FileJob) -> None:
    async with aclosing(job.stretches()) as stretches:
        async for _ in stretches:
            pass
