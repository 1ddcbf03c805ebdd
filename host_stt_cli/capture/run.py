"""Run all inputs of `host-stt capture`: for each a source, a backlog and a line, until all have ended."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp

from host_stt_cli.capture.backlog import Backlog
from host_stt_cli.capture.inputs import CardInput, MediaInput
from host_stt_cli.capture.line import RESEND_S, Line, LineRefused
from host_stt_cli.capture.media import SourceError
from host_stt_cli.capture.media_source import MediaSource
from host_stt_cli.capture.sound_card import SoundCard, load_library
from host_stt_cli.capture.status import Status
from host_stt_cli.job_client import CONNECT_S, ServerOptions

STOP_S = 15.0
"""At the end, for the last words of all channels."""


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """session: the id of a session; empty: the server's current one.

    device: a number or a part of a name; empty: the default device. library: instead of `sounddevice`.
    """

    server: ServerOptions
    media: tuple[MediaInput, ...]
    card: tuple[CardInput, ...] = ()
    device: str = ""
    library: Any = None
    language: str = ""
    session: str = ""

    def fields(self) -> dict[str, Any]:
        fields = {"language": self.language, "session": self.session}
        return {name: value for name, value in fields.items() if value}


async def run_capture(options: CaptureOptions, stop: asyncio.Event) -> bool:
    """Send all inputs until they have ended or `stop` is set. False: at least one was refused."""
    status = Status(is_terminal=sys.stderr.isatty())
    token = options.server.token
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as http:
        media = [Run(options, one, http, status) for one in options.media]
        cards = {one.number: Run(options, one, http, status) for one in options.card}
        beside = [asyncio.create_task(_report(status), name="capture status")]
        if cards:
            card = _sound_card(options, {number: run.backlog for number, run in cards.items()}, status)
            beside.append(asyncio.create_task(card.run(), name="capture sound card"))
        try:
            return await _all([*media, *cards.values()], stop)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            status.close()


def _sound_card(options: CaptureOptions, backlogs: Mapping[int, Backlog], status: Status) -> SoundCard:
    """Raises StartError when the device is not as the options say."""
    channels = ", ".join(one.channel for one in options.card)
    library = options.library or load_library()
    card = SoundCard(library, options.device, backlogs, partial(status.tell, channels))
    card.check()
    return card


class Run:
    """One channel."""

    def __init__(
        self,
        options: CaptureOptions,
        source: MediaInput | CardInput,
        http: aiohttp.ClientSession,
        status: Status,
    ) -> None:
        channel = source.channel
        self._source, self._channel, self._status = source, channel, status
        self.backlog = Backlog(RESEND_S)
        self._line = Line(http, options.server.server, options.fields(), channel, self.backlog, self._tell)
        self._sourcing: asyncio.Task[None] | None = None
        status.add(channel, self._line, self.backlog)

    async def run(self) -> bool:
        """False: the server refused the channel, or the source cannot be read."""
        self._sourcing = asyncio.create_task(self._play(), name=f"source {self._channel}")
        try:
            await self._line.run()
            self.backlog.confirm(self.backlog.sent)
        except LineRefused as error:
            self._tell(f"is refused: {error}")
            return False
        finally:
            self.backlog.abandon()
            self.end_source()
            (result,) = await asyncio.gather(self._sourcing, return_exceptions=True)
            self._status.end(self._channel)
        if isinstance(result, SourceError):
            self._tell(f"cannot read its source: {result}")
            return False
        if isinstance(result, Exception):
            raise result
        self._tell("ended")
        return True

    async def _play(self) -> None:
        if isinstance(self._source, MediaInput):
            await MediaSource(self._source, self._line, self.backlog, self._tell).run()
            return
        try:
            await asyncio.Event().wait()  # the sound card fills the backlog until this task is cancelled
        finally:
            self.backlog.finish()

    @property
    def is_sending(self) -> bool:
        return self._line.is_open

    def end_source(self) -> None:
        """The line then sends what is left, and ends."""
        if self._sourcing is not None:
            self._sourcing.cancel()

    def _tell(self, text: str) -> None:
        self._status.tell(self._channel, text)


async def _all(runs: Sequence[Run], stop: asyncio.Event) -> bool:
    """Wait for all channels; after `stop`, for the last words of those that have a connection."""
    tasks = {asyncio.create_task(run.run(), name="capture channel"): run for run in runs}
    stopping = asyncio.create_task(stop.wait(), name="capture stop")
    running: set[asyncio.Task[bool]] = set(tasks)
    try:
        while running and not stopping.done():
            await asyncio.wait([*running, stopping], return_when=asyncio.FIRST_COMPLETED)
            running = {task for task in running if not task.done()}
        for task in running:
            if tasks[task].is_sending:
                tasks[task].end_source()
            else:
                task.cancel()
        if running:
            await asyncio.wait(running, timeout=STOP_S)
        return all(task.result() for task in tasks if task.done() and not task.cancelled())
    finally:
        for task in tasks:
            task.cancel()
        stopping.cancel()
        await asyncio.gather(*tasks, stopping, return_exceptions=True)


async def _report(status: Status) -> None:
    while True:
        await asyncio.sleep(1.0)
        status.report()


@contextmanager
def stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGINT and SIGTERM set `stop` while the body runs."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
