"""Takes a recorded call into its channel: decodes it, finds its place, archives it and queues it for reading.

The forms are read elsewhere (`rdio_form`, `openmhz_form`); `recovery.recorded_calls` transcribes. A call lies
at its true time on the session's clock. Invariant: no time of a channel has two calls; a call that was taken
is archived, or in the queue, when `take` returns.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Protocol
from weakref import WeakKeyDictionary

from host_stt.contract import SAMPLE_RATE, Float32Array
from webrtc_host.doors.push import RETRY_AFTER_S, SPACE_WAIT_S, Archive, Reservation
from webrtc_host.doors.radio.calls import Call
from webrtc_host.doors.radio.talkgroups import Talkgroups
from webrtc_host.doors.upload_tracks import read_recording
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.events import Talker
from webrtc_host.recovery.audio import Run
from webrtc_host.seams import Block, ms_of
from webrtc_host.session.channel import Channel, ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.session import Session

WHOLE_SECOND_SAMPLES = SAMPLE_RATE
"""Most senders give the start in whole seconds, so a call can seem to begin a second before the end of the
call before it. Such a call is put directly behind that call.
"""
NEW_SESSION_AGE_S_MAX = 3600.0
"""A session that begins with a call from before its own time is at most so old at its start."""
SHORT_SAMPLES = SAMPLE_RATE // 5  # a part between other audio that is too short for a word
AHEAD_S_MAX = 60.0
"""The clock of a sender may be ahead by so much; its call is then put at the present."""
CallKey = tuple[str, tuple[str, ...], int, float, int]
"""Session and channel, names of the system, talkgroup, start in seconds, samples."""
REMEMBERED_MAX = 10_000  # calls by which a second upload is recognised


class TakesCalls(Protocol):
    """`recovery.recorded_calls` implements it."""

    def check_space(self, samples: int = 0) -> None: ...

    async def take(self, channel: Channel, runs: Sequence[Run], talkers: Sequence[Talker]) -> None: ...


@dataclass(frozen=True, slots=True)
class Taken:
    """A call that was taken, or is known. is_duplicate: the channel had it already."""

    session: str
    channel: str
    is_duplicate: bool
    start_ms: int = 0
    seconds: float = 0.0


class CallImporter:
    def __init__(
        self,
        registry: SessionRegistry,
        talkgroups: Talkgroups,
        calls: TakesCalls,
        *,
        wall: Callable[[], float],
        call_s_max: int,
        archive: Archive | None = None,
        executor: Executor | None = None,
    ) -> None:
        """wall: seconds since 1970. archive: None: no audio is archived. executor: threads that decode."""
        self._registry, self._calls, self._wall = registry, calls, wall
        self.talkgroups = talkgroups
        self._call_s_max, self._archive, self._executor = call_s_max, archive, executor
        self._remembered: OrderedDict[CallKey, None] = OrderedDict()
        self._turns: WeakKeyDictionary[Channel, asyncio.Lock] = WeakKeyDictionary()

    async def take(self, call: Call, audio: bytes, name: str, by: str | None) -> Taken:
        """Returns when the call is safe; its text comes later, as finals of its channel.

        name: of the file. by: the name of the caller's token. Raises RequestError: 403 the talkgroup has no
        channel, 413 too long, 415 and 422 no audio that can be read, 422 the time is not possible. Raises
        Overloaded.
        """
        self.talkgroups.check(call.systems, call.talkgroup)
        self._calls.check_space()
        age_s = self._wall() - call.start_s
        session = self._session(age_s)
        spec = self.talkgroups.channel_of(session, call.systems, call.talkgroup, call.label)
        channel = self._registry.channel(session, spec.channel or "")
        read = partial(read_recording, audio, self._call_s_max, name=name)
        samples = (await asyncio.get_running_loop().run_in_executor(self._executor, read)).samples
        self._calls.check_space(len(samples))
        async with self._turns.setdefault(channel, asyncio.Lock()):
            key = (channel.session.id + channel.id, call.systems, call.talkgroup, call.start_s, len(samples))
            pauses = [(round(at_s * SAMPLE_RATE), round(s * SAMPLE_RATE)) for at_s, s in call.pauses()]
            start = self._start(session, call, len(samples) + sum(length for _, length in pauses))
            start += _late(channel, _cut(start, samples, pauses)[0])
            runs = [] if key in self._remembered else _free_parts(channel, _cut(start, samples, pauses))
            if not runs:
                return Taken(session.id, channel.id, is_duplicate=True)
            await self._keep(channel, spec, runs, _talkers(call, start, pauses), by)
            self._remember(key)
        seconds = _samples(runs) / SAMPLE_RATE
        return Taken(session.id, channel.id, False, ms_of(runs[0].start_sample), seconds)

    def _session(self, age_s: float) -> Session:
        if age_s < -AHEAD_S_MAX:
            raise RequestError(
                "call_in_the_future",
                f"the call began {-age_s:.0f} s after the present of this server; check both clocks",
                422,
            )
        # A new session begins with the call: otherwise its first call would lie before its t = 0.
        return self._registry.current(min(max(0.0, age_s), NEW_SESSION_AGE_S_MAX))

    def _start(self, session: Session, call: Call, samples: int) -> int:
        """The first sample on the session's timeline. Raises RequestError 422 before the session's t = 0."""
        now = session.now_sample()
        start = now - round((self._wall() - call.start_s) * SAMPLE_RATE)
        if start < -WHOLE_SECOND_SAMPLES:
            raise RequestError(
                "before_session",
                f"the call began {-start / SAMPLE_RATE:.0f} s before the session {session.id} did",
                422,
            )
        return max(0, min(start, now - samples))

    async def _keep(
        self,
        channel: Channel,
        spec: ChannelSpec,
        runs: Sequence[Run],
        talkers: Sequence[Talker],
        by: str | None,
    ) -> None:
        """Reserve the time, archive the audio, write the events of the channel, and queue the call."""
        with ExitStack() as stack:
            for run in runs:
                stack.enter_context(channel.reserve(run.start_sample, run.end_sample))
            spaces = [await self._space_for(run, stack) for run in runs]
            self._announce(channel, spec, runs[0].start_sample, runs[-1].end_sample, by)
            for run, space in zip(runs, spaces, strict=True):
                if space is not None:
                    space.keep(channel.session.id, channel.id, Block(run.start_sample, run.samples))
                channel.note_received(run.start_sample, run.end_sample)
            await self._calls.take(channel, runs, talkers)

    async def _space_for(self, run: Run, stack: ExitStack) -> Reservation | None:
        """Space in the archive, freed at the end of `stack` unless it was used. Raises Overloaded."""
        if self._archive is None:
            return None
        space = await self._archive.uploads.reserve(len(run.samples), SPACE_WAIT_S)
        if space is None:
            message = "the archive has no space for this call at the moment"
            raise Overloaded("archive_busy", message, retry_after_s=RETRY_AFTER_S)
        stack.callback(space.release)
        return space

    def _announce(
        self, channel: Channel, spec: ChannelSpec, start: int, end_sample: int, by: str | None
    ) -> None:
        """Write `channel.opened` and `channel.closed`, unless another connection feeds the channel now."""
        session = self._registry.get_live(channel.session.id)
        if channel.connection is not None:
            return

        async def end(reason: str) -> int:
            return session.log.head_seq  # never called: the connection ends before another task runs

        connection = self._registry.connect(session, DoorKind.CALL, [spec], end, by=by)
        try:
            channel.announce_opened(start)
            channel.announce_closed("read", end_sample)
        finally:
            self._registry.disconnect(connection)

    def _remember(self, key: CallKey) -> None:
        self._remembered[key] = None
        while len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)


def _free_parts(channel: Channel, runs: Sequence[Run]) -> list[Run]:
    """The parts of the audio where the channel has none yet; empty when the channel has most of it."""
    parts = [
        Run(low, run.samples[low - run.start_sample : high - run.start_sample])
        for run in runs
        for low, high in channel.unused(run.start_sample, run.end_sample)
        if high - low >= SHORT_SAMPLES
    ]
    is_new = 2 * _samples(parts) >= _samples(runs)
    return parts if is_new else []


def _samples(runs: Sequence[Run]) -> int:
    return sum(len(run.samples) for run in runs)


def _cut(start: int, samples: Float32Array, pauses: Sequence[tuple[int, int]]) -> list[Run]:
    """The parts of the audio between its pauses, each at its time."""
    cuts = [0, *(at for at, _ in pauses if 0 < at < len(samples)), len(samples)]
    return [Run(start + low + _paused(pauses, low), samples[low:high]) for low, high in pairwise(cuts)]


def _paused(pauses: Sequence[tuple[int, int]], at_sample: int) -> int:
    """Samples of all pauses up to this position of the audio."""
    return sum(length for at, length in pauses if at <= at_sample)


def _late(channel: Channel, run: Run) -> int:
    """Samples by which a call must begin later, to lie behind the call before it; else 0.

    run: its audio, or the first part of it.
    """
    free = channel.unused(run.start_sample, run.end_sample)
    late = free[0][0] - run.start_sample if free else 0
    if not 0 < late <= min(WHOLE_SECOND_SAMPLES, len(run.samples) - 1):
        return 0
    start, end = run.start_sample + late, run.end_sample + late
    return late if channel.unused(start, end) == [(start, end)] else 0


def _talkers(call: Call, start: int, pauses: Sequence[tuple[int, int]]) -> tuple[Talker, ...]:
    talkers = []
    for one in call.talkers:
        at = round(one.at_s * SAMPLE_RATE)
        talkers.append(Talker(one.id, ms_of(start + at + _paused(pauses, at)), one.label))
    return tuple(talkers)
