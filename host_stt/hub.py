"""Ask the model hub: what a repository holds, and where its files are.

Speaks the Hugging Face hub's HTTP, or a mirror's (HF_ENDPOINT), with the standard library. Owns the
asking, the time it may take and the token; bringing the bytes is `download`, and which model is wanted
is `models`.
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
"""All that is fetched or copied; whatever else a folder holds is left alone."""
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
    base_url: str = ""  # where the files lie, when it is not the hub that has them

    @property
    def total_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


def endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def warn_of_plain_http() -> None:
    """Log a warning when models come over a connection that others can change.

    Size and SHA-256 are checked, but the same connection says what they should be.
    """
    parts = urllib.parse.urlsplit(endpoint())
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        logger.warning(
            "HF_ENDPOINT is %s: over plain http others on the way can put another model in place; use https, "
            "or add a model by hand (host-stt model add)",
            f"http://{parts.hostname}",
        )


def ask(repository: str, within_s: float) -> RemoteModel:
    """What the hub has under this id, at its main revision.

    Raises HubUnreachable when no whole answer came within the time, however the hub keeps silent: no
    route, no name, a port that accepts and says nothing, an answer that trickles. ModelNotFound when it
    says that there is none.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise HubUnreachable(f"{repository}: HF_HUB_OFFLINE is set, so the hub is not asked")
    warn_of_plain_http()
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


def file_url(model: RemoteModel, name: str) -> str:
    base = model.base_url or f"{endpoint()}/{urllib.parse.quote(model.repository)}/resolve/{model.commit}/"
    return base + urllib.parse.quote(name)


# --- asking -------------------------------------------------------------------------------------------


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
        raise HubUnreachable(f"{endpoint()} does not answer as a model hub does: {error!r}") from error


def refusal_of(repository: str, error: urllib.error.HTTPError, base_url: str = "") -> ModelError:
    error.close()
    if base_url:
        return ModelNotFound(f"{base_url} answered with status {error.code} for a file of {repository}")
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
        return "it stopped answering"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror.lower()
    return str(inner) or type(inner).__name__
