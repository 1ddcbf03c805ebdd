"""One model in one file, for machines without a network: a tar file with a manifest, then the model's files.

Defines the format, and reads a file from elsewhere with care. Invariant: only regular files that the manifest
names are read, each up to its stated size, and each must have its stated sha256.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
from pathlib import Path
from typing import IO

from host_stt import manifest
from host_stt.errors import ModelDamaged, ModelError
from host_stt.hub import RemoteFile

_CHUNK_BYTES = 1 << 20


def export_model(name: str, folder: Path, file: Path) -> str:
    """Write the model in `folder` to `file`, completely or not at all; return the sha256 of its manifest.

    The same model gives the same bytes. Raises ModelError if the file exists; OSError from the disk.
    """
    if file.exists():
        raise ModelError(f"{file} exists already; remove it first, or name another file")
    stated = manifest.written(name, folder)
    _, files = manifest.read(stated, str(folder))
    part = file.with_name(file.name + ".part")
    try:
        with tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as archive:
            archive.addfile(_header(manifest.MANIFEST, len(stated)), io.BytesIO(stated))
            for member in files:
                with (folder / member.name).open("rb") as content:
                    archive.addfile(_header(member.name, member.size_bytes), content)
        part.rename(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return hashlib.sha256(stated).hexdigest()


def unpack_model(file: Path, target: Path) -> str:
    """Write the model in `file` to the folder `target`, verified; return the name from its export.

    Raises ModelDamaged if the file is not such an archive, is cut off, or differs from its manifest.
    """
    try:
        with tarfile.open(file, "r:") as archive:
            stated = _stated(archive, file)
            name, files = manifest.read(stated, f"{manifest.MANIFEST} in {file}")
            waited = {entry.name: entry for entry in files}
            while member := archive.next():
                if member.name not in waited:
                    raise ModelDamaged(f"{file} contains {member.name!r}, which its manifest does not name")
                _write(archive, member, waited.pop(member.name), target, file)
    except tarfile.TarError as error:
        raise ModelDamaged(f"{file} is not a model that `host-stt model export` wrote: {error}") from error
    if waited:
        raise ModelDamaged(f"{file} is cut off: it lacks {', '.join(waited)}")
    return name


def _stated(archive: tarfile.TarFile, file: Path) -> bytes:
    first = archive.next()
    if first is None or first.name != manifest.MANIFEST or first.size > manifest.BYTES_MAX:
        raise ModelDamaged(
            f"{file} is not a model that `host-stt model export` wrote: no manifest comes first"
        )
    return _content(archive, first, file).read()


def _write(
    archive: tarfile.TarFile, member: tarfile.TarInfo, entry: RemoteFile, target: Path, file: Path
) -> None:
    digest = hashlib.sha256()
    if member.size != entry.size_bytes:
        raise ModelDamaged(f"{entry.name} in {file} has {member.size} bytes, not {entry.size_bytes}")
    with contextlib.closing(_content(archive, member, file)) as content:
        with (target / entry.name).open("wb") as out:
            while chunk := content.read(_CHUNK_BYTES):
                digest.update(chunk)
                out.write(chunk)
    if digest.hexdigest() != entry.sha256:
        raise ModelDamaged(
            f"{entry.name} in {file} is not what its manifest says: its sha256 is {digest.hexdigest()}, not "
            f"{entry.sha256}"
        )


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, file: Path) -> IO[bytes]:
    content = archive.extractfile(member) if member.isreg() else None
    if content is None:
        raise ModelDamaged(f"{member.name!r} in {file} is not a regular file")
    return content


def _header(name: str, size_bytes: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.mode = size_bytes, 0o644
    return header
