"""The archive: the sound of every channel as it came, kept ahead of its decoding.

Puts together the writer's thread, the encoder's thread and the files, and answers what is kept of a channel.
Knows no event and no text; where there is no room it says so (`trouble`) and everything else goes on.
Invariant: `keep_packet` and `keep_block` never wait and never raise.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from host_stt.contract import SAMPLE_RATE
from webrtc_host.archive.block_encoder import BlockEncoder
from webrtc_host.archive.files import Index, KeptFile, end_of, packets_of, path_of, scan
from webrtc_host.archive.retention import SHED_BYTES, Holds, RetentionConfig, due, oldest
from webrtc_host.archive.upload_reservations import UploadReservations
from webrtc_host.archive.writer import (
    DONE,
    GAP_SAMPLES_MAX,
    PART,
    SLACK_SAMPLES,
    AudioWriter,
    Place,
    WriterConfig,
)
from webrtc_host.config import ArchiveConfig
from webrtc_host.seams import Block, OpusPacket

logger = logging.getLogger(__name__)

FOLDER = "audio"
SHED_PART = 50
"""At most a fiftieth of a full disk is cleared at one time, so that a small one keeps what it can."""


class _Disk(Protocol):
    @property
    def total(self) -> int: ...

    @property
    def free(self) -> int: ...


class ChannelKeeper:
    """`seams.AudioKeeper` of one channel."""

    def __init__(self, place: Place, archive: Archive) -> None:
        self._place = place
        self._archive = archive

    def keep_packet(self, packet: OpusPacket) -> None:
        self._archive.writer.put(self._place, (packet,))

    def keep_block(self, block: Block) -> None:
        self._archive.encoder.put(self._place, block)


class Archive:
    """`open` and `close` block and belong in a thread, as all that reads or removes files."""

    def __init__(
        self,
        config: ArchiveConfig,
        data_folder: Path,
        *,
        wall_s: Callable[[], float] = time.time,
        read_holds: Callable[[], Holds | None] = Holds,
    ) -> None:
        """data_folder: the sound lies in its folder `audio`.

        read_holds: called in the writer's thread when the disk is full; None: nothing may go.
        """
        self.config = config
        self.folder = data_folder / FOLDER
        self._wall_s = wall_s
        self._lock = threading.Lock()
        self._index = Index()
        self._writing: set[tuple[Place, str]] = set()
        self._read_holds = read_holds
        self.removed_bytes = 0
        self.shed_files = 0  # removed because the disk was full
        self.shed_wall_s = 0.0  # when the last of them was
        self.writer = AudioWriter(
            WriterConfig(self.folder, config.flush_ms, config.segment_s),
            on_opened=self._opened,
            on_closed=self._closed,
            make_room=self._shed,
        )
        self.encoder = BlockEncoder(self.writer.put)
        self.uploads = UploadReservations(self.encoder)

    def open(self) -> None:
        """Mend what a crash left, list what is there, begin to keep."""
        try:
            found = scan(self.folder)
            with self._lock:
                self._index = found
        except OSError as error:
            logger.error("the kept sound in %s cannot be listed: %s", self.folder, error)
        self.writer.start()

    def close(self) -> None:
        self.encoder.close()
        self.writer.close()

    def keeper(self, session: str, channel: str) -> ChannelKeeper:
        return ChannelKeeper(Place(session, channel), self)

    @property
    def trouble(self) -> str | None:
        """Why sound is not being kept, in plain words; None while it is."""
        return self.writer.trouble or self.encoder.trouble

    def packets(self, place: Place, from_sample: int, to_sample: int) -> list[OpusPacket]:
        """What is kept of [from_sample, to_sample), in order; packets that only reach into it too."""
        found: list[OpusPacket] = []
        for file in self._files_over(place, from_sample, to_sample):
            found += [
                packet
                for packet in packets_of(self.folder, file)
                if packet.end_sample > from_sample and packet.start_sample < to_sample
            ]
        found.sort(key=lambda packet: packet.start_sample)
        return found

    def runs(self, place: Place, from_sample: int, to_sample: int) -> list[tuple[int, int]]:
        """The unbroken stretches of it."""
        runs: list[tuple[int, int]] = []
        for packet in self.packets(place, from_sample, to_sample):
            if runs and packet.start_sample <= runs[-1][1] + SLACK_SAMPLES:
                runs[-1] = (runs[-1][0], max(runs[-1][1], packet.end_sample))
            else:
                runs.append((packet.start_sample, packet.end_sample))
        return runs

    def end_before(self, place: Place, limit_sample: int) -> int:
        """End of the newest packet that begins before `limit_sample`; 0 when none is kept.

        It need not lie in the file that begins last: what is filled in behind other sound has its own.
        """
        with self._lock:
            files = self._index.of(place)
        newest = 0
        for file in reversed([f for f in files if f.start_sample < limit_sample]):
            if file.start_sample + self._longest_samples <= newest:
                break
            end = end_of(self.folder, file)
            if end > limit_sample:
                starts = (p for p in packets_of(self.folder, file) if p.start_sample < limit_sample)
                end = max((p.end_sample for p in starts), default=0)
            if end > file.start_sample:
                newest = max(newest, end)
        return newest

    def places(self) -> list[Place]:
        with self._lock:
            return self._index.places()

    def remove(self, session: str) -> None:
        """All sound of a session; the caller has seen to it that nothing holds it."""
        with self._lock:
            files = [f for f in self._index if f.place.session == session]
        self._delete(files)
        shutil.rmtree(self.folder / session, ignore_errors=True)

    def apply_retention(self, holds: Holds) -> int:
        """Remove what is due; how many files. holds: as they are now."""
        keeping = self.config
        rules = RetentionConfig(
            keep_days=keeping.keep_days,
            keep_days_of={one.channel: one.keep_days for one in keeping.keep_days_of},
            keep_bytes=keeping.keep_bytes,
            free_bytes_min=keeping.free_bytes_min,
        )
        with self._lock:
            files, writing = list(self._index), set(self._writing)
        chosen = due(
            files, rules, holds, now_s=self._wall_s(), free_bytes=self._disk().free, open_stems=writing
        )
        if chosen:
            logger.info("%d files of sound are past their time, or no room is left for them", len(chosen))
        self._delete(chosen)
        return len(chosen)

    def statistics(self) -> dict[str, float]:
        figures = self.writer.statistics()
        with self._lock:
            held_bytes = sum(file.bytes for file in self._index)
        return {
            "packets": figures.packets,
            "bytes": figures.bytes,
            "files_open": figures.files_open,
            "held_bytes": held_bytes,
            "removed_bytes": self.removed_bytes,
            "lost_ms": figures.lost_ms + self.encoder.lost_ms,
            "waiting_bytes": figures.waiting_bytes,
            "encoding_ms": self.encoder.waiting_ms,
            "sync_ms": figures.sync_ms,
            "unsynced_ms_max": figures.unsynced_ms_max,
            "unwritten_ms_max": figures.unwritten_ms_max,
            "is_degraded": float(figures.is_degraded),
        }

    @property
    def _longest_samples(self) -> int:
        """A file is no longer than `segment_s`; one of a server configured otherwise may be."""
        return max(self.config.segment_s, 3600) * SAMPLE_RATE + GAP_SAMPLES_MAX

    def _files_over(self, place: Place, from_sample: int, to_sample: int) -> list[KeptFile]:
        with self._lock:
            files = self._index.of(place)
        return [f for f in files if from_sample - self._longest_samples < f.start_sample < to_sample]

    def _opened(self, place: Place, start_sample: int, stem: str) -> None:
        with self._lock:
            self._index.add(KeptFile(start_sample, stem, place, 0, self._wall_s()))
            self._writing.add((place, stem))

    def _closed(self, place: Place, stem: str, size: int) -> None:
        with self._lock:
            self._writing.discard((place, stem))
            known = next((f for f in self._index.of(place) if f.stem == stem), None)
            if known is not None:
                self._index.replace(KeptFile(known.start_sample, stem, place, size, self._wall_s()))

    def _shed(self) -> bool:
        """The disk is full: the oldest sound outside holds goes. False when there is none to give."""
        holds = self._read_holds()
        if holds is None:
            return False
        with self._lock:
            writing = self._writing
            free = [f for f in self._index if f.place not in holds and (f.place, f.stem) not in writing]
        free.sort(key=lambda file: (file.modified_s, file.start_sample))
        chosen = oldest(free, min(SHED_BYTES, self._disk().total // SHED_PART))
        if chosen:
            logger.error("the disk is full: the %d oldest files of sound are removed", len(chosen))
        freed = self._delete(chosen)
        if freed:
            self.shed_files += len(chosen)
            self.shed_wall_s = self._wall_s()
        return freed > 0

    def _delete(self, files: Iterable[KeptFile]) -> int:
        """How many bytes were given back."""
        freed = 0
        for file in files:
            for suffix in (DONE, PART):
                path = path_of(self.folder, file, suffix)
                try:
                    path.unlink()
                    freed += file.bytes
                except FileNotFoundError:
                    continue
                except OSError as error:
                    logger.warning("the audio file %s cannot be removed: %s", path, error)
            with self._lock:
                self._index.remove(file)
        self.removed_bytes += freed
        return freed

    def _disk(self) -> _Disk:
        return shutil.disk_usage(self.folder if self.folder.exists() else self.folder.parent)
