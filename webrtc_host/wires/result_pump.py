"""Brings the results of a connection's channels to its codec, in the order of the event log.

It reads the events as a watcher does: after they are saved, and with interims that newer ones replace. The
coverage of the channels, and marks such as the end of a forced utterance, are passed on only after all events
that came before them. Invariant: nothing waits here without a bound; a client that does not read results
is disconnected, and its audio is transcribed all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

from webrtc_host.desk.subscribers import End as WatcherEnd
from webrtc_host.desk.subscribers import Subscribers, Watcher
from webrtc_host.errors import Overloaded
from webrtc_host.events import Event
from webrtc_host.seams import ms_of
from webrtc_host.session.channel import Channel
from webrtc_host.session.session import Session
from webrtc_host.transcript.event_codec import UnreadableEvent, decode
from webrtc_host.transcript.event_log import EncodedEvent, LoggedEvent
from webrtc_host.wires.messages import Result, StreamClock, Tick
from webrtc_host.wires.results import ClientTime, StreamResults

TICK_S = 0.1
BATCH_EVENTS = 32
EARLIER_MAX = 10_000
"""Events that wait while another source is opened; a watcher holds fewer."""
MARKS_MAX = 1000
"""Marks that wait for events to be saved; one for each tick and stream is usual."""
FLUSH_S = 3.0
"""For the last results, after the channels have closed and everything is saved."""

FLUSH_POLL_S = 0.01

Deliver = Callable[[list[Result]], Awaitable[None]]


class HeardStream(Protocol):
    """A channel whose results the client gets; `source.Stream` is one."""

    @property
    def name(self) -> str: ...

    @property
    def channel(self) -> Channel: ...

    @property
    def time(self) -> ClientTime: ...

    def clock(self) -> StreamClock: ...


class HeardSource(Protocol):
    @property
    def streams(self) -> Sequence[HeardStream]: ...


class ResultPump:
    """The results of one connection. `run` is its task; `flush` ends it in order."""

    def __init__(self, subscribers: Subscribers, session: Session, caller: str, deliver: Deliver) -> None:
        """deliver: passes results to the codec and sends its frames.

        Raises Overloaded when there are too many watchers.
        """
        self._session = session
        self._deliver = deliver
        self._subscribers = subscribers
        self._caller = caller
        self._watcher: Watcher = subscribers.join(session.log, frozenset(), caller=caller)
        self._earlier: list[EncodedEvent] = []  # taken from the watcher before the present one
        self._results: dict[str, StreamResults] = {}  # by channel
        self._streams: dict[str, HeardStream] = {}  # by channel
        self._covered: dict[str, int] = {}
        self._marks: deque[tuple[int, Callable[[], list[Result]]]] = deque(maxlen=MARKS_MAX)

    def add(self, source: HeardSource, connection: str) -> None:
        """Give the results of a source's channels from now on."""
        for stream in source.streams:
            channel = stream.channel
            from_ms = ms_of(channel.end_sample)
            self._results[channel.id] = StreamResults(stream.name, connection, stream.time, from_ms)
            self._streams[channel.id] = stream
        self._earlier += self._watcher.take(EARLIER_MAX)
        # No await between the two watchers, so no event falls between them.
        self._subscribers.leave(self._watcher)
        self._watcher = self._subscribers.join(
            self._session.log, frozenset(self._streams), caller=self._caller
        )

    def mark(self, result: Result) -> None:
        """Give this result after everything that is in the log by now."""
        self._marks.append((self._session.log.head_seq, lambda: [result]))

    async def run(self) -> None:
        """Pass on results until cancelled. Raises Overloaded when the client does not read them."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._watcher.wait()
            await self._pass_on()
            if self._watcher.end is not None:
                if self._watcher.end is WatcherEnd.OVERFLOW:
                    raise Overloaded("too_slow", "the results were not read", retry_after_s=1.0)
                return
            await asyncio.sleep(0)

    async def flush(self, seq: int) -> None:
        """Pass on everything up to the event `seq`, as far as it is saved in time."""
        self._note_coverage()
        deadline_s = asyncio.get_running_loop().time() + FLUSH_S
        log = self._session.log
        while log.visible_seq < seq or self._watcher.has_waiting or self._marks:
            await self._pass_on()
            if self._watcher.end is not None or asyncio.get_running_loop().time() > deadline_s:
                return
            await asyncio.sleep(FLUSH_POLL_S)  # the events become visible when the record has saved them

    def close(self) -> None:
        self._subscribers.leave(self._watcher)

    async def _pass_on(self) -> None:
        """Pass on the waiting events, then the marks that they do not hold back, then the time."""
        self._note_coverage()
        earlier, self._earlier = self._earlier, []
        await self._give(result for event in earlier for result in self._results_of(event))
        await self._watcher.refill()
        while events := self._watcher.take(BATCH_EVENTS):
            await self._give(result for event in events for result in self._results_of(event))
            await self._watcher.refill()
        await self._give(result for due in self._due_marks() for result in due())
        clocks = {stream.name: stream.clock() for stream in self._streams.values()}
        await self._give([Tick(clocks)])

    async def _give(self, results: Iterable[Result]) -> None:
        if given := list(results):
            await self._deliver(given)

    def _results_of(self, encoded: EncodedEvent) -> list[Result]:
        if encoded.channel is None or (results := self._results.get(encoded.channel)) is None:
            return []
        event = _event_of(encoded)
        return [] if event is None else results.of(event)

    def _note_coverage(self) -> None:
        """Note how far the channels are decided; it is valid for the client after the events so far."""
        seq = self._session.log.head_seq
        for channel_id, stream in self._streams.items():
            if self._results[channel_id].is_closed:
                continue  # another connection may feed the channel by now
            covered_ms = stream.channel.coverage.covered_to_ms
            if covered_ms > self._covered.get(channel_id, -1) and stream.time.is_placed:
                self._covered[channel_id] = covered_ms
                results = self._results[channel_id]
                self._marks.append((seq, partial(results.settled, covered_ms)))

    def _due_marks(self) -> Iterable[Callable[[], list[Result]]]:
        while self._marks and self._marks[0][0] <= self._session.log.visible_seq:
            if self._watcher.has_waiting:
                return
            yield self._marks.popleft()[1]


def _event_of(encoded: EncodedEvent) -> Event | None:
    if isinstance(encoded, LoggedEvent):
        return encoded.event
    try:
        return decode(encoded.data).event
    except UnreadableEvent:
        return None
