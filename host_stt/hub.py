"""Fetch a model from the hub: ask what there is, bring the bytes, prove that they are the right ones.

Speaks the Hugging Face hub's HTTP (or a mirror's, through HF_ENDPOINT) with the standard library.
huggingface_hub's own downloader throws a partial file away when it fails and checks sizes, not hashes
(2.4.0, read 2026-11-21); a 1.6 GB file over a thin line must resume, and weights must be what the hub
says they are. Owns nothing of which model is wanted. Invariant: the target folder appears whole and
verified, or not at all.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import queue
import shutil
import socket
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

import huggingface_hub
from filelock import FileLock
from tqdm import tqdm

from host_stt.errors import HubUnreachable, ModelDamaged, ModelError, ModelNotFound

logger = logging.getLogger(__name__)

REQUIRED_FILES = ("config.json", "model.bin", "tokenizer.json")
VOCABULARY_FILES = ("vocabulary.json", "vocabulary.txt")
FILES = (*REQUIRED_FILES, *VOCABULARY_FILES, "preprocessor_config.json")
"""All that is fetched or copied; whatever else a folder holds is left alone."""
_CHUNK_BYTES = 1 << 20
_ATTEMPTS = 3  # without a new byte; each new byte starts the count again
_METADATA_BYTES_MAX = 16 << 20


@dataclass(frozen=True, slots=True)
class Progress:
    file: str
    done_bytes: int  # of all files of the model
    total_bytes: int


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class RemoteFile:
    name: str
    size_bytes: int
    sha256: str = ""  # of large files
    git_sha1: str = ""  # of small ones: git's blob id

    @property
    def digest(self) -> str:
        return self.sha256 or self.git_sha1


@dataclass(frozen=True, slots=True)
class RemoteModel:
    repository: str
    commit: str
    files: tuple[RemoteFile, ...]

    @property
    def total_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


def endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def ask(repository: str, within_s: float) -> RemoteModel:
    """What the hub has under this id, at its main revision.

    Raises HubUnreachable when no whole answer came within the time, however the hub keeps silent: no
    route, no name, a port that accepts and says nothing, an answer that trickles. ModelNotFound when it
    says that there is none.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise HubUnreachable(f"{repository}: HF_HUB_OFFLINE is set, so the hub is not asked")
    answer: queue.Queue[RemoteModel | Exception] = queue.Queue(maxsize=1)

    def work() -> None:
        try:
            answer.put(_ask(repository, within_s))
        except Exception as error:  # handed to the caller's thread below
            answer.put(error)

    # A thread, because neither name resolution nor a trickling answer heeds a socket's timeout.
    threading.Thread(target=work, name="hub-ask", daemon=True).start()
    try:
        result = answer.get(timeout=within_s)
    except queue.Empty:
        raise HubUnreachable(f"the model hub {endpoint()} gave no answer within {within_s:g} s") from None
    if isinstance(result, Exception):
        raise result
    return result


def fetch(model: RemoteModel, folder: Path, stall_s: float, on_progress: OnProgress | None = None) -> None:
    """Download the model's files into `folder`, resuming what an earlier run left, and verify each.

    Raises ModelDamaged when a file is not what the hub said (it is removed), HubUnreachable when the
    bytes stopped coming (what came is kept for the next run), ModelError when the disk is too small.
    """
    incoming = folder.with_name(folder.name + ".incoming")
    incoming.mkdir(parents=True, exist_ok=True)
    with FileLock(incoming.with_name(incoming.name + ".lock")):
        if folder.is_dir():
            return  # another process brought it meanwhile
        _check_room(model, incoming)
        meter = _Meter(model, on_progress)
        try:
            for file in model.files:
                _fetch_file(model, file, incoming, stall_s, meter)
        finally:
            meter.close()
        incoming.rename(folder)
    logger.info("model %s downloaded to %s (%d bytes, verified)", model.repository, folder, model.total_bytes)


def file_url(repository: str, commit: str, name: str) -> str:
    return f"{endpoint()}/{urllib.parse.quote(repository)}/resolve/{commit}/{urllib.parse.quote(name)}"


# --- asking -------------------------------------------------------------------------------------------


def _ask(repository: str, timeout_s: float) -> RemoteModel:
    url = f"{endpoint()}/api/models/{urllib.parse.quote(repository)}/revision/main?blobs=true"
    try:
        with _open(url, timeout_s) as response:
            body = json.loads(response.read(_METADATA_BYTES_MAX))
        return _remote_model(repository, body)
    except urllib.error.HTTPError as error:
        raise _refusal(repository, error) from error
    except (OSError, HTTPException) as error:
        raise HubUnreachable(f"the model hub {endpoint()} cannot be reached: {_reason(error)}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise HubUnreachable(f"{endpoint()} does not answer as a model hub does: {error!r}") from error


def _refusal(repository: str, error: urllib.error.HTTPError) -> ModelError:
    error.close()
    if error.code in (401, 403, 404):
        # The hub says 401 of a repository that does not exist, lest private ones be found by guessing.
        return ModelNotFound(
            f"the model hub {endpoint()} has no model {repository!r} that this machine may read (status "
            f"{error.code})"
        )
    return HubUnreachable(f"the model hub {endpoint()} answered with status {error.code}")


def _remote_model(repository: str, body: Any) -> RemoteModel:
    files = tuple(_remote_file(sibling) for sibling in body["siblings"] if sibling.get("rfilename") in FILES)
    names = {file.name for file in files}
    missing = [name for name in REQUIRED_FILES if name not in names]
    if missing or not names & set(VOCABULARY_FILES):
        raise ModelNotFound(
            f"{repository} is not a CTranslate2 Whisper: it has no {', '.join(missing) or 'vocabulary'}. "
            f"Convert it with ct2-transformers-converter, or choose one that is (their names often hold "
            f"faster-whisper)."
        )
    return RemoteModel(repository, str(body["sha"]), files)


def _remote_file(sibling: dict[str, Any]) -> RemoteFile:
    lfs = sibling.get("lfs") or {}
    return RemoteFile(
        name=str(sibling["rfilename"]),
        size_bytes=int(lfs.get("size") or sibling["size"]),
        sha256=str(lfs.get("sha256") or ""),
        git_sha1="" if lfs else str(sibling["blobId"]),
    )


# --- bringing -----------------------------------------------------------------------------------------


def _fetch_file(model: RemoteModel, file: RemoteFile, incoming: Path, stall_s: float, meter: _Meter) -> None:
    target = incoming / file.name
    if not _is_whole(target, file):
        part = incoming / f"{file.name}.{file.digest[:16]}.part"
        _bring(model, file, part, stall_s, meter)
        if not _is_whole(part, file):
            part.unlink(missing_ok=True)
            raise ModelDamaged(
                f"{file.name} of {model.repository} arrived with another content than the hub announced, "
                f"and was removed. Try again; if it stays so, a proxy or mirror on the way alters it."
            )
        part.replace(target)
    meter.finished(file)


def _bring(model: RemoteModel, file: RemoteFile, part: Path, stall_s: float, meter: _Meter) -> None:
    """Append to `part` until it has the file's size."""
    attempts = 0
    while (have := part.stat().st_size if part.exists() else 0) < file.size_bytes:
        attempts += 1
        try:
            _append(model, file, part, have, stall_s, meter)
            error: Exception | None = None
        except urllib.error.HTTPError as refusal:
            if refusal.code < 500:
                raise _refusal(model.repository, refusal) from refusal
            refusal.close()
            error = refusal
        except (OSError, HTTPException) as broken:
            if not part.parent.is_dir() or shutil.disk_usage(part.parent).free == 0:
                raise ModelError(f"cannot write {part}: {_reason(broken)}") from broken
            error = broken
        now = part.stat().st_size if part.exists() else 0
        if now > have:
            attempts = 0
        elif attempts >= _ATTEMPTS:
            raise HubUnreachable(
                f"{file.name} of {model.repository} stopped at {now} of {file.size_bytes} bytes "
                f"({_reason(error) if error else 'the server ends early'}); the next start resumes there"
            ) from error
        if now < file.size_bytes:
            time.sleep(0.2 * attempts)


def _append(
    model: RemoteModel, file: RemoteFile, part: Path, have: int, stall_s: float, meter: _Meter
) -> None:
    headers = {"Range": f"bytes={have}-"} if have else {}
    with _open(file_url(model.repository, model.commit, file.name), stall_s, headers) as response:
        is_rest = have > 0 and response.status == 206
        with part.open("ab" if is_rest else "wb") as out:
            done = have if is_rest else 0
            while done < file.size_bytes and (chunk := response.read1(_CHUNK_BYTES)):
                out.write(chunk[: file.size_bytes - done])
                done += len(chunk)
                meter.reached(file, done)


def _is_whole(path: Path, file: RemoteFile) -> bool:
    if not path.is_file() or path.stat().st_size != file.size_bytes:
        return False
    if file.sha256:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(usedforsecurity=False)  # git's blob id; the hub gives no other for small files
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


class _Meter:
    """Counts bytes over all files, for the bar and for whoever asks how far it is."""

    def __init__(self, model: RemoteModel, on_progress: OnProgress | None) -> None:
        self._model = model
        self._on_progress = on_progress
        self._before = 0  # bytes of the files already whole
        self._tenth = 0
        self._bar = tqdm(
            total=model.total_bytes,
            unit="B",
            unit_scale=True,
            desc=model.repository,
            disable=None,  # no bar where nobody watches; the log has tenths
            leave=False,
        )

    def reached(self, file: RemoteFile, done_bytes: int) -> None:
        done, total = self._before + done_bytes, self._model.total_bytes
        self._bar.update(done - self._bar.n)
        if self._on_progress:
            self._on_progress(Progress(file.name, done, total))
        tenth = 10 * done // max(total, 1)
        if tenth > self._tenth:
            self._tenth = tenth
            logger.info("downloading %s: %d %% of %.0f MB", self._model.repository, 10 * tenth, total / 1e6)

    def finished(self, file: RemoteFile) -> None:
        self.reached(file, file.size_bytes)
        self._before += file.size_bytes

    def close(self) -> None:
        self._bar.close()


# --- HTTP ---------------------------------------------------------------------------------------------


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows the hub to its file servers without taking the token there."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and _server_of(newurl) != _server_of(req.full_url):
            request.remove_header("Authorization")
        return request


def _server_of(url: str) -> str:
    return urllib.parse.urlsplit(url).netloc


def _open(url: str, timeout_s: float, headers: dict[str, str] | None = None) -> HTTPResponse:
    request = urllib.request.Request(url, headers={"User-Agent": "host-stt", **(headers or {})})
    if token := huggingface_hub.get_token():
        request.add_header("Authorization", f"Bearer {token}")
    opener = urllib.request.build_opener(
        _Redirects, urllib.request.HTTPSHandler(context=ssl.create_default_context())
    )
    response: HTTPResponse = opener.open(request, timeout=timeout_s)
    return response


def _reason(error: BaseException) -> str:
    inner = getattr(error, "reason", error)
    if isinstance(inner, (TimeoutError, socket.timeout)):
        return "it stopped answering"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror.lower()
    return str(inner) or type(inner).__name__
