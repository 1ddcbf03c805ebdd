"""One call by WebRTC with messages: its codec, the channel that it feeds, and the outputs of its events.

The peer connection (`transport.peer`) brings the audio. Events go to the data channel of the client, and to
WebSockets that follow the call, where the protocol has these. Invariants: an output that does not take its
frames ends; after `closed` no task of the call is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from aiortc import RTCDataChannel

from host_stt_common.rates import Bucket
from webrtc_host.doors.control import Unreadable
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.session.channel import Channel, ChannelSpec
from webrtc_host.session.connection import Connection
from webrtc_host.session.session import Session
from webrtc_host.wires.messages import (
    STOPPED,
    Action,
    Codec,
    End,
    Finish,
    Forced,
    ForceEnd,
    Frame,
    Opened,
    Result,
    Say,
    SetLanguage,
    SetTerms,
    StreamClock,
)
from webrtc_host.wires.result_pump import ResultPump
from webrtc_host.wires.site import Site

logger = logging.getLogger(__name__)

BUFFER_BYTES_MAX = 256 * 1024
"""In a data channel, for a client that does not read."""
DRAIN_S, DRAIN_POLL_S = 1.0, 0.02
MESSAGE_CHARS_MAX = 64 * 1024
MESSAGES_PER_S, MESSAGES_BURST = 20.0, 100.0
OUTPUTS_MAX = 5
"""The data channel and the WebSockets of one call."""
FORCES_MAX = 64
STREAM = "0"
"""The name of a call's one stream."""


class CallCodec(Codec, Protocol):
    """A codec that also has messages for a new output."""

    def greeting(self) -> list[Frame]: ...


class Output(Protocol):
    """Where the events of a call go."""

    def send(self, frames: list[Frame]) -> bool:
        """Never waits. False: it takes no more, and is removed."""
        ...

    def close(self, code: int, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class CallTime:
    """The session's clock as milliseconds since the call began."""

    start_ms: int

    @property
    def is_placed(self) -> bool:
        return True

    def ms_at(self, ms: int) -> int:
        return max(0, ms - self.start_ms)


@dataclass(frozen=True, slots=True)
class CallStream:
    """The audio of a call as a stream of results."""

    name: str
    channel: Channel
    time: CallTime

    def clock(self) -> StreamClock:
        now_ms = self.time.ms_at(self.channel.session.now_ms())
        pipeline = self.channel.pipeline
        return StreamClock(now_ms, now_ms, 0 if pipeline is None else pipeline.pause_ms)


@dataclass(frozen=True, slots=True)
class CallSource:
    streams: tuple[CallStream, ...]


class Call:
    def __init__(self, site: Site, codec: CallCodec, caller: str) -> None:
        """caller: whom the limit on watchers counts."""
        self._site = site
        self._codec = codec
        self._caller = caller
        self._outputs: list[Output] = []
        self._messages = Bucket(MESSAGES_PER_S, MESSAGES_BURST)
        self._unreadable = Unreadable()
        self._connection: Connection | None = None
        self._pump: ResultPump | None = None
        self._pumping: asyncio.Task[None] | None = None
        self._forcing: asyncio.Task[None] | None = None
        self._marks: deque[str] = deque()
        self._ending: asyncio.Task[int] | None = None
        self._reason = STOPPED
        self._data: RTCDataChannel | None = None

    @property
    def connection(self) -> Connection | None:
        return self._connection

    def begin(self, connection: Connection) -> None:
        """The call has its channel. Raises Overloaded when there are too many watchers."""
        assert self._site.subscribers is not None
        self._connection = connection
        session, (channel,) = connection.session, connection.channels
        stream = CallStream(STREAM, channel, CallTime(session.now_ms()))
        self._pump = ResultPump(self._site.subscribers, session, self._caller, self._deliver)
        self._pump.add(CallSource((stream,)), connection.id)
        self._codec.on_result(Opened("", session.id, connection.id, {STREAM: channel.id}, session.now_ms()))
        self._pumping = asyncio.create_task(self._run(self._pump), name="read results of call of socket")

    def attach(
        self, channel: RTCDataChannel, session: Session, ids: tuple[str, ...]
    ) -> Callable[[], Awaitable[None]] | None:
        """The client has opened its data channel; see `transport.peer_data_channel`."""
        output = DataOutput(channel)
        if not self.join(output):
            return None
        self._data = channel
        channel.on("message", lambda message: self.on_message(message, output))
        return self._drain

    def join(self, output: Output) -> bool:
        """Add an output, which is greeted. False: there are too many."""
        if len(self._outputs) >= OUTPUTS_MAX:
            return False
        self._outputs.append(output)
        output.send(self._codec.greeting())
        return True

    def leave(self, output: Output) -> None:
        if output in self._outputs:
            self._outputs.remove(output)

    def on_message(self, message: object, sender: Output) -> None:
        """A message of a client. Over the limits it is ignored; after too many bad ones the call ends."""
        now_s = asyncio.get_running_loop().time()
        if not self._messages.take(1, now_s) or self._connection is None:
            return
        try:
            if isinstance(message, str) and len(message) <= MESSAGE_CHARS_MAX:
                self._perform(self._codec.on_text(message, now_s), sender, now_s)
            else:
                self._perform(self._codec.on_bytes(b""), sender, now_s)
        except RequestError as error:
            self._end_soon(error.code)
        except Exception:
            logger.exception("a message of a call could not be performed")
            self._end_soon("failed")

    def _perform(self, actions: list[Action], sender: Output, now_s: float) -> None:
        for action in actions:
            match action:
                case Say(is_complaint=True):
                    sender.send(list(action.frames))
                    self._unreadable.note(now_s)
                case Say():
                    self._send(list(action.frames))
                case SetTerms():
                    self._set(ChannelSpec(terms=action.terms))
                case SetLanguage():
                    self._set(ChannelSpec(language=action.language))
                case ForceEnd():
                    self._force_end(action.mark)
                case Finish():
                    self._end_soon(STOPPED)

    def _set(self, spec: ChannelSpec) -> None:
        assert self._connection is not None
        for channel in self._connection.channels:
            channel.claim(self._connection, spec)
            if spec.language is not None and channel.pipeline is not None:
                channel.pipeline.set_language(spec.language)

    def _force_end(self, mark: str) -> None:
        if len(self._marks) >= FORCES_MAX:
            raise Overloaded("too_many_commits", f"{FORCES_MAX} commits wait already", retry_after_s=1.0)
        self._marks.append(mark)
        if self._forcing is None or self._forcing.done():
            self._forcing = asyncio.create_task(self._force(), name="end utterance of call of socket")

    async def _force(self) -> None:
        """End an utterance once for each mark; more marks may come meanwhile."""
        assert self._connection is not None and self._pump is not None
        while self._marks:
            mark = self._marks.popleft()
            for channel in self._connection.channels:
                if channel.pipeline is not None:
                    await channel.pipeline.force_end()
            self._pump.mark(Forced(STREAM, mark))

    # --- results ---

    async def _run(self, pump: ResultPump) -> None:
        try:
            await pump.run()
        except RequestError as error:
            self._end_soon(error.code)
        except Exception:
            logger.exception("the results of a call failed")
            self._end_soon("failed")

    async def _deliver(self, results: list[Result]) -> None:
        self._send([frame for result in results for frame in self._codec.on_result(result)])

    def _send(self, frames: list[Frame]) -> None:
        if frames:
            for output in [one for one in self._outputs if not one.send(frames)]:
                self._outputs.remove(output)
                output.close(1013, "the events were not read")

    # --- the end ---

    def note_end(self, reason: str) -> None:
        """The connection ends for this reason."""
        self._reason = reason

    def _end_soon(self, reason: str) -> None:
        if self._connection is not None and self._ending is None:
            self._ending = asyncio.create_task(self._end_call(self._connection, reason), name="end call")

    @staticmethod
    async def _end_call(connection: Connection, reason: str) -> int:
        return await connection.end(reason)

    async def _drain(self) -> None:
        """The channel is closed: give the last results, and wait until the client has them."""
        await self._finish()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while self._has_unsent:  # noqa: ASYNC110  # SCTP's queue sets no event when it is empty
                    await asyncio.sleep(DRAIN_POLL_S)
        # SCTP may still hold data, and closing the association would drop it.
        await asyncio.sleep(DRAIN_POLL_S)

    @property
    def _has_unsent(self) -> bool:
        data = self._data
        return data is not None and data.readyState == "open" and data.bufferedAmount > 0

    async def _finish(self) -> None:
        for task in (self._forcing, self._pumping):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
                await asyncio.wait({task})
        if self._pump is not None and self._connection is not None:
            await self._pump.flush(self._connection.session.log.head_seq)
        self._send(list(self._codec.on_end(End(self._reason)).frames))

    def closed(self) -> None:
        """The connection has ended."""
        for task in (self._forcing, self._pumping):
            if task is not None:
                task.cancel()
        if self._pump is not None:
            self._pump.close()
        goodbye = self._codec.on_end(End(self._reason))
        for output in self._outputs:
            output.send(list(goodbye.frames))
            output.close(goodbye.code, goodbye.reason)
        self._outputs.clear()


class DataOutput:
    """The data channel of the client. It has no close codes."""

    def __init__(self, channel: RTCDataChannel) -> None:
        self._channel = channel

    def send(self, frames: list[Frame]) -> bool:
        if self._channel.readyState != "open" or self._channel.bufferedAmount > BUFFER_BYTES_MAX:
            return False
        for frame in frames:
            self._channel.send(frame)
        return True

    def close(self, code: int, reason: str) -> None:
        return None
