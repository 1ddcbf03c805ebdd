"""The archive: stores the audio of every channel as it came, before it is decoded, and reads it back.

This module connects the writer's thread, the encoder's thread and the files. It has no events and no text.
When audio cannot be stored, `trouble` says why, and everything else continues.
Invariant: `archive_packet` and `archive_block` never wait and never raise.
"""

from __future__ import annotations

import errno
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from host_stt.contract import SAMPLE_RATE
from webrtc_host.archive.block_encoder import BlockEncoder
from webrtc_host.archive.files import ArchiveFile, Index, end_of, packets_of, path_of, scan
from webrtc_host.archive.redaction import RedactedRanges, damaged_in, without_range
from webrtc_host.archive.retention import SHED_BYTES, Holds, RetentionConfig, due, oldest
from webrtc_host.archive.segment_file import DONE, GAP_SAMPLES_MAX, PART, SLACK_SAMPLES, ChannelKey
from webrtc_host.archive.upload_reservations import UploadReservations
from webrtc_host.archive.writer import AudioWriter, WriterConfig
from webrtc_host.config import ArchiveConfig
from webrtc_host.seams import Block, OpusPacket

logger = logging.getLogger(__name__)

FOLDER = "audio"
SHED_PART = 50
"""At most one fiftieth of a full disk is freed at a time, so that on a small disk most audio stays."""


FINISH_S = 5.0
"""Time for the writer to close the newest files of a channel before its audio is redacted."""


class _Disk(Protocol):
    @property
    def total(self) -> int: ...

    @property
    def free(self) -> int: ...


class ChannelArchive:
    """The archive of one channel, as `seams.AudioArchive` defines it."""

    def __init__(self, key: ChannelKey, archive: Archive) -> None:
        self._key = key
        self._archive = archive

    @property
    def is_keeping(self) -> bool:
        return self._archive.trouble is None

    def archive_packet(self, packet: OpusPacket) -> None:
        self._archive.put(self._key, (packet,))

    def archive_block(self, block: Block) -> None:
        self._archive.encoder.put(self._key, block)


class Archive:
    """All channels. Methods that read or remove files block, and so do `open` and `close`: use a thread."""

    def __init__(
        self,
        config: ArchiveConfig,
        data_folder: Path,
        *,
        wall_s: Callable[[], float] = time.time,
        read_holds: Callable[[], Holds | None] = Holds,
    ) -> None:
        """data_folder: the audio is in its subfolder `audio`.

        read_holds: called in the writer's thread when the disk is full. None: the holds are not known, and no
        file may be removed.
        """
        self.config = config
        self.folder = data_folder / FOLDER
        self._wall_s = wall_s
        self._lock = threading.Lock()
        self._index = Index()
        self._writing: set[tuple[ChannelKey, str]] = set()
        self._redacted = RedactedRanges()
        self._read_holds = read_holds
        self.removed_bytes = 0
        self.shed_files = 0  # files removed because the disk was full
        self.shed_wall_s = 0.0  # time of the last such removal, since 1970
        self.writer = AudioWriter(
            WriterConfig(self.folder, config.flush_ms, config.segment_s),
            on_opened=self._on_file_opened,
            on_closed=self._on_file_closed,
            free_space=self._free_space,
        )
        self.uploads = UploadReservations(
            lambda space_freed: BlockEncoder(self.put, on_space_freed=space_freed)
        )
        self.encoder = self.uploads.encoder

    def open(self) -> None:
        """Repair the files that a crash left, list all files, and start the writer."""
        try:
            found = scan(self.folder)
            with self._lock:
                self._index = found
        except OSError as error:
            logger.error("the archived audio in %s cannot be listed: %s", self.folder, error)
        self.writer.start()

    def close(self) -> None:
        self.encoder.close()
        self.writer.close()

    def of_channel(self, session: str, channel: str) -> ChannelArchive:
        return ChannelArchive(ChannelKey(session, channel), self)

    @property
    def trouble(self) -> str | None:
        """Why audio is not archived, in plain words; None while it is."""
        return self.writer.trouble or self.encoder.trouble

    def packets(self, key: ChannelKey, from_sample: int, to_sample: int) -> list[OpusPacket]:
        """The packets that overlap [from_sample, to_sample), in order."""
        found: list[OpusPacket] = []
        for file in self._files_over(key, from_sample, to_sample):
            found += [
                packet
                for packet in packets_of(self.folder, file)
                if packet.end_sample > from_sample and packet.start_sample < to_sample
            ]
        found.sort(key=lambda packet: packet.start_sample)
        return found

    def runs(self, key: ChannelKey, from_sample: int, to_sample: int) -> list[tuple[int, int]]:
        """The contiguous stretches of archived audio in [from_sample, to_sample)."""
        runs: list[tuple[int, int]] = []
        for packet in self.packets(key, from_sample, to_sample):
            if runs and packet.start_sample <= runs[-1][1] + SLACK_SAMPLES:
                runs[-1] = (runs[-1][0], max(runs[-1][1], packet.end_sample))
            else:
                runs.append((packet.start_sample, packet.end_sample))
        return runs

    def end_before(self, key: ChannelKey, limit_sample: int) -> int:
        """End of the newest packet that begins before `limit_sample`; 0 when there is none.

        It may not be in the file that begins last: audio that filled an earlier gap has a file of its own.
        """
        with self._lock:
            files = self._index.of(key)
        newest = 0
        # A file that begins this long before `newest` cannot reach beyond it, nor can the files before it.
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

    def channels(self) -> list[ChannelKey]:
        with self._lock:
            return self._index.channels()

    def put(self, key: ChannelKey, packets: Sequence[OpusPacket]) -> None:
        """Queue packets for the files. Never waits. Late audio of a redacted range is dropped."""
        self.writer.put(key, self._redacted.outside(key, packets))

    def redact(self, key: ChannelKey, from_sample: int, to_sample: int) -> int:
        """Remove the audio of a range for good; returns the number of removed samples.

        Packets that touch the range are removed as a whole, so up to 120 ms beside it go, too. Blocking.
        Raises OSError when a file cannot be rewritten; what was removed before stays removed.
        """
        self._redacted.add(key, from_sample, to_sample)
        if not self.writer.finish(key).wait(FINISH_S):
            raise OSError(
                errno.EBUSY, "the newest audio is still being written", f"{key.session}/{key.channel}"
            )
        removed = 0
        for file in self._files_over(key, from_sample, to_sample):
            removed += self._redact_file(file, from_sample, to_sample)
        return removed

    def _redact_file(self, file: ArchiveFile, from_sample: int, to_sample: int) -> int:
        kept = without_range(self.folder, file, from_sample, to_sample)
        if kept.removed_samples:
            with self._lock:
                self._index.remove(file)
                if kept.bytes:
                    self._index.add(replace(file, bytes=kept.bytes))
            self.removed_bytes += max(0, file.bytes - kept.bytes)
        return kept.removed_samples

    def damaged_files(self, key: ChannelKey) -> list[str]:
        """Names of damaged files of a channel, which `redact` does not change. Blocking."""
        return damaged_in(self.folder, key)

    def remove(self, session: str) -> None:
        """Remove all audio of a session. The caller has checked that no hold protects it."""
        with self._lock:
            files = [f for f in self._index if f.key.session == session]
        self._delete(files)
        self._redacted.forget(session)
        shutil.rmtree(self.folder / session, ignore_errors=True)

    def apply_retention(self, holds: Holds) -> int:
        """Remove the files that the rules choose; returns their number. holds: as they are now."""
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
            logger.info(
                "%d audio files are older than the rules keep them, or their space is needed", len(chosen)
            )
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
        """The longest file: `segment_s`, or an hour for files that were written with another setting."""
        return max(self.config.segment_s, 3600) * SAMPLE_RATE + GAP_SAMPLES_MAX

    def _files_over(self, key: ChannelKey, from_sample: int, to_sample: int) -> list[ArchiveFile]:
        with self._lock:
            files = self._index.of(key)
        return [f for f in files if from_sample - self._longest_samples < f.start_sample < to_sample]

    def _on_file_opened(self, key: ChannelKey, start_sample: int, stem: str) -> None:
        with self._lock:
            self._index.add(ArchiveFile(start_sample, stem, key, 0, self._wall_s()))
            self._writing.add((key, stem))

    def _on_file_closed(self, key: ChannelKey, stem: str, size: int) -> None:
        with self._lock:
            self._writing.discard((key, stem))
            known = next((f for f in self._index.of(key) if f.stem == stem), None)
            if known is not None:
                self._index.replace(ArchiveFile(known.start_sample, stem, key, size, self._wall_s()))

    def _free_space(self) -> bool:
        """Free space on a full disk: remove the oldest audio without a hold. False when there is none."""
        holds = self._read_holds()
        if holds is None:
            return False
        with self._lock:
            writing = self._writing
            unheld = [f for f in self._index if f.key not in holds and (f.key, f.stem) not in writing]
        unheld.sort(key=lambda file: (file.modified_s, file.start_sample))
        chosen = oldest(unheld, min(SHED_BYTES, self._disk().total // SHED_PART))
        if chosen:
            logger.error("the disk is full: the %d oldest audio files are removed", len(chosen))
        freed = self._delete(chosen)
        if freed:
            self.shed_files += len(chosen)
            self.shed_wall_s = self._wall_s()
        return freed > 0

    def _delete(self, files: Iterable[ArchiveFile]) -> int:
        """Delete the files; returns the number of bytes that were freed."""
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
