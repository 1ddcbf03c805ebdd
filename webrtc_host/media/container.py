"""Decodes WebM, Ogg and other containers from a socket into 16 kHz mono pieces, in a thread.

This module holds the thread, the bytes that wait for the thread, and the pieces that wait for the event loop.
Both queues are bounded, so a slow reader slows down the writer. FFmpeg gets the name of the container format:
when it guesses, it would also open playlists, which name other files.
Invariant: after `close` the thread has ended, whatever it was reading.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable

import av

from host_stt.contract import SAMPLE_RATE
from host_stt_common.frames import FrameError
from host_stt_common.plain import plain_error
from webrtc_host.media.resample import Piece, Resampler

logger = logging.getLogger(__name__)

FORMATS = {
    "webm": "matroska",
    "ogg": "ogg",
    "wav": "wav",
    "flac": "flac",
    "mp3": "mp3",
    "mp4": "mov",
    "aac": "aac",
    "amr": "amr",
}
"""Encoding -> FFmpeg's demuxer. None of them opens another file."""
BYTES_MAX = 256 * 1024  # that wait for the thread; more makes `write` wait
SAMPLES_MAX = 2 * SAMPLE_RATE  # that wait for the event loop; more makes the thread wait
BYTES_WITHOUT_AUDIO_MAX = 4 * 1024 * 1024  # bytes without any audio; more is an error
BAD_PACKETS_MAX = 25  # in a row; a single one is skipped
READ_BYTES = 4096  # FFmpeg reads this much at a time; a larger block takes longer to fill
CLOSE_S = 5.0
OPTIONS = {"probesize": "32768", "analyzeduration": "0"}
"""For a short delay of the first audio. Not `nobuffer`: it discards what was read to find the format."""


class StreamError(ValueError):
    """The stream cannot be decoded; the text says why."""


class _Source:
    """What FFmpeg sees of the decoder: a file that can only be read."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self.read = read


class StreamDecoder:
    """Decodes one stream. In the event loop: `write`, `end_input`, and `pieces`; at the end `close`."""

    def __init__(self, encoding: str) -> None:
        """encoding: a key of FORMATS."""
        self._encoding = encoding
        self._loop = asyncio.get_running_loop()
        self._can_write = asyncio.Event()
        self._can_read = asyncio.Event()
        self._condition = threading.Condition()
        self._bytes = bytearray()
        self._pieces: deque[Piece] = deque()
        self._samples = 0  # in _pieces
        self._bytes_without_audio = 0
        self._is_input_over = False
        self._is_finished = False  # no more pieces will come
        self._is_closed = False
        self._error: StreamError | None = None
        self._thread = threading.Thread(target=self._run, name=f"decode {encoding}", daemon=True)
        self._thread.start()

    async def write(self, data: bytes) -> None:
        """Take the next bytes; waits while too many are undecoded. Raises StreamError after a failure."""
        with self._condition:
            self._bytes += data
            self._bytes_without_audio += len(data)
            self._condition.notify_all()
        if self._bytes_without_audio > BYTES_WITHOUT_AUDIO_MAX:
            raise StreamError(f"there is no audio in {self._bytes_without_audio} bytes of {self._encoding}")
        while not self._is_finished and len(self._bytes) > BYTES_MAX:
            self._can_write.clear()
            await self._can_write.wait()
        if self._error is not None:
            raise self._error

    def end_input(self) -> None:
        """No more bytes will come: the bytes in the queue are decoded to their end."""
        with self._condition:
            self._is_input_over = True
            self._condition.notify_all()

    async def pieces(self) -> list[Piece]:
        """The pieces decoded since the last call; waits for some. Empty: the end. Raises StreamError."""
        while True:
            with self._condition:
                taken, self._samples = list(self._pieces), 0
                self._pieces.clear()
                self._condition.notify_all()
                is_over = self._is_finished
            if taken:
                return taken
            if self._error is not None:
                raise self._error
            if is_over:
                return []
            self._can_read.clear()
            await self._can_read.wait()

    async def close(self) -> None:
        """Drop everything in the queues and end the thread."""
        with self._condition:
            self._is_closed = self._is_input_over = True
            self._bytes.clear()
            self._condition.notify_all()
        async with asyncio.timeout(CLOSE_S):
            while not self._is_finished:
                self._can_read.clear()
                await self._can_read.wait()
        self._thread.join(CLOSE_S)  # `_is_finished` is set shortly before the thread ends

    # --- in the thread ---

    def _read(self, size: int) -> bytes:
        """At most `size` bytes; empty at the end. Waits for the first one."""
        with self._condition:
            while not self._bytes and not self._is_input_over:
                self._condition.wait()
            data = bytes(self._bytes[:size])
            del self._bytes[:size]
        self._call_in_loop(self._can_write.set)
        return data

    def _run(self) -> None:
        try:
            self._decode()
        except (av.FFmpegError, FrameError, ValueError, OverflowError) as error:
            self._error = StreamError(f"the {self._encoding} stream cannot be read: {_why(error)}")
        except Exception as error:  # a fault of the server; the log has the traceback
            logger.exception("decoding %s failed", self._encoding)
            self._error = StreamError(f"decoding {self._encoding} failed; the server's log has the details")
            self._error.__cause__ = error  # as `raise ... from` would do; it is raised in another thread
        finally:
            with self._condition:
                self._is_finished = True
            self._call_in_loop(self._can_write.set)
            self._call_in_loop(self._can_read.set)

    def _decode(self) -> None:
        with av.open(
            _Source(self._read),
            "r",
            format=FORMATS[self._encoding],
            buffer_size=READ_BYTES,
            container_options=OPTIONS,
        ) as container:
            if not container.streams.audio:
                raise StreamError("it contains no audio")
            resampler, bad = Resampler(), 0
            for packet in container.demux(container.streams.audio[0]):
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    bad += 1
                    if bad > BAD_PACKETS_MAX:
                        raise
                    continue
                bad = 0
                for frame in frames:
                    if isinstance(frame, av.AudioFrame):
                        self._emit(resampler.feed(frame))
                if self._is_closed:
                    return
            self._emit(resampler.flush())

    def _emit(self, pieces: list[Piece]) -> None:
        if not pieces:
            return
        with self._condition:
            while self._samples > SAMPLES_MAX and not self._is_closed:
                self._condition.wait()
            self._pieces += pieces
            self._samples += sum(len(piece.samples) for piece in pieces)
            self._bytes_without_audio = 0
        self._call_in_loop(self._can_read.set)

    def _call_in_loop(self, call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop has ended, and with it every waiter
            self._loop.call_soon_threadsafe(call)


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, FrameError) else plain_error(error, "its data is damaged")
