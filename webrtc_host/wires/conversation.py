"""The conversation on one socket, in any protocol: reading, results, the end, and close codes.

The codec decides what the client's frames mean and what the client is told; this module performs it.
`inputs.py` holds the channels, `ends.py` ends utterances and sources beside the reading, `result_pump.py`
brings the results, `outgoing.py` sends. When a client sends faster than real time, the server reads more
slowly, so the client's writes wait and nothing collects here.
Invariants: `_end` runs once; after it no task or thread of this socket is left, and its channels are free.
Audio that was received is transcribed, however the client leaves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial

from aiohttp import WSMessage, WSMsgType

from host_stt_common.garbage import clear_tracebacks
from host_stt_common.rates import FrameRate
from webrtc_host.doors.control import Unreadable
from webrtc_host.doors.socket_messages import receive
from webrtc_host.errors import RequestError
from webrtc_host.wires.caller import Caller, FrameSocket
from webrtc_host.wires.concluding import Companion, Concluding
from webrtc_host.wires.ends import Ends, cancelled
from webrtc_host.wires.inputs import Inputs
from webrtc_host.wires.messages import (
    CONNECTION_LOST,
    PEER_CLOSED,
    SERVER_STOPPING,
    STOPPED,
    Action,
    Audio,
    Codec,
    End,
    Finish,
    ForceEnd,
    Open,
    Result,
    Say,
    SetLanguage,
    SetTerms,
)
from webrtc_host.wires.outgoing import Outgoing
from webrtc_host.wires.read_ahead import ReadAhead
from webrtc_host.wires.result_pump import ResultPump
from webrtc_host.wires.site import Site, Traits
from webrtc_host.wires.source import FINISH_S

logger = logging.getLogger(__name__)

TICK_S = 0.25
TEXT_S = 0.05
"""Pause after a text message without audio, so that many of them do not keep the server busy."""
LATE_S = 60.0
JOINED_BYTES = 32 * 1024
"""Of binary messages that are performed as one; 1 s of 16 kHz samples."""


class Conversation:
    """One connection. Call `admit` before the upgrade where the address says all, then `run`."""

    def __init__(
        self,
        site: Site,
        traits: Traits,
        codec: Codec,
        caller: Caller,
        rate: FrameRate,
        companion: Companion | None = None,
    ) -> None:
        """companion: makes something of the text when it is complete."""
        self._concluding = None if companion is None else Concluding(companion)
        self._site = site
        self._traits = traits
        self._codec = codec
        self._caller = caller
        self._rate = rate
        self._inputs = Inputs(
            site, traits, caller, end=self.end, release=self.release, deliver=self._say_results
        )
        self._ends = Ends(self._inputs)
        self._outgoing = Outgoing()
        self._unreadable = Unreadable()
        self._error: RequestError | None = None
        self._socket: FrameSocket | None = None
        self._reading: asyncio.Task[str] | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._pumping: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[int] | None = None

    async def admit(self) -> None:
        """Open what the request itself asks for. Frames for the client wait for the upgrade.

        Raises RequestError; then nothing is open.
        """
        try:
            await self._perform(self._codec.begin())
        except RequestError:
            await self._end_once("refused")
            self._inputs.free()
            raise

    async def abandon(self) -> None:
        """End a conversation that was admitted, and whose upgrade failed."""
        await self._end_once(CONNECTION_LOST)
        self._inputs.free()

    async def run(self, socket: FrameSocket) -> None:
        """Converse until the end. An error of the client becomes the codec's last frames and close code."""
        self._socket = socket
        try:
            self._reading = asyncio.create_task(self._read(socket), name="read socket")
            await self._converse()
        finally:
            if self._concluding is not None:
                await self._concluding.stop()  # the handler is cancelled: `_end` goes on without the result
            self._inputs.free()

    async def refuse(self, socket: FrameSocket, error: RequestError) -> None:
        """Send an error that came before anything was opened, and close."""
        try:
            await self._outgoing.begin(socket)
            await self._end_once(self._note_error(error, "a socket was refused"))
        finally:
            self._inputs.free()

    async def end(self, reason: str) -> int:
        """Decode the rest, flush the last words, say goodbye, close. Returns the seq of the last event."""
        self._inputs.hurry()
        return await self._end_once(reason)

    def release(self, reason: str) -> None:
        """Detach from the channels at once, then end."""
        if self._inputs.release(reason):
            self._ending = self._ending or asyncio.create_task(
                self._end(reason), name=f"end socket ({reason})"
            )

    # --- reading ---

    async def _converse(self) -> None:
        assert self._reading is not None
        try:
            await asyncio.wait({self._reading})
        except asyncio.CancelledError:  # the server stops the handler, or the client is gone
            await asyncio.wait({self._reading}, timeout=FINISH_S)
            await self._end_once(SERVER_STOPPING if self._caller.is_connected else self._left())
            raise
        if self._reading.cancelled():  # `end`, `release` or `_fail` was called
            await self._end_once("closed")
        elif (error := self._reading.exception()) is None:
            await self._end_once(self._reading.result())
        else:
            await self._end_once(self._note_error(error, "a socket failed while it was read"))

    def _note_error(self, error: BaseException, what: str) -> str:
        """Keep the error for the goodbye. Returns the reason of the end."""
        if isinstance(error, RequestError):
            self._error = error
            clear_tracebacks(error)  # they lead to this conversation, which keeps the error
            return error.code if self._inputs.connection is not None else "refused"
        logger.error(what, exc_info=error)
        self._error = RequestError(
            "internal", "the server failed on this socket; its log has the details", 500
        )
        return "failed"

    def _left(self) -> str:
        """Why the client is gone: the result of `_read`, or a broken connection."""
        reading = self._reading
        if reading is None or not reading.done() or reading.cancelled() or reading.exception():
            return CONNECTION_LOST
        return reading.result()

    async def _read(self, socket: FrameSocket) -> str:
        """Read and perform until the client ends. Returns the reason."""
        await self._outgoing.begin(socket)
        if not self._traits.read_ahead_bytes:
            return await self._perform_all(partial(self._receive, socket))
        ahead = ReadAhead(
            self._traits.read_ahead_bytes, self._site.read_ahead, partial(self._receive, socket)
        )
        reading = asyncio.create_task(ahead.run(), name="read ahead of socket")
        try:
            return await self._perform_all(partial(self._next, ahead))
        finally:
            await cancelled(reading)
            ahead.close()

    async def _next(self, ahead: ReadAhead) -> WSMessage:
        is_joined = self._traits.joins_frames and self._inputs.is_byte_stream
        return await ahead.get(JOINED_BYTES if is_joined else 0)

    async def _perform_all(self, receive: Callable[[], Awaitable[WSMessage]]) -> str:
        """Perform message after message until the client ends. Returns the reason."""
        while True:
            try:
                message = await receive()
            except TimeoutError as error:
                raise RequestError("idle", str(error), 408) from error
            reason = {WSMsgType.BINARY: "", WSMsgType.TEXT: "", WSMsgType.CLOSE: PEER_CLOSED}.get(
                message.type,
                CONNECTION_LOST,  # the connection ended without a closing handshake
            )
            if reason or await self._perform(actions := self._actions_of(message)):
                await self._inputs.finish()
                return reason or STOPPED
            if message.type is WSMsgType.TEXT and not any(isinstance(one, Audio | Open) for one in actions):
                await asyncio.sleep(TEXT_S)

    def _actions_of(self, message: WSMessage) -> list[Action]:
        if message.type is WSMsgType.TEXT:
            return self._codec.on_text(message.data, asyncio.get_running_loop().time())
        return self._codec.on_bytes(message.data)

    async def _receive(self, socket: FrameSocket) -> WSMessage:
        """The next message. Raises TimeoutError, with a sentence for the client."""
        within_s, what = self._traits.idle_s, "nothing came"
        if not self._inputs.sources:
            within_s, what = self._traits.first_message_s, "no first message came"
        try:
            return await receive(socket, within_s, self._rate, self._caller.transport)
        except TimeoutError as error:
            raise TimeoutError(f"{what} within {within_s:g} s") from error

    # --- actions ---

    async def _perform(self, actions: Iterable[Action]) -> bool:
        """Perform a message's actions in order. True when the client is done with the whole connection."""
        for action in actions:
            match action:
                case Audio():
                    await self._inputs.take(action)
                case Say():
                    if action.is_complaint:
                        self._unreadable.note(asyncio.get_running_loop().time())
                    await self._outgoing.say(action.frames)
                case Open():
                    opened = await self._inputs.open(action)
                    self._start_tasks()
                    if self._concluding is not None:
                        await self._concluding.opened(opened)
                    await self._say_results([opened])
                case SetTerms():
                    self._inputs.set_terms(action.terms, action.misheard)
                case SetLanguage():
                    self._inputs.set_language(action.language)
                case ForceEnd():
                    self._ends.force(action, self._fail)
                case Finish(source=None):
                    return True
                case Finish(source=str(name)):
                    self._ends.finish(name, self._fail)
        return False

    def _start_tasks(self) -> None:
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick(), name="tick socket")
        if self._pumping is None and (pump := self._inputs.pump) is not None:
            self._pumping = asyncio.create_task(self._pump(pump), name="read results of socket")

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                self._inputs.on_tick()
            except Exception:
                logger.exception("the timer of a socket failed")
                return

    # --- results ---

    async def _say_results(self, results: list[Result]) -> None:
        await self._outgoing.say([frame for result in results for frame in self._codec.on_result(result)])

    async def _pump(self, pump: ResultPump) -> None:
        try:
            await pump.run()
        except Exception as error:
            self._fail(error, "the results of a socket failed")

    def _fail(self, error: BaseException, what: str) -> None:
        """End the connection with an error that did not come up while reading."""
        self._note_error(error, what)
        if self._reading is not None:
            self._reading.cancel()

    # --- the end ---

    async def _end_once(self, reason: str) -> int:
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(reason), name=f"end socket ({reason})")
        return await asyncio.shield(self._ending)

    async def _end(self, reason: str) -> int:
        self._inputs.hurry()
        for task in (self._reading, self._ticking):
            await cancelled(task)
        await self._ends.stop()
        seq = await self._inputs.close(reason, is_readable=self._error is None)
        await cancelled(self._pumping)
        await self._flush_results(seq)
        await self._conclude(end := End(reason, self._error, seq))
        await self._say_goodbye(end)
        return seq or 0

    async def _conclude(self, end: End) -> None:
        """Let the companion make its result. Pings are answered meanwhile."""
        if self._concluding is None or end.seq is None:
            return
        result = await self._concluding.result(end, self._receive_late)
        if result is not None:
            self._codec.on_result(result)

    async def _receive_late(self) -> WSMessage:
        """A message that comes after the end of the audio. Waits for ever: pings are no message."""
        assert self._socket is not None, "a conversation that was not run has no client that waits"
        while True:
            try:
                return await receive(self._socket, LATE_S, self._rate, self._caller.transport)
            except TimeoutError:
                continue

    async def _flush_results(self, seq: int | None) -> None:
        if (pump := self._inputs.pump) is None:
            return
        try:
            if seq is not None and not self._outgoing.is_stuck:
                await pump.flush(seq)
        except RequestError as error:
            self._error = self._error or error
        except Exception:
            logger.exception("the last results of a socket could not be given")
        finally:
            pump.close()

    async def _say_goodbye(self, end: End) -> None:
        """Send the last frames and the close frame; to a client that left, only the close frame."""
        if end.error is not None:
            self._site.totals["refused"] += 1
        goodbye = self._codec.on_end(end)
        await self._outgoing.close(replace(goodbye, frames=()) if end.has_left else goodbye)
