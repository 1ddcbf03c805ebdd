"""Play a file or a URL into the backlog of a channel, at the speed of speech.

A recording waits while its line has no connection, so nothing of it is lost. A live source does not wait: its
newest seconds are kept. A URL that fails or ends is opened again, after a time that doubles up to a limit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from host_stt_cli.capture.backlog import RATE, SAMPLE_BYTES, Backlog, SoundBlock
from host_stt_cli.capture.inputs import MediaInput
from host_stt_cli.capture.line import Line
from host_stt_cli.capture.media import MediaReader, SourceError
from host_stt_cli.capture.source_time import SourceTime
from host_stt_cli.engine_process import Backoff


class Reader(Protocol):
    """As `MediaReader`. The methods block, and are called in one thread."""

    @property
    def is_live(self) -> bool: ...

    def read(self) -> bytes | None: ...

    def close(self) -> None: ...


class MediaSource:
    def __init__(
        self,
        source: MediaInput,
        line: Line,
        backlog: Backlog,
        tell: Callable[[str], None],
        *,
        open_reader: Callable[[MediaInput], Reader] = MediaReader,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """tell: called with each change, in words. clock: the one of the line."""
        self._source = source
        self._line = line
        self._backlog = backlog
        self._tell = tell
        self._open_reader = open_reader
        self._backoff = backoff or Backoff(first_s=1.0, max_s=30.0)
        self._clock = clock
        # A thread of its own: a source that does not answer must not stop the others.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"capture-{source.channel}")

    async def run(self) -> None:
        """Play until the recording has ended; a live source until the task is cancelled.

        Raises SourceError when a file cannot be read. The backlog is finished in every case.
        """
        try:
            await self._play_again_and_again()
        finally:
            self._backlog.finish()
            self._thread.shutdown(wait=False)

    async def _play_again_and_again(self) -> None:
        wait_s, told = 0.0, ""
        while True:
            began_s, before_s = self._clock(), self._backlog.taken_s
            try:
                if await self._play():
                    return
                reason = "the source ended"
            except SourceError as error:
                if error.is_final:
                    raise
                reason = str(error)
            if self._backlog.taken_s > before_s:
                told = ""
            wait_s = self._backoff.after(wait_s, self._clock() - began_s)
            if reason != told:
                self._tell(f"waits for its source {self._source.name}: {reason}")
            told = reason
            await asyncio.sleep(wait_s)

    async def _play(self) -> bool:
        """Play the source once. True: it was a recording, and it was played to its end."""
        loop = asyncio.get_running_loop()
        reader = await loop.run_in_executor(self._thread, self._open_reader, self._source)
        try:
            self._tell(f"plays {self._source.name}")
            times = SourceTime()
            while True:
                if not (reader.is_live or self._line.is_open):
                    await self._line.opened()
                    times.restart()
                data = await loop.run_in_executor(self._thread, reader.read)
                if data is None:
                    return not reader.is_live
                await self._put(data, times)
        except SourceError as error:
            if not (reader.is_live or error.is_final):  # the start would be played a second time
                raise SourceError(f"it broke off: {error}", is_final=True) from error
            raise
        finally:
            # In its thread, after a read that is still running.
            self._thread.submit(reader.close)

    async def _put(self, data: bytes, times: SourceTime) -> None:
        end_s = times.place(len(data) / SAMPLE_BYTES / RATE, self._clock())
        if (wait_s := end_s - self._clock()) > 0:
            await asyncio.sleep(wait_s)
        self._backlog.put(SoundBlock(data, end_s))
