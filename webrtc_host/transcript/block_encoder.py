"""The thread that encodes what came without packets: blocks in, packets out, for all channels.

Owns the runs being encoded and the bounded queue in front of them. A long recording takes turns with live
channels. Policy when too much waits: the newest block is not kept, counted and said. Invariant: the event
loop never encodes and never waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from host_stt.contract import SAMPLE_RATE
from webrtc_host.seams import SAMPLES_PER_MS, Block, BlockKind, Clock, OpusPacket
from webrtc_host.transcript.archive_writer import Place
from webrtc_host.transcript.encoding import RunEncoder

logger = logging.getLogger(__name__)

ROUND_S = 0.05
PIECE_SAMPLES = SAMPLE_RATE
"""Taken of one channel in one turn, about; 3 ms to encode."""
WAITING_SAMPLES_MAX = 1800 * SAMPLE_RATE
"""115 MB: half an hour in all, such as seven seconds of 256 channels or a few uploaded files."""
IDLE_S = 0.5
"""A run that got nothing for so long has ended."""
RUNS_MAX = 4  # of one channel: live, and what is filled in behind it


class BlockEncoder:
    def __init__(
        self, on_packets: Callable[[Place, Sequence[OpusPacket]], None], clock: Clock = time.monotonic
    ) -> None:
        """on_packets: called in the thread."""
        self._on_packets = on_packets
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[Place, deque[Block]] = {}
        self._waiting_samples = 0
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
        return self._waiting_samples // SAMPLES_PER_MS

    def put(self, place: Place, block: Block) -> None:
        """Never waits, never raises. Silence that stands in for missing sound is not kept."""
        if block.kind is not BlockKind.AUDIO:
            return
        with self._lock:
            if self._waiting_samples + len(block.samples) > WAITING_SAMPLES_MAX:
                self._refuse(place, block)
                return
            self._is_losing = False
            self._waiting_samples += len(block.samples)
            waiting = self._waiting.setdefault(place, deque())
            for at in range(0, len(block.samples), PIECE_SAMPLES):
                waiting.append(Block(block.start_sample + at, block.samples[at : at + PIECE_SAMPLES]))
        if self._thread is None:
            self._start()

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
        for place, blocks in turns.items():
            packets: list[OpusPacket] = []
            for block in blocks:
                packets += self._encode(place, block)
            if packets:
                self._on_packets(place, packets)
            with self._lock:
                self._waiting_samples -= sum(len(block.samples) for block in blocks)
        self._end_runs(IDLE_S)

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
            logger.error("sound of %s is not kept: the encoder is too far behind", place.channel)

    def _turn(self, waiting: deque[Block]) -> list[Block]:
        blocks: list[Block] = []
        samples = 0
        while waiting and samples < PIECE_SAMPLES:
            blocks.append(waiting.popleft())
            samples += len(blocks[-1].samples)
        return blocks

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
