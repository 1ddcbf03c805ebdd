"""The manifest of a model: its files with size and sha256. `model export` writes it; readers verify it.

A manifest is next to the files, in an exported archive or below a web address. Defines its format and limits.
Invariant: a manifest that was read names only files of a model, each once and with a sha256.
"""

from __future__ import annotations

import hashlib
import json
import urllib.error
from http.client import HTTPException
from pathlib import Path
from typing import Any

from host_stt.errors import HubUnreachable, ModelDamaged, ModelNotFound
from host_stt.hub import FILES, RemoteFile, RemoteModel, open_url, reason_of
from host_stt.index_models import INDEX_MODELS
from host_stt.model_names import is_hub_name, repository_of

MANIFEST = "manifest.json"
BYTES_MAX = 1 << 20
FILE_BYTES_MAX = 1 << 36  # 64 GiB: far more than the largest Whisper
_FORMAT = "host-stt model 1"
_CHUNK_BYTES = 1 << 20


def written(name: str, folder: Path) -> bytes:
    """The manifest of the model in a folder, as JSON. Reads all of its files."""
    files = [_entry(folder / file) for file in FILES if (folder / file).is_file()]
    text = json.dumps({"format": _FORMAT, "name": name, "files": files}, indent=1)
    return (text + "\n").encode()


def read(data: bytes, place: str) -> tuple[str, tuple[RemoteFile, ...]]:
    """(name of the model, its files). Raises ModelDamaged, with `place` in its text, if it is not valid."""
    try:
        body = json.loads(data)
        if body["format"] != _FORMAT:
            raise ValueError(f"its format is {body['format']!r}, not {_FORMAT!r}")
        files = tuple(_file(entry) for entry in body["files"])
        if len({file.name for file in files}) != len(files):
            raise ValueError("a file is named twice")
        return str(body["name"]), files
    except (ValueError, KeyError, TypeError) as error:
        raise ModelDamaged(
            f"{place} is not a manifest that `host-stt model export` wrote: {error}"
        ) from error


def ask(model: str, address: str, within_s: float) -> RemoteModel:
    """The files below a web address: from the manifest there, or from the known list of the package index.

    address: http(s), with or without a slash at its end. Raises HubUnreachable if the manifest does not
    arrive in time, ModelNotFound if there is none, ModelDamaged if it is not valid.
    """
    base = address.rstrip("/") + "/"
    known = INDEX_MODELS.get(repository_of(model)) if is_hub_name(model) else None
    if known is not None:
        files = tuple(packed.file for packed in known.files)
    else:
        name, files = read(_get(base + MANIFEST, model, within_s), base + MANIFEST)
        if name != model:
            raise ModelNotFound(f"{base} has the model {name}, not {model}")
    return RemoteModel(model, "", files, base)


def _get(url: str, model: str, within_s: float) -> bytes:
    try:
        with open_url(url, within_s) as response:
            return response.read(BYTES_MAX)
    except urllib.error.HTTPError as error:
        error.close()
        raise ModelNotFound(
            f"{url} answered with status {error.code}: the files of {model} need the manifest that "
            f"`host-stt model export` writes, which says their sha256"
        ) from error
    except (OSError, HTTPException, ValueError) as error:
        raise HubUnreachable(f"{url} cannot be read: {reason_of(error)}") from error


def _entry(path: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
    return {"name": path.name, "size_bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def _file(entry: dict[str, Any]) -> RemoteFile:
    name, size_bytes, sha256 = entry["name"], entry["size_bytes"], entry["sha256"]
    if name not in FILES:
        raise ValueError(f"{name!r} is not a file of a model")
    if type(size_bytes) is not int or not 0 < size_bytes <= FILE_BYTES_MAX:
        raise ValueError(f"the size of {name} is {size_bytes!r}")
    if not isinstance(sha256, str) or len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise ValueError(f"the sha256 of {name} is {sha256!r}")
    return RemoteFile(name, size_bytes, sha256)
