"""Download a model's files and verify them.

huggingface_hub's own downloader removes a partial file after a failure, and checks sizes, not hashes (version
2.4.0, 2026-11-21). A file of 1.6 GB over a slow network must resume, and the weights must be those of the
hub. Invariant: the target folder appears complete and verified, or not at all.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from host_stt.errors import HubUnreachable, ModelDamaged, ModelError
from host_stt.hub import RemoteFile, RemoteModel, file_url, open_url, reason_of, refusal_of

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20
_ATTEMPTS = 3  # attempts without a new byte; each new byte resets the count


@dataclass(frozen=True, slots=True)
class Progress:
    file: str
    done_bytes: int  # of all files of the model
    total_bytes: int


OnProgress = Callable[[Progress], None]


def fetch(model: RemoteModel, folder: Path, stall_s: float, on_progress: OnProgress | None = None) -> None:
    """Download the model's files to `folder`, resume partial files of an earlier run, and verify each file.

    Raises ModelDamaged if a file differs from the hub's (it is removed), HubUnreachable if no more bytes
    arrive (the partial file is kept for the next run), ModelError if the disk is too small.
    """
    incoming = folder.with_name(folder.name + ".incoming")
    incoming.mkdir(parents=True, exist_ok=True)
    with FileLock(lock_of(folder)):
        if folder.is_dir():
            return  # another process has downloaded it meanwhile
        _check_room(model, incoming)
        meter = Meter(model.repository, model.total_bytes, on_progress)
        try:
            for file in model.files:
                _fetch_file(model, file, incoming, stall_s, meter)
        finally:
            meter.close()
        incoming.rename(folder)
    logger.info("model %s downloaded to %s (%d bytes, verified)", model.repository, folder, model.total_bytes)


def _fetch_file(model: RemoteModel, file: RemoteFile, incoming: Path, stall_s: float, meter: Meter) -> None:
    target = incoming / file.name
    if not is_whole(target, file):
        part = incoming / f"{file.name}.{file.digest[:16]}.part"
        _bring(model, file, part, stall_s, meter)
        if not is_whole(part, file):
            part.unlink(missing_ok=True)
            raise ModelDamaged(
                f"{file.name} of {model.repository} differs from what was announced, and was "
                f"removed. Try again; if this happens again, a proxy or mirror changes the file"
            )
        part.replace(target)
    meter.finished(file)


def _bring(model: RemoteModel, file: RemoteFile, part: Path, stall_s: float, meter: Meter) -> None:
    """Download to `part` until it has the file's size."""
    attempts = 0
    while (have := part.stat().st_size if part.exists() else 0) < file.size_bytes:
        attempts += 1
        try:
            _append(model, file, part, have, stall_s, meter)
            error: Exception | None = None
        except urllib.error.HTTPError as refusal:
            if refusal.code < 500:
                raise refusal_of(model.repository, refusal, model.base_url) from refusal
            refusal.close()
            error = refusal
        except (OSError, HTTPException) as broken:
            if not part.parent.is_dir() or shutil.disk_usage(part.parent).free == 0:
                raise ModelError(f"cannot write {part}: {reason_of(broken)}") from broken
            error = broken
        now = part.stat().st_size if part.exists() else 0
        if now > have:
            attempts = 0
        elif attempts >= _ATTEMPTS:
            raise HubUnreachable(
                f"{file.name} of {model.repository} stopped at {now} of {file.size_bytes} bytes "
                f"({reason_of(error) if error else 'the server closed early'}); the next start resumes there"
            ) from error
        if now < file.size_bytes:
            time.sleep(0.2 * attempts)


def _append(
    model: RemoteModel, file: RemoteFile, part: Path, have: int, stall_s: float, meter: Meter
) -> None:
    headers = {"Range": f"bytes={have}-"} if have else {}
    with open_url(file_url(model, file.name), stall_s, headers) as response:
        is_rest = have > 0 and response.status == 206
        with part.open("ab" if is_rest else "wb") as out:
            done = have if is_rest else 0
            while done < file.size_bytes and (chunk := response.read1(_CHUNK_BYTES)):
                out.write(chunk[: file.size_bytes - done])
                done += len(chunk)
                meter.reached(file, done)


def lock_of(folder: Path) -> Path:
    """The lock file for the process that downloads this folder, from any source."""
    return folder.with_name(folder.name + ".incoming.lock")


def is_whole(path: Path, file: RemoteFile) -> bool:
    """True if the file exists with the announced size and content."""
    if not path.is_file() or path.stat().st_size != file.size_bytes:
        return False
    if file.sha256:
        digest = hashlib.sha256()
    else:
        # git's blob id, the only hash that the hub has for small files
        digest = hashlib.sha1(usedforsecurity=False)
        digest.update(b"blob %d\0" % file.size_bytes)
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest() == file.digest


def _check_room(model: RemoteModel, incoming: Path) -> None:
    have = sum(path.stat().st_size for path in incoming.iterdir() if path.is_file())
    needed, free = model.total_bytes - have, shutil.disk_usage(incoming).free
    if needed > free:
        raise ModelError(
            f"{model.repository} needs {needed / 1e9:.1f} GB more in {incoming.parent}, "
            f"and {free / 1e9:.1f} GB are free"
        )


class Meter:
    """Counts the bytes of all files of a download, for the progress bar, the log and on_progress."""

    def __init__(self, name: str, total_bytes: int, on_progress: OnProgress | None) -> None:
        self._name = name
        self._total_bytes = total_bytes
        self._on_progress = on_progress
        self._before = 0  # bytes of the finished files
        self._tenth = 0
        self._bar = tqdm(
            total=total_bytes,
            unit="B",
            unit_scale=True,
            desc=name,
            disable=None,  # no bar without a terminal; the log has one line per tenth
            leave=False,
        )

    def reached(self, file: RemoteFile, done_bytes: int) -> None:
        done, total = self._before + done_bytes, self._total_bytes
        self._bar.update(done - self._bar.n)
        if self._on_progress:
            self._on_progress(Progress(file.name, done, total))
        tenth = 10 * done // max(total, 1)
        if tenth > self._tenth:
            self._tenth = tenth
            logger.info("downloading %s: %d %% of %.0f MB", self._name, 10 * tenth, total / 1e6)

    def finished(self, file: RemoteFile) -> None:
        self.reached(file, file.size_bytes)
        self._before += file.size_bytes

    def close(self) -> None:
        self._bar.close()
