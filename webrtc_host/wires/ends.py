"""Ends of utterances and of sources that a client asks for, made beside the reading of its socket.

Invariants: of one stream, one end is made at a time; the others wait, at most `FORCES_MAX`. A source is
finished once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from webrtc_host.errors import Overloaded
from webrtc_host.wires.inputs import Inputs
from webrtc_host.wires.messages import Forced, ForceEnd, SourceFinished
from webrtc_host.wires.source import Source, Stream

FORCES_MAX = 64
"""Ends of utterances that wait for one that is being made."""

Tasks = dict[str, asyncio.Task[None]]


Failed = Callable[[BaseException, str], None]
"""Called with an error, and what failed in words."""


class Ends:
    """Results that follow an end, such as `Forced`, go through the pump of the inputs.

    It keeps no `failed` callback: that leads back to the conversation, which would then be freed only by the
    garbage collector, with its connection.
    """

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._forcing: Tasks = {}  # by stream
        self._marks: dict[str, deque[str]] = {}  # of the ends that a task of `_forcing` still has to make
        self._finishing: Tasks = {}  # by source

    def force(self, action: ForceEnd, failed: Failed) -> None:
        """End running utterances. Without a mark, one that is being ended already is not ended twice.

        failed: gets an error of this work. Raises Overloaded when too many ends of a stream wait.
        """
        for source in self._inputs.open_sources:
            for stream in source.streams:
                if action.stream not in (None, stream.name):
                    continue
                if stream.name not in self._forcing:
                    marks = self._marks[stream.name] = deque((action.mark,))
                    self._start(self._forcing, stream.name, self._force(source, stream, marks), failed)
                elif action.mark:
                    self._also_force(stream.name, action.mark)

    def finish(self, name: str, failed: Failed) -> None:
        """Close the channels of a source, if it is open."""
        source = self._inputs.sources.get(name)
        if source is not None and not source.is_closed and name not in self._finishing:
            self._start(self._finishing, name, self._close(source), failed)

    async def stop(self) -> None:
        """Give up the ends of utterances, and wait for the sources that are being finished."""
        for task in list(self._forcing.values()):
            await cancelled(task)
        if finishing := set(self._finishing.values()):
            await asyncio.wait(finishing)  # a channel that is being closed frees itself

    def _also_force(self, stream: str, mark: str) -> None:
        if len(self._marks[stream]) >= FORCES_MAX:
            raise Overloaded(
                "too_many_commits", f"{FORCES_MAX} ends of utterances wait already", retry_after_s=1.0
            )
        self._marks[stream].append(mark)

    async def _force(self, source: Source, stream: Stream, marks: deque[str]) -> None:
        """End an utterance once for each mark; more marks may come meanwhile."""
        while marks:
            mark = marks.popleft()
            await source.force_end(stream)
            if self._inputs.pump is not None:
                self._inputs.pump.mark(Forced(stream.name, mark))

    async def _close(self, source: Source) -> None:
        await self._inputs.close_source(source)
        if self._inputs.pump is not None:
            self._inputs.pump.mark(SourceFinished(source.name))

    def _start(self, tasks: Tasks, key: str, work: Coroutine[Any, Any, None], failed: Failed) -> None:
        """Do the work in a task; it is in `tasks` until it is done."""
        task = tasks[key] = asyncio.create_task(work, name=f"end {key} of socket")

        def done(finished: asyncio.Task[None]) -> None:
            tasks.pop(key, None)
            if not finished.cancelled() and (error := finished.exception()) is not None:
                failed(error, "a socket failed at the end of an utterance or a source")

        task.add_done_callback(done)


async def cancelled(task: asyncio.Task[Any] | None) -> None:
    """Cancel a task, unless it is the calling one, and wait for its end."""
    if task is not None and task is not asyncio.current_task():
        task.cancel()
        await asyncio.wait({task})
