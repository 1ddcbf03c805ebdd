"""The archive's writer: one thread that writes the packets of all channels, and one that syncs behind it.

Owns the open files, when they are synced, and what happens while the disk takes nothing. Callers hand a
packet over and go on. A packet is in the system's hands within WRITE_S, which outlives a killed process, and
on the disk within `flush_ms`, which outlives a power cut; a disk slower than that is measured, not hidden.
Writing never waits for a sync: while a disk takes its time, a killed process loses no more than otherwise.
Invariant: a file is a row of whole pages with at most one torn page at its end, after whatever crash.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from host_stt.contract import SAMPLE_RATE
from webrtc_host.archive import ogg
from webrtc_host.seams import SAMPLES_PER_MS, Clock, OpusPacket

logger = logging.getLogger(__name__)

WRITE_S = 0.05
GAP_SAMPLES_MAX = 5 * SAMPLE_RATE
"""A longer hole begins a new file; so long a file is kept open for what comes next."""
SLACK_SAMPLES = 16
"""Positions of neighbours that differ by less (1 ms) are neighbours."""
OPEN_FILES_MAX = 4  # of one channel: live, and what is filled in behind it
INBOX_BYTES_MAX = 64 * 1024 * 1024
"""A minute of 256 channels; what comes beyond it, on a disk that stands still, is counted as lost."""
PACKET_OVERHEAD = 200  # bytes a waiting packet takes besides its payload
RETRY_S = 2.0
SYNC_THREADS = 8
"""Syncs of several files at one time share the disk's work."""
SPARE = 0.2
"""Of `flush_ms`, kept free for a round of syncs however quick the last ones were."""
FADE = 0.9
"""What a slow round counts for in the next one."""
PART, DONE, CORRUPT = ".part", ".opus", ".corrupt"
TICKS = ogg.MEDIA_RATE // SAMPLE_RATE
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Whose sound it is."""

    session: str
    channel: str


@dataclass(frozen=True, slots=True)
class WriterConfig:
    folder: Path
    flush_ms: int = 250
    segment_s: int = 300


@dataclass(frozen=True, slots=True)
class WriterStatistics:
    packets: int
    bytes: int
    files: int  # begun
    files_open: int
    lost_ms: int  # sound that could not be kept
    waiting_bytes: int
    sync_ms: int  # the last round of syncs took
    unsynced_ms_max: int  # the longest a packet was not on the disk, since the start
    unwritten_ms_max: int  # and the longest it was in this process alone
    is_degraded: bool
    rounds: int  # finished; what was put two rounds ago is written


class SegmentFile:
    """One file while it is written. Blocking."""

    def __init__(self, folder: Path, place: Place, start_sample: int, serial: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.stem = _free_stem(folder, start_sample)
        self.folder = folder
        self.start_sample = self.end_sample = start_sample
        self.size = self.synced_size = 0
        self._serial = serial
        self._sequence = 0
        self._is_listed = False  # its name in the folder is on the disk
        self._fd = os.open(folder / (self.stem + PART), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        comments = {"TITLE": place.channel, "SESSION": place.session, "START_SAMPLE": str(start_sample)}
        try:
            self._append(ogg.page([ogg.opus_head()], 0, serial, 0, ogg.FIRST_PAGE))
            self._append(ogg.page([ogg.opus_tags(comments)], 0, serial, 1))
        except OSError:
            os.close(self._fd)
            os.unlink(folder / (self.stem + PART))
            raise
        self._sequence = 2

    def takes(self, packet: OpusPacket, samples_max: int) -> bool:
        """True when the packet belongs here: after the newest one, not long after, and the file is not
        full.
        """
        gap = packet.start_sample - self.end_sample
        return (
            -SLACK_SAMPLES <= gap <= GAP_SAMPLES_MAX
            and packet.end_sample - self.start_sample <= samples_max + SLACK_SAMPLES
        )

    def write(self, packets: Sequence[OpusPacket]) -> None:
        """Append them, all or none. A hole begins a page, so that every page tells its own time."""
        pages, sequence, end = [], self._sequence, self.end_sample
        for run in _runs(packets):
            end = run[-1].end_sample
            granule = max(0, end - self.start_sample) * TICKS
            pages.append(ogg.page([p.payload for p in run], granule, self._serial, sequence))
            sequence += 1
        self._append(b"".join(pages))
        self._sequence, self.end_sample = sequence, end

    def sync(self) -> None:
        size = self.size
        os.fsync(self._fd)
        if not self._is_listed:
            for folder in (self.folder, self.folder.parent, self.folder.parent.parent):
                _sync_folder(folder)
            self._is_listed = True
        self.synced_size = size

    def finish(self) -> None:
        """Sync, close, and give the file its lasting name."""
        try:
            self.sync()
        finally:
            os.close(self._fd)
        os.rename(self.folder / (self.stem + PART), self.folder / (self.stem + DONE))

    def abandon(self) -> None:
        """Close it as it is; the next start looks it over."""
        os.close(self._fd)

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            os.ftruncate(self._fd, self.size)
            os.lseek(self._fd, self.size, os.SEEK_SET)
            raise
        self.size += len(data)


def _free_stem(folder: Path, start_sample: int) -> str:
    stem = f"{start_sample:014d}"
    for number in range(1, 1000):
        name = stem if number == 1 else f"{stem}-{number}"
        if not any((folder / (name + suffix)).exists() for suffix in (PART, DONE)):
            return name
    raise OSError(errno.EEXIST, "a thousand files begin at this sample", str(folder / stem))


def _runs(packets: Sequence[OpusPacket]) -> Iterator[list[OpusPacket]]:
    """Neighbours that one page can hold."""
    run: list[OpusPacket] = []
    segments = 0
    for packet in packets:
        needed = ogg.segments_of(packet.payload)
        is_apart = run and abs(packet.start_sample - run[-1].end_sample) > SLACK_SAMPLES
        if run and (is_apart or segments + needed > ogg.SEGMENTS_MAX):
            yield run
            run, segments = [], 0
        run.append(packet)
        segments += needed
    if run:
        yield run


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class AudioWriter:
    """`put` from any thread; the rest happens in the writer's."""

    def __init__(
        self,
        config: WriterConfig,
        *,
        on_opened: Callable[[Place, int, str], None] = lambda *_: None,
        on_closed: Callable[[Place, str, int], None] = lambda *_: None,
        make_room: Callable[[], bool] = lambda: False,
        clock: Clock = time.monotonic,
    ) -> None:
        """on_opened: told place, first sample and stem of a file; on_closed: place, stem and bytes.
        make_room: asked once when the disk is full; True when something was removed. All in the thread.
        """
        self._config = config
        self._on_opened, self._on_closed, self._make_room = on_opened, on_closed, make_room
        self._clock = clock
        self._samples_max = config.segment_s * SAMPLE_RATE
        self._inbox: deque[tuple[Place, OpusPacket]] = deque()
        self._inbox_bytes = 0
        self._inbox_since_s = 0.0
        self._lock = threading.Lock()
        self._open: dict[Place, list[SegmentFile]] = {}
        self._written_s: dict[SegmentFile, float] = {}
        self._oldest_unsynced_s: float | None = None
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
        self._behind: ThreadPoolExecutor | None = None  # syncs and closes, one after the other; None: inline
        self.trouble: str | None = None
        """Why nothing is being kept, in plain words."""

    def start(self) -> None:
        self._behind = ThreadPoolExecutor(1, thread_name_prefix="audio-behind")
        self._thread = threading.Thread(target=self._run, name="audio-writer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write and sync what waits, close every file. Blocking."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        else:
            self._finish_all()
        if self._behind is not None:
            self._behind.shutdown()
        self._pool.shutdown()

    def put(self, place: Place, packets: Sequence[OpusPacket]) -> None:
        """Take packets over. Never waits, never raises; when too much waits they are lost and counted."""
        needed = sum(len(packet.payload) + PACKET_OVERHEAD for packet in packets)
        with self._lock:
            if self._inbox_bytes + needed > INBOX_BYTES_MAX:
                self._lose(packets)
                self._degrade("the disk is too slow")  # until something can be written again
                return
            if not self._inbox:
                self._inbox_since_s = self._clock()
            self._inbox_bytes += needed
            self._inbox.extend((place, packet) for packet in packets if ogg.samples_of(packet.payload))

    def step(self) -> None:
        """One round: write what waits, sync what is due, close what is idle."""
        now_s = self._clock()
        batch, since_s = self._take()
        if batch and self._oldest_unsynced_s is None:
            self._oldest_unsynced_s = now_s - WRITE_S  # it may have waited for this round
        for place, packets in batch.items():
            self._write(place, packets, now_s)
        if batch:
            self._unwritten_s_max = max(self._unwritten_s_max, self._clock() - since_s)
        self._sync_when_due()
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
        """The thread outlives whatever happens: without it nothing more would be kept."""
        try:
            act()
        except Exception:
            logger.exception("the audio archive failed in a round")
            self._degrade("keeping audio failed; the log has the details")

    def _do_behind(self, act: Callable[[], None]) -> None:
        """What may take the disk a while: by the second thread, in the order it is given here."""
        if self._behind is None:
            act()
        else:
            self._behind.submit(self._safely, act)

    def _take(self) -> tuple[dict[Place, list[OpusPacket]], float]:
        """What waits, and since when the first of it does."""
        with self._lock:
            waiting, self._inbox = self._inbox, deque()
            self._inbox_bytes = 0
            since_s = self._inbox_since_s
        batch: dict[Place, list[OpusPacket]] = {}
        for place, packet in waiting:
            batch.setdefault(place, []).append(packet)
        return batch, since_s

    def _write(self, place: Place, packets: list[OpusPacket], now_s: float) -> None:
        if self.trouble is not None and now_s < self._retry_s:
            self._lose(packets)
            return
        while packets:
            try:
                packets = self._write_some(place, packets, now_s)
                self._recover()
            except OSError as error:
                if error.errno in FULL and self._make_room():
                    continue
                self._fail(place, error, now_s)
                self._lose(packets)
                return

    def _write_some(self, place: Place, packets: list[OpusPacket], now_s: float) -> list[OpusPacket]:
        """Write the first ones, as many as go into one file; the others."""
        file = self._file_for(place, packets[0], now_s)
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

    def _file_for(self, place: Place, packet: OpusPacket, now_s: float) -> SegmentFile:
        files = self._open.setdefault(place, [])
        for file in files:
            if file.takes(packet, self._samples_max):
                return file
        full = [f for f in files if packet.end_sample - f.start_sample > self._samples_max > 0]
        for file in full if len(full) == 1 else []:
            if 0 <= packet.start_sample - file.end_sample <= GAP_SAMPLES_MAX:
                self._finish(place, file)  # what follows it goes on in a new file
        if len(files) >= OPEN_FILES_MAX:
            self._finish(place, min(files, key=lambda f: self._written_s.get(f, 0.0)))
        self._serial = (self._serial + 1) & 0xFFFFFFFF
        folder = self._config.folder / place.session / place.channel
        file = SegmentFile(folder, place, packet.start_sample, self._serial)
        self._open[place].append(file)
        self._written_s[file] = now_s
        self._files += 1
        self._on_opened(place, file.start_sample, file.stem)
        return file

    def _sync_when_due(self) -> None:
        """One round at a time, begun early enough to be done in time when it takes as long as the slowest of
        the last few.
        """
        flush_s, oldest_s = self._config.flush_ms / 1000, self._oldest_unsynced_s
        if oldest_s is None or self._is_syncing:
            return
        needed_s = WRITE_S + min(max(self._sync_s, flush_s * SPARE), flush_s / 2)
        if self._clock() - oldest_s + needed_s < flush_s:
            return
        dirty = [f for files in self._open.values() for f in files if f.size > f.synced_size]
        self._oldest_unsynced_s, self._is_syncing = None, True
        self._do_behind(partial(self._sync, dirty, oldest_s))

    def _sync(self, dirty: Sequence[SegmentFile], oldest_s: float) -> None:
        began_s = self._clock()
        try:
            list(self._pool.map(SegmentFile.sync, dirty))
        except OSError as error:
            self._degrade(f"the disk does not keep what is written: {error.strerror}")
        finally:
            self._is_syncing = False
        ended_s = self._clock()
        # One slow round (a checkpoint of something else) makes the next second's early, not all later ones.
        self._sync_s = max(ended_s - began_s, self._sync_s * FADE)
        self._unsynced_s_max = max(self._unsynced_s_max, ended_s - oldest_s)

    def _close_idle(self, now_s: float) -> None:
        idle_s = GAP_SAMPLES_MAX / SAMPLE_RATE
        for place, files in list(self._open.items()):
            for file in list(files):
                if now_s - self._written_s[file] > idle_s:
                    self._finish(place, file)
            if not files:
                del self._open[place]

    def _close_all(self) -> None:
        for place, files in list(self._open.items()):
            for file in list(files):
                self._finish(place, file)

    def _finish(self, place: Place, file: SegmentFile) -> None:
        self._forget(place, file)
        self._do_behind(partial(self._finish_behind, place, file))

    def _finish_behind(self, place: Place, file: SegmentFile) -> None:
        try:
            file.finish()
        except OSError as error:
            logger.warning("the audio file %s/%s could not be closed: %s", place.channel, file.stem, error)
        self._on_closed(place, file.stem, file.size)

    def _forget(self, place: Place, file: SegmentFile) -> None:
        self._open[place].remove(file)
        self._written_s.pop(file, None)

    def _fail(self, place: Place, error: OSError, now_s: float) -> None:
        self._retry_s = now_s + RETRY_S
        if error.errno not in FULL:  # this file may be broken for good; the next try begins another
            for file in list(self._open.get(place, [])):
                self._forget(place, file)
                self._do_behind(file.abandon)
        self._degrade("the disk is full" if error.errno in FULL else f"{error.strerror or error}")

    def _degrade(self, reason: str) -> None:
        if self.trouble is None:
            logger.error("sound is not being kept: %s; text goes on", reason)
        self.trouble = reason

    def _recover(self) -> None:
        if self.trouble is not None:
            logger.info("sound is being kept again")
            self.trouble = None

    def _lose(self, packets: Sequence[OpusPacket]) -> None:
        self._lost_samples += sum(packet.samples for packet in packets)
