"""The thread that encodes what came without packets: blocks in, packets out, for all channels.

Owns the runs being encoded and the bounded queue in front of them. A long recording takes turns with live
channels. Policy when too much waits: the newest live block is not kept, counted and said (`trouble`). An
upload is not live: it reserves its room first (`upload_reservations.py`), and uploads never get all of it.
Invariants: the event loop never encodes and never waits; what was reserved is kept.
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
from webrtc_host.archive.writer import Place
from webrtc_host.seams import SAMPLES_PER_MS, Block, BlockKind, Clock, OpusPacket

logger = logging.getLogger(__name__)

ROUND_S = 0.05
PIECE_SAMPLES = SAMPLE_RATE
"""Taken of one channel in one turn, about; 3 ms to encode."""
WAITING_SAMPLES_MAX = 1800 * SAMPLE_RATE
"""115 MB: half an hour in all, such as seven seconds of 256 channels."""
UPLOAD_SAMPLES_MAX = 1200 * SAMPLE_RATE
"""Of these for uploads: two of ten minutes. The other ten minutes are left to live channels."""
RECOVERED_SHARE = 0.5
"""Audio is taken to be kept again when no more than this of the queue is in use."""
IDLE_S = 0.5
"""A run that got nothing for so long has ended."""
RUNS_MAX = 4  # of one channel: live, and what is filled in behind it


@dataclass(frozen=True, slots=True)
class _Piece:
    block: Block
    is_upload: bool


class BlockEncoder:
    def __init__(
        self,
        on_packets: Callable[[Place, Sequence[OpusPacket]], None],
        clock: Clock = time.monotonic,
        *,
        waiting_samples_max: int = WAITING_SAMPLES_MAX,
        upload_samples_max: int = UPLOAD_SAMPLES_MAX,
    ) -> None:
        """on_packets: called in the thread."""
        self._on_packets = on_packets
        self._clock = clock
        self._waiting_samples_max = waiting_samples_max
        self._upload_samples_max = upload_samples_max
        self._lock = threading.Lock()
        self._waiting: dict[Place, deque[_Piece]] = {}
        self._live_samples = 0  # waiting
        self._upload_samples = 0  # reserved, and waiting
        self.on_room: Callable[[], None] = lambda: None  # called in the thread when uploads gave room back
        self._runs: dict[Place, list[RunEncoder]] = {}
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
        """Why live audio is not being kept, in plain words; None while it is."""
        return "the encoder is too far behind" if self._is_losing else None

    @property
    def _used_samples(self) -> int:
        return self._live_samples + self._upload_samples

    def put(self, place: Place, block: Block) -> None:
        """Take over live audio. Never waits, never raises. Silence that stands in for missing audio is not
        kept.
        """
        if block.kind is not BlockKind.AUDIO:
            return
        with self._lock:
            if self._used_samples + len(block.samples) > self._waiting_samples_max:
                self._refuse(place, block)
                return
            self._live_samples += len(block.samples)
            self._append(place, block, is_upload=False)
        if self._thread is None:
            self._start()

    def reserve(self, samples: int) -> bool:
        """Hold room for an upload of so many samples; False when there is none now.

        One that is longer than the whole share gets all of it.
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
        """Give back what `reserve` held for an upload of so many samples that is not kept after all."""
        with self._lock:
            self._upload_samples -= self._upload_share_of(samples)
        self.on_room()

    def put_reserved(self, place: Place, block: Block) -> None:
        """Take over an upload. Its room was reserved: `len(block.samples)`, no more and no less."""
        with self._lock:
            self._upload_samples += len(block.samples) - self._upload_share_of(len(block.samples))
            self._append(place, block, is_upload=True)
        if self._thread is None:
            self._start()

    def _upload_share_of(self, samples: int) -> int:
        return min(samples, self._upload_samples_max)

    def _append(self, place: Place, block: Block, *, is_upload: bool) -> None:
        waiting = self._waiting.setdefault(place, deque())
        for at in range(0, len(block.samples), PIECE_SAMPLES):
            piece = Block(block.start_sample + at, block.samples[at : at + PIECE_SAMPLES])
            waiting.append(_Piece(piece, is_upload))

    def close(self) -> None:
        """Encode what waits. Blocking."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        while self._waiting:
            self.step()
        self._end_runs(idle_s=-1.0)

    def step(self) -> None:
        """One turn of every channel."""
        with self._lock:
            turns = {place: self._turn(waiting) for place, waiting in self._waiting.items()}
            self._waiting = {place: waiting for place, waiting in self._waiting.items() if waiting}
        for place, pieces in turns.items():
            try:
                packets: list[OpusPacket] = []
                for piece in pieces:
                    packets += self._encode(place, piece.block)
                if packets:
                    self._on_packets(place, packets)
            finally:
                self._done(pieces)
        self._end_runs(IDLE_S)

    def _done(self, pieces: list[_Piece]) -> None:
        """They wait no longer, whatever became of them."""
        uploaded = sum(len(piece.block.samples) for piece in pieces if piece.is_upload)
        with self._lock:
            self._upload_samples -= uploaded
            self._live_samples -= sum(len(piece.block.samples) for piece in pieces) - uploaded
            if self._is_losing and self._used_samples <= RECOVERED_SHARE * self._waiting_samples_max:
                self._is_losing = False
                logger.info("live audio is kept again: the encoder has caught up")
        if uploaded:
            self.on_room()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="audio-encoder", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.step()
            except Exception:
                logger.exception("sound of a channel could not be encoded for the archive")
            if not self._waiting:
                self._stop.wait(ROUND_S)

    def _refuse(self, place: Place, block: Block) -> None:
        self._lost_samples += len(block.samples)
        if not self._is_losing:
            self._is_losing = True
            logger.error("live audio of %s is not kept: the encoder is too far behind", place.channel)

    def _turn(self, waiting: deque[_Piece]) -> list[_Piece]:
        pieces: list[_Piece] = []
        samples = 0
        while waiting and samples < PIECE_SAMPLES:
            pieces.append(waiting.popleft())
            samples += len(pieces[-1].block.samples)
        return pieces

    def _encode(self, place: Place, block: Block) -> list[OpusPacket]:
        packets: list[OpusPacket] = []
        runs = self._runs.setdefault(place, [])
        run = next((run for run in runs if run.end_sample == block.start_sample), None)
        if run is None:
            if len(runs) >= RUNS_MAX:
                packets += self._ended(place, min(runs, key=self._fed_s.__getitem__))
            run = RunEncoder(block.start_sample)
            runs.append(run)
        self._fed_s[run] = self._clock()
        return packets + run.feed(block)

    def _ended(self, place: Place, run: RunEncoder) -> list[OpusPacket]:
        self._runs[place].remove(run)
        del self._fed_s[run]
        return run.flush()

    def _end_runs(self, idle_s: float) -> None:
        now_s = self._clock()
        for place, runs in list(self._runs.items()):
            for run in list(runs):
                if now_s - self._fed_s[run] > idle_s:
                    self._on_packets(place, self._ended(place, run))
            if not runs:
                del self._runs[place]
