"""Query the model hub: which files a repository has, and where they are.

Uses the HTTP interface of the Hugging Face hub or of a mirror (HF_ENDPOINT), with the standard library.
Handles the request, its time limit and the token. `download` downloads the files; `resolving` decides which
model is needed.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import socket
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any

import huggingface_hub

from host_stt.errors import HubUnreachable, ModelError, ModelNotFound
from host_stt_common.pages import is_loopback

logger = logging.getLogger(__name__)

REQUIRED_FILES = ("config.json", "model.bin", "tokenizer.json")
VOCABULARY_FILES = ("vocabulary.json", "vocabulary.txt")
FILES = (*REQUIRED_FILES, *VOCABULARY_FILES, "preprocessor_config.json")
"""All files that are downloaded or copied; other files of a folder are ignored."""
_METADATA_BYTES_MAX = 16 << 20


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
    base_url: str = ""  # where the files are, if they are not on the hub

    @property
    def total_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


def endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def warn_of_plain_http() -> None:
    """Log a warning if models are downloaded over a connection without encryption.

    Size and SHA-256 are checked, but their expected values come over the same connection.
    """
    parts = urllib.parse.urlsplit(endpoint())
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        logger.warning(
            "HF_ENDPOINT is %s: over plain http, others in the network can replace the model; use https, "
            "or add a model by hand (host-stt model add)",
            f"http://{parts.hostname}",
        )


def ask(repository: str, within_s: float) -> RemoteModel:
    """The files of this repository on the hub, at its main revision.

    Raises HubUnreachable if there is no complete response within the time, for any reason: no route, an
    unknown name, a port that accepts and sends nothing, a response that arrives too slowly. Raises
    ModelNotFound if the hub has no such repository.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise HubUnreachable(f"{repository}: HF_HUB_OFFLINE is set, so the hub is not used")
    warn_of_plain_http()
    answer: queue.Queue[RemoteModel | Exception] = queue.Queue(maxsize=1)

    def work() -> None:
        try:
            answer.put(_ask(repository, within_s))
        except Exception as error:  # raised in the caller's thread below
            answer.put(error)

    # A thread, because a socket's timeout limits neither name resolution nor a slow response as a whole.
    threading.Thread(target=work, name="hub-ask", daemon=True).start()
    try:
        result = answer.get(timeout=within_s)
    except queue.Empty:
        raise HubUnreachable(f"the model hub {endpoint()} did not respond within {within_s:g} s") from None
    if isinstance(result, Exception):
        raise result
    return result


def file_url(model: RemoteModel, name: str) -> str:
    base = model.base_url or f"{endpoint()}/{urllib.parse.quote(model.repository)}/resolve/{model.commit}/"
    return base + urllib.parse.quote(name)


# --- request -------------------------------------------------------------------------------------------


def _ask(repository: str, timeout_s: float) -> RemoteModel:
    url = f"{endpoint()}/api/models/{urllib.parse.quote(repository)}/revision/main?blobs=true"
    try:
        with open_url(url, timeout_s) as response:
            body = json.loads(response.read(_METADATA_BYTES_MAX))
        return _remote_model(repository, body)
    except urllib.error.HTTPError as error:
        raise refusal_of(repository, error) from error
    except (OSError, HTTPException) as error:
        raise HubUnreachable(f"the model hub {endpoint()} cannot be reached: {reason_of(error)}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise HubUnreachable(f"{endpoint()} does not respond like a model hub: {error!r}") from error


def refusal_of(repository: str, error: urllib.error.HTTPError, base_url: str = "") -> ModelError:
    error.close()
    if base_url:
        return ModelNotFound(f"{base_url} answered with status {error.code} for a file of {repository}")
    if error.code in (401, 403, 404):
        # For a repository that does not exist the hub responds 401, so that private ones cannot be guessed.
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


# --- HTTP ---------------------------------------------------------------------------------------------


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to the hub's file servers, but does not send the token there."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and _server_of(newurl) != _server_of(req.full_url):
            request.remove_header("Authorization")
        return request


def _server_of(url: str) -> str:
    return urllib.parse.urlsplit(url).netloc


def open_url(url: str, timeout_s: float, headers: dict[str, str] | None = None) -> HTTPResponse:
    request = urllib.request.Request(url, headers={"User-Agent": "host-stt", **(headers or {})})
    is_hub = url.startswith(endpoint() + "/")
    if is_hub and (token := huggingface_hub.get_token()):
        request.add_header("Authorization", f"Bearer {token}")
    opener = urllib.request.build_opener(
        _Redirects, urllib.request.HTTPSHandler(context=ssl.create_default_context())
    )
    response: HTTPResponse = opener.open(request, timeout=timeout_s)
    return response


def reason_of(error: BaseException) -> str:
    inner = getattr(error, "reason", error)
    if isinstance(inner, (TimeoutError, socket.timeout)):
        return "it stopped responding"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror.lower()
    return str(inner) or type(inner).__name__
