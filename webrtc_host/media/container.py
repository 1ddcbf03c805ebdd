"""WebM and Ogg as they stream in: bytes from a socket become 16 kHz mono pieces, decoded in a thread.

Owns the thread, the bytes that wait for it and the pieces that wait for the event loop; both are bounded, so
a slow reader slows the writer. The container is named to FFmpeg, which otherwise would also open play lists.
Invariant: after `close` the thread is gone, whatever it was reading.
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

FORMATS = {"webm": "matroska", "ogg": "ogg"}
BYTES_MAX = 256 * 1024  # wait for the thread; more holds up the writer
SAMPLES_MAX = 2 * SAMPLE_RATE  # wait for the event loop; more holds up the thread
BARREN_BYTES_MAX = 4 * 1024 * 1024  # without any sound among them
BAD_PACKETS_MAX = 25  # in a row; one costs itself alone
READ_BYTES = 4096  # FFmpeg reads so much at a time; larger blocks wait longer to be full
CLOSE_S = 5.0
OPTIONS = {"probesize": "32768", "analyzeduration": "0"}
"""So that the first sound comes out soon. Not `nobuffer`: it throws away what was read for probing."""


class StreamError(ValueError):
    """The stream cannot be read; the text says why."""


class _Source:
    """All that FFmpeg may see of the decoder: a file that can be read and nothing else."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self.read = read


class StreamDecoder:
    """`write` and `end_input` on one side, `pieces` on the other, both in the event loop; then `close`."""

    def __init__(self, encoding: str) -> None:
        """encoding: a key of FORMATS."""
        self._encoding = encoding
        self._loop = asyncio.get_running_loop()
        self._has_room = asyncio.Event()
        self._has_news = asyncio.Event()
        self._condition = threading.Condition()
        self._bytes = bytearray()
        self._pieces: deque[Piece] = deque()
        self._samples = 0  # in _pieces
        self._barren_bytes = 0
        self._is_input_over = False
        self._is_over = False  # nothing more will come out
        self._is_closed = False
        self._error: StreamError | None = None
        self._thread = threading.Thread(target=self._run, name=f"decode {encoding}", daemon=True)
        self._thread.start()

    async def write(self, data: bytes) -> None:
        """Take the next bytes; waits while too many are undecoded. Raises StreamError once it has failed."""
        with self._condition:
            self._bytes += data
            self._barren_bytes += len(data)
            self._condition.notify_all()
        if self._barren_bytes > BARREN_BYTES_MAX:
            raise StreamError(f"there is no sound in {self._barren_bytes} bytes of {self._encoding}")
        while not self._is_over and len(self._bytes) > BYTES_MAX:
            self._has_room.clear()
            await self._has_room.wait()
        if self._error is not None:
            raise self._error

    def end_input(self) -> None:
        """No more bytes will come: what is held is decoded to its end."""
        with self._condition:
            self._is_input_over = True
            self._condition.notify_all()

    async def pieces(self) -> list[Piece]:
        """What was decoded since the last call; waits for some. Empty: the end. Raises StreamError."""
        while True:
            with self._condition:
                taken, self._samples = list(self._pieces), 0
                self._pieces.clear()
                self._condition.notify_all()
                is_over = self._is_over
            if taken:
                return taken
            if self._error is not None:
                raise self._error
            if is_over:
                return []
            self._has_news.clear()
            await self._has_news.wait()

    async def close(self) -> None:
        """Give up what is held and end the thread."""
        with self._condition:
            self._is_closed = self._is_input_over = True
            self._bytes.clear()
            self._condition.notify_all()
        async with asyncio.timeout(CLOSE_S):
            while not self._is_over:
                self._has_news.clear()
                await self._has_news.wait()
        self._thread.join(CLOSE_S)  # its last line has run

    # --- in the thread ---

    def _read(self, size: int) -> bytes:
        """Some bytes, at most `size`; nothing at the end."""
        with self._condition:
            while not self._bytes and not self._is_input_over:
                self._condition.wait()
            data = bytes(self._bytes[:size])
            del self._bytes[:size]
        self._tell(self._has_room.set)
        return data

    def _run(self) -> None:
        try:
            self._decode()
        except (av.FFmpegError, FrameError, ValueError, OverflowError) as error:
            self._error = StreamError(f"{self._encoding} that cannot be read: {_why(error)}")
        except Exception as error:  # a bug; the connection shows it, the traceback is kept as its cause
            logger.exception("decoding %s failed", self._encoding)
            self._error = StreamError(f"decoding {self._encoding} failed; the server's log has the details")
            self._error.__cause__ = error
        finally:
            with self._condition:
                self._is_over = True
            self._tell(self._has_room.set)
            self._tell(self._has_news.set)

    def _decode(self) -> None:
        with av.open(
            _Source(self._read),
            "r",
            format=FORMATS[self._encoding],
            buffer_size=READ_BYTES,
            container_options=OPTIONS,
        ) as container:
            if not container.streams.audio:
                raise StreamError("no sound in it")
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
            self._barren_bytes = 0
        self._tell(self._has_news.set)

    def _tell(self, call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended; so has everyone who could listen
            self._loop.call_soon_threadsafe(call)


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, FrameError) else plain_error(error, "its data is damaged")
