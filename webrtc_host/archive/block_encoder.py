"""Encodes audio that came without Opus packets: one thread for all channels, blocks in, packets out.

This module holds the encoders of contiguous runs, and the bounded queue before them. A long recording takes
turns with live channels. When the queue is full, the newest live block is dropped and counted, and `trouble`
says so. An upload is not live: it reserves space in the queue first (`upload_reservations.py`), and uploads
never get all of the queue.
Invariants: the event loop never encodes and never waits; audio with a reservation is archived.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from host_stt.contract import SAMPLE_RATE
from webrtc_host.archive.encoding import RunEncoder
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.seams import SAMPLES_PER_MS, Block, BlockKind, Clock, OpusPacket

logger = logging.getLogger(__name__)

ROUND_S = 0.05
PIECE_SAMPLES = SAMPLE_RATE
"""Encoded for one channel per turn, about; takes 3 ms."""
WAITING_SAMPLES_MAX = 1800 * SAMPLE_RATE
"""The queue: half an hour of audio in total (115 MB), for example 7 s of 256 channels."""
UPLOAD_SAMPLES_MAX = 1200 * SAMPLE_RATE
"""The part of the queue for uploads: two of ten minutes. The other ten minutes are for live channels."""
RECOVERED_SHARE = 0.5
"""Live audio counts as archived again when no more than this part of the queue is used."""
IDLE_S = 0.5
"""A run without new blocks for so long has ended."""
RUNS_MAX = 4  # of one channel: live audio, and audio that fills earlier gaps


@dataclass(frozen=True, slots=True)
class _Piece:
    block: Block
    is_upload: bool


class BlockEncoder:
    """The queue and its thread. The thread starts with the first block."""

    def __init__(
        self,
        on_packets: Callable[[ChannelKey, Sequence[OpusPacket]], None],
        clock: Clock = time.monotonic,
        *,
        waiting_samples_max: int = WAITING_SAMPLES_MAX,
        upload_samples_max: int = UPLOAD_SAMPLES_MAX,
        on_space_freed: Callable[[], None] = lambda: None,
    ) -> None:
        """on_packets: called in the encoder's thread. on_space_freed: called in any thread when space for
        uploads was freed.
        """
        self._on_packets = on_packets
        self._clock = clock
        self._waiting_samples_max = waiting_samples_max
        self._upload_samples_max = upload_samples_max
        self._lock = threading.Lock()
        self._waiting: dict[ChannelKey, deque[_Piece]] = {}
        self._live_samples = 0  # live audio in the queue
        self._upload_samples = 0  # uploads: reserved, or in the queue
        self._on_space_freed = on_space_freed
        self._runs: dict[ChannelKey, list[RunEncoder]] = {}
        self._fed_s: dict[RunEncoder, float] = {}
        self._lost_samples = 0
        self._is_losing = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def lost_ms(self) -> int:
        return self._lost_samples // SAMPLES_PER_MS

    @property
    def waiting_ms(self) -> int:
        return self._used_samples // SAMPLES_PER_MS

    @property
    def trouble(self) -> str | None:
        """Why live audio is not archived, in plain words; None while it is."""
        return "the encoder is too far behind" if self._is_losing else None

    @property
    def _used_samples(self) -> int:
        return self._live_samples + self._upload_samples

    def put(self, key: ChannelKey, block: Block) -> None:
        """Queue live audio. Never waits, never raises. Silence in place of missing audio is not archived."""
        if block.kind is not BlockKind.AUDIO:
            return
        with self._lock:
            if self._used_samples + len(block.samples) > self._waiting_samples_max:
                self._drop(key, block)
                return
            self._live_samples += len(block.samples)
            self._append(key, block, is_upload=False)
        if self._thread is None:
            self._start()

    def reserve(self, samples: int) -> bool:
        """Reserve space for an upload of `samples` samples; False when there is not enough now.

        An upload that is longer than the whole upload share gets all of the share.
        """
        with self._lock:
            needed = self._upload_share_of(samples)
            if self._upload_samples + needed > self._upload_samples_max:
                return False
            if self._used_samples + needed > self._waiting_samples_max:
                return False
            self._upload_samples += needed
            return True

    def release(self, samples: int) -> None:
        """Free the space that `reserve` took for an upload of `samples` samples which is not archived."""
        with self._lock:
            self._upload_samples -= self._upload_share_of(samples)
        self._on_space_freed()

    def put_reserved(self, key: ChannelKey, block: Block) -> None:
        """Queue an upload. Its space was reserved, for exactly `len(block.samples)` samples."""
        with self._lock:
            self._upload_samples += len(block.samples) - self._upload_share_of(len(block.samples))
            self._append(key, block, is_upload=True)
        if self._thread is None:
            self._start()

    def _upload_share_of(self, samples: int) -> int:
        return min(samples, self._upload_samples_max)

    def _append(self, key: ChannelKey, block: Block, *, is_upload: bool) -> None:
        waiting = self._waiting.setdefault(key, deque())
        for at in range(0, len(block.samples), PIECE_SAMPLES):
            piece = Block(block.start_sample + at, block.samples[at : at + PIECE_SAMPLES])
            waiting.append(_Piece(piece, is_upload))

    def close(self) -> None:
        """Encode everything in the queue. Blocking."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        while self._waiting:
            self.step()
        self._end_runs(idle_s=-1.0)

    def step(self) -> None:
        """One round: encode about one second of every channel."""
        with self._lock:
            turns = {key: self._take_turn(waiting) for key, waiting in self._waiting.items()}
            self._waiting = {key: waiting for key, waiting in self._waiting.items() if waiting}
        for key, pieces in turns.items():
            try:
                packets: list[OpusPacket] = []
                for piece in pieces:
                    packets += self._encode(key, piece.block)
                if packets:
                    self._on_packets(key, packets)
            finally:
                self._done(pieces)
        self._end_runs(IDLE_S)

    def _done(self, pieces: list[_Piece]) -> None:
        """Remove the pieces from the counts of the queue, whether they were encoded or failed."""
        uploaded = sum(len(piece.block.samples) for piece in pieces if piece.is_upload)
        with self._lock:
            self._upload_samples -= uploaded
            self._live_samples -= sum(len(piece.block.samples) for piece in pieces) - uploaded
            if self._is_losing and self._used_samples <= RECOVERED_SHARE * self._waiting_samples_max:
                self._is_losing = False
                logger.info("live audio is archived again: the encoder has caught up")
        if uploaded:
            self._on_space_freed()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="audio-encoder", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.step()
            except Exception:
                logger.exception("audio of a channel could not be encoded for the archive")
            if not self._waiting:
                self._stop.wait(ROUND_S)

    def _drop(self, key: ChannelKey, block: Block) -> None:
        self._lost_samples += len(block.samples)
        if not self._is_losing:
            self._is_losing = True
            logger.error("live audio of %s is not archived: the encoder is too far behind", key.channel)

    def _take_turn(self, waiting: deque[_Piece]) -> list[_Piece]:
        pieces: list[_Piece] = []
        samples = 0
        while waiting and samples < PIECE_SAMPLES:
            pieces.append(waiting.popleft())
            samples += len(pieces[-1].block.samples)
        return pieces

    def _encode(self, key: ChannelKey, block: Block) -> list[OpusPacket]:
        packets: list[OpusPacket] = []
        runs = self._runs.setdefault(key, [])
        run = next((run for run in runs if run.end_sample == block.start_sample), None)
        if run is None:
            if len(runs) >= RUNS_MAX:
                packets += self._end_run(key, min(runs, key=self._fed_s.__getitem__))
            run = RunEncoder(block.start_sample)
            runs.append(run)
        self._fed_s[run] = self._clock()
        return packets + run.feed(block)

    def _end_run(self, key: ChannelKey, run: RunEncoder) -> list[OpusPacket]:
        self._runs[key].remove(run)
        del self._fed_s[run]
        return run.flush()

    def _end_runs(self, idle_s: float) -> None:
        now_s = self._clock()
        for key, runs in list(self._runs.items()):
            for run in list(runs):
                if now_s - self._fed_s[run] > idle_s:
                    self._on_packets(key, self._end_run(key, run))
            if not runs:
                del self._runs[key]
