"""The archive's writer: one thread appends the packets of all channels to files, a second one syncs them.

This module decides which file a packet goes to and when files are synced, and handles a disk that accepts no
data. `segment_file.py` writes one file.
Callers queue a packet and do not wait. Within WRITE_S the packet is written to the operating system, so it
survives the end of this process. Within `flush_ms` it is synced to the disk, so it survives a power cut; how
long the syncs really take is measured and reported. Writing never waits for a sync: a slow sync must not make
the loss at a killed process larger.
Invariant: after any crash, a file is a sequence of whole pages with at most one incomplete page at its end.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from host_stt.contract import SAMPLE_RATE
from webrtc_host.archive import ogg
from webrtc_host.archive.segment_file import GAP_SAMPLES_MAX, SLACK_SAMPLES, ChannelKey, SegmentFile
from webrtc_host.seams import SAMPLES_PER_MS, Clock, OpusPacket

logger = logging.getLogger(__name__)

WRITE_S = 0.05
OPEN_FILES_MAX = 4  # of one channel: live audio, and audio that fills earlier gaps
INBOX_BYTES_MAX = 64 * 1024 * 1024
"""One minute of 256 channels. When the disk blocks for longer, further packets are counted as lost."""
PACKET_OVERHEAD = 200  # bytes that a waiting packet takes besides its payload
RETRY_S = 2.0
SYNC_THREADS = 8
"""Several files are synced at the same time: the disk can combine the work."""
SPARE = 0.2
"""The part of `flush_ms` that is kept free for a round of syncs, however fast the last rounds were."""
FADE = 0.9
"""Per round, the estimated sync time falls to this part, unless the round was slower."""
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class WriterConfig:
    folder: Path
    flush_ms: int = 250
    segment_s: int = 300


@dataclass(frozen=True, slots=True)
class WriterStatistics:
    """Counters and measurements since the start."""

    packets: int
    bytes: int
    files: int  # begun
    files_open: int
    lost_ms: int  # audio that could not be archived
    waiting_bytes: int
    sync_ms: int  # estimated time of a round of syncs: the last round, or a slower one shortly before
    unsynced_ms_max: int  # the longest time from a packet's arrival to its sync
    unwritten_ms_max: int  # the longest time from a packet's arrival to its write
    is_degraded: bool
    rounds: int  # finished; packets that were put two rounds ago are written


class AudioWriter:
    """Archives packets.

    Call `put` in any thread; the callbacks and the file work run in the writer's threads.
    """

    def __init__(
        self,
        config: WriterConfig,
        *,
        on_opened: Callable[[ChannelKey, int, str], None] = lambda *_: None,
        on_closed: Callable[[ChannelKey, str, int], None] = lambda *_: None,
        free_space: Callable[[], bool] = lambda: False,
        clock: Clock = time.monotonic,
    ) -> None:
        """on_opened: called with key, first sample and stem of a file; on_closed: with key, stem and bytes.
        free_space: called when the disk is full; True when it has removed something.
        All callbacks run in the threads of the writer.
        """
        self._config = config
        self._on_opened, self._on_closed, self._free_space_callback = on_opened, on_closed, free_space
        self._clock = clock
        self._samples_max = config.segment_s * SAMPLE_RATE
        self._inbox: deque[tuple[ChannelKey, OpusPacket]] = deque()
        self._inbox_bytes = 0
        self._inbox_since_s = 0.0
        self._lock = threading.Lock()
        self._to_finish: list[tuple[ChannelKey, threading.Event]] = []
        self._open: dict[ChannelKey, list[SegmentFile]] = {}
        self._written_s: dict[SegmentFile, float] = {}  # time of the last write
        self._oldest_unsynced_s: float | None = None  # arrival of the oldest packet that no sync covers
        self._sync_s = 0.0
        self._is_syncing = False
        self._unsynced_s_max = self._unwritten_s_max = 0.0
        self._retry_s = 0.0
        self._packets = self._bytes = self._files = 0
        self._lost_samples = self._rounds = 0
        self._serial = int.from_bytes(os.urandom(3), "big")
        self._pool = ThreadPoolExecutor(SYNC_THREADS, thread_name_prefix="audio-sync")
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        # The second thread: it syncs and closes files, in order. None: the calling thread does it (tests).
        self._second_thread: ThreadPoolExecutor | None = None
        self.trouble: str | None = None
        """Why no audio is archived, for `/ready`; None while it is archived."""

    def start(self) -> None:
        self._second_thread = ThreadPoolExecutor(1, thread_name_prefix="audio-behind")
        self._thread = threading.Thread(target=self._run, name="audio-writer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write and sync all waiting packets, and close every file. Blocking."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        else:
            self._finish_all()
        if self._second_thread is not None:
            self._second_thread.shutdown()
        self._pool.shutdown()

    def put(self, key: ChannelKey, packets: Sequence[OpusPacket]) -> None:
        """Queue packets. Never waits, never raises. When the queue is full, they are lost and counted."""
        needed = sum(len(packet.payload) + PACKET_OVERHEAD for packet in packets)
        with self._lock:
            if self._inbox_bytes + needed > INBOX_BYTES_MAX:
                self._count_lost(packets)
                self._degrade("the disk is too slow")  # until the next successful write
                return
            if not self._inbox:
                self._inbox_since_s = self._clock()
            self._inbox_bytes += needed
            self._inbox.extend((key, packet) for packet in packets if ogg.samples_of(packet.payload))

    def finish(self, key: ChannelKey) -> threading.Event:
        """Let the open files of a channel be closed; later packets begin another file.

        Returns an event that is set when they are closed, and the packets put before are in them.
        """
        done = threading.Event()
        with self._lock:
            self._to_finish.append((key, done))
        return done

    def step(self) -> None:
        """One round: write the waiting packets, start a sync when it is due, close idle files."""
        now_s = self._clock()
        # Before the packets are taken: those that were put before a request are then in this batch.
        with self._lock:
            to_finish, self._to_finish = self._to_finish, []
        batch, since_s = self._take_batch()
        if batch and self._oldest_unsynced_s is None:
            self._oldest_unsynced_s = now_s - WRITE_S  # a packet may have waited up to a round in the queue
        for key, packets in batch.items():
            self._write(key, packets, now_s)
        if batch:
            self._unwritten_s_max = max(self._unwritten_s_max, self._clock() - since_s)
        self._sync_when_due()
        for key, done in to_finish:
            for file in list(self._open.get(key, ())):
                self._finish(key, file)
            self._run_in_second_thread(done.set)
        self._close_idle(now_s)
        self._rounds += 1

    def statistics(self) -> WriterStatistics:
        return WriterStatistics(
            packets=self._packets,
            bytes=self._bytes,
            files=self._files,
            files_open=sum(len(files) for files in list(self._open.values())),
            lost_ms=self._lost_samples // SAMPLES_PER_MS,
            waiting_bytes=self._inbox_bytes,
            sync_ms=round(self._sync_s * 1000),
            unsynced_ms_max=round(self._unsynced_s_max * 1000),
            unwritten_ms_max=round(self._unwritten_s_max * 1000),
            is_degraded=self.trouble is not None,
            rounds=self._rounds,
        )

    def _run(self) -> None:
        while not self._stop.wait(WRITE_S):
            self._safely(self.step)
        self._finish_all()

    def _finish_all(self) -> None:
        self._safely(self.step)
        self._safely(self._close_all)

    def _safely(self, act: Callable[[], None]) -> None:
        """Run `act` and log its errors: the thread must not end, else no more audio would be archived."""
        try:
            act()
        except Exception:
            logger.exception("the audio archive failed in a round")
            self._degrade("archiving failed; the server's log has the details")

    def _run_in_second_thread(self, act: Callable[[], None]) -> None:
        """Run slow disk work in the second thread, in the order of the calls."""
        if self._second_thread is None:
            act()
        else:
            self._second_thread.submit(self._safely, act)

    def _take_batch(self) -> tuple[dict[ChannelKey, list[OpusPacket]], float]:
        """The waiting packets by channel, and the arrival time of the oldest."""
        with self._lock:
            waiting, self._inbox = self._inbox, deque()
            self._inbox_bytes = 0
            since_s = self._inbox_since_s
        batch: dict[ChannelKey, list[OpusPacket]] = {}
        for key, packet in waiting:
            batch.setdefault(key, []).append(packet)
        return batch, since_s

    def _write(self, key: ChannelKey, packets: list[OpusPacket], now_s: float) -> None:
        if self.trouble is not None and now_s < self._retry_s:
            self._count_lost(packets)
            return
        while packets:
            try:
                packets = self._write_some(key, packets, now_s)
                self._recover()
            except OSError as error:
                if error.errno in FULL and self._free_space_callback():
                    continue
                self._fail(key, error, now_s)
                self._count_lost(packets)
                return

    def _write_some(self, key: ChannelKey, packets: list[OpusPacket], now_s: float) -> list[OpusPacket]:
        """Write the first packets, as many as belong into one file; returns the others."""
        file = self._file_for(key, packets[0], now_s)
        end, count = file.end_sample, 0
        for packet in packets:
            fits = -SLACK_SAMPLES <= packet.start_sample - end <= GAP_SAMPLES_MAX
            if count and not (fits and packet.end_sample - file.start_sample <= self._samples_max):
                break
            end, count = packet.end_sample, count + 1
        before = file.size
        file.write(packets[:count])
        self._written_s[file] = now_s
        self._packets += count
        self._bytes += file.size - before
        return packets[count:]

    def _file_for(self, key: ChannelKey, packet: OpusPacket, now_s: float) -> SegmentFile:
        files = self._open.setdefault(key, [])
        for file in files:
            if file.takes(packet, self._samples_max):
                return file
        full = [f for f in files if packet.end_sample - f.start_sample > self._samples_max > 0]
        for file in full if len(full) == 1 else []:
            if 0 <= packet.start_sample - file.end_sample <= GAP_SAMPLES_MAX:
                self._finish(key, file)  # full: the next packet begins a new file
        if len(files) >= OPEN_FILES_MAX:
            # Too many open files: close the one that was written longest ago.
            self._finish(key, min(files, key=lambda f: self._written_s.get(f, 0.0)))
        self._serial = (self._serial + 1) & 0xFFFFFFFF
        folder = self._config.folder / key.session / key.channel
        file = SegmentFile(folder, key, packet.start_sample, self._serial)
        self._open[key].append(file)
        self._written_s[file] = now_s
        self._files += 1
        self._on_opened(key, file.start_sample, file.stem)
        return file

    def _sync_when_due(self) -> None:
        """Start a sync round early enough that it ends within `flush_ms`.

        It is assumed to take as long as the slowest of the last rounds. Only one round runs at a time.
        """
        flush_s, oldest_s = self._config.flush_ms / 1000, self._oldest_unsynced_s
        if oldest_s is None or self._is_syncing:
            return
        # At most half of `flush_ms`: on a slow disk an earlier start would only sync all the time.
        needed_s = WRITE_S + min(max(self._sync_s, flush_s * SPARE), flush_s / 2)
        if self._clock() - oldest_s + needed_s < flush_s:
            return
        dirty = [f for files in self._open.values() for f in files if f.size > f.synced_size]
        # Reset before the round runs: what is written during the round needs the next one.
        self._oldest_unsynced_s, self._is_syncing = None, True
        self._run_in_second_thread(partial(self._sync, dirty, oldest_s))

    def _sync(self, dirty: Sequence[SegmentFile], oldest_s: float) -> None:
        began_s = self._clock()
        try:
            list(self._pool.map(SegmentFile.sync, dirty))
        except OSError as error:
            self._degrade(f"the disk reports an error for written data: {error.strerror}")
        finally:
            self._is_syncing = False
        ended_s = self._clock()
        # One slow round (another program's sync) makes the rounds of the next second start early, not all
        # later.
        self._sync_s = max(ended_s - began_s, self._sync_s * FADE)
        self._unsynced_s_max = max(self._unsynced_s_max, ended_s - oldest_s)

    def _close_idle(self, now_s: float) -> None:
        idle_s = GAP_SAMPLES_MAX / SAMPLE_RATE
        for key, files in list(self._open.items()):
            for file in list(files):
                if now_s - self._written_s[file] > idle_s:
                    self._finish(key, file)
            if not files:
                del self._open[key]

    def _close_all(self) -> None:
        for key, files in list(self._open.items()):
            for file in list(files):
                self._finish(key, file)

    def _finish(self, key: ChannelKey, file: SegmentFile) -> None:
        self._remove_from_open(key, file)
        self._run_in_second_thread(partial(self._close_file, key, file))

    def _close_file(self, key: ChannelKey, file: SegmentFile) -> None:
        try:
            file.finish()
        except OSError as error:
            logger.warning("the audio file %s/%s could not be closed: %s", key.channel, file.stem, error)
        self._on_closed(key, file.stem, file.size)

    def _remove_from_open(self, key: ChannelKey, file: SegmentFile) -> None:
        self._open[key].remove(file)
        self._written_s.pop(file, None)

    def _fail(self, key: ChannelKey, error: OSError, now_s: float) -> None:
        self._retry_s = now_s + RETRY_S
        if error.errno not in FULL:  # the file may stay broken, so the next try begins another one
            for file in list(self._open.get(key, [])):
                self._remove_from_open(key, file)
                self._run_in_second_thread(file.abandon)
        self._degrade("the disk is full" if error.errno in FULL else f"{error.strerror or error}")

    def _degrade(self, reason: str) -> None:
        if self.trouble is None:
            logger.error("audio is not being archived: %s; transcription continues", reason)
        self.trouble = reason

    def _recover(self) -> None:
        if self.trouble is not None:
            logger.info("audio is archived again")
            self.trouble = None

    def _count_lost(self, packets: Sequence[OpusPacket]) -> None:
        self._lost_samples += sum(packet.samples for packet in packets)
