"""The GPUs of this machine: which ones exist, whether they work, and which ones the engine uses.

Reads the output of nvidia-smi, searches for cuBLAS, and checks the two causes of a GPU that cannot decode:
its driver and its library. The judgement (`driver_problem`) is pure; the search is not.
"""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from host_stt.errors import ModelError

logger = logging.getLogger(__name__)

DRIVER_MIN = 570
"""CTranslate2's wheel has machine code up to compute capability 8.6. For newer GPUs the driver translates its
CUDA 12.8 code, which needs driver 570. With 550 an H100 gave empty transcripts without an error.
"""
NATIVE_CAPABILITY = 8.6
CUBLAS = "libcublas.so.12"
CUBLAS_FIX = "install it next to the server: pip install nvidia-cublas-cu12"


class GpuUnusable(ModelError):
    """A GPU exists or is configured, and the engine cannot decode on it."""


@dataclass(frozen=True, slots=True)
class Gpu:
    name: str
    driver: str  # as in nvidia-smi, such as 580.159.04
    capability: float  # 9.0 for Hopper
    memory_mb: int

    @property
    def driver_major(self) -> int:
        head = self.driver.partition(".")[0]
        return int(head) if head.isdigit() else 0

    @property
    def translates(self) -> bool:
        """True if the driver translates the code for it at the first start."""
        return self.capability > NATIVE_CAPABILITY


def driver_problem(gpu: Gpu) -> str:
    """Why the driver does not work, in one sentence; empty if it works or is unknown."""
    if gpu.translates and 0 < gpu.driver_major < DRIVER_MIN:
        return f"{gpu.name} with driver {gpu.driver}: before {DRIVER_MIN}, transcripts are empty"
    return ""


def check_gpus(gpus: Sequence[Gpu], has_cublas: bool) -> None:
    """Raises GpuUnusable with the problem and its solution.

    gpus: the GPUs that the driver shows; none if nvidia-smi is missing, and then only the library is checked.
    """
    on_cpu = "; or decode on the CPU with engine.device: cpu"
    if not has_cublas:
        raise GpuUnusable(
            f"{CUBLAS} is not found (CUDA 13 brings only libcublas.so.13); {CUBLAS_FIX}{on_cpu}"
        )
    for gpu in gpus:
        if problem := driver_problem(gpu):
            raise GpuUnusable(f"{problem}; install an NVIDIA driver of version {DRIVER_MIN} or newer{on_cpu}")


def chosen_gpus(asked: Sequence[int], count: int) -> tuple[int, ...]:
    """The GPUs that get a replica: the configured ones, else all. Raises GpuUnusable if one does not
    exist.
    """
    missing = [number for number in asked if number >= count]
    if missing:
        there = f"0 to {count - 1}" if count > 1 else "only 0" if count else "none"
        raise GpuUnusable(f"engine.gpus names GPU {missing[0]}, and CTranslate2 sees {there}")
    return tuple(dict.fromkeys(asked)) or tuple(range(count))


# --- search ------------------------------------------------------------------------------------------


def seen_gpus() -> tuple[Gpu, ...]:
    """The GPUs that nvidia-smi shows; none if it is missing or fails."""
    return gpus_of(_said_by_nvidia_smi("name,driver_version,compute_cap,memory.total"))


def gpu_loads() -> tuple[int, ...]:
    """For each GPU that nvidia-smi shows: the share of the last second in which it worked, in percent.

    Empty if nvidia-smi is missing or fails; without GPUs of which the load is not known (parts by MIG).
    """
    said = _said_by_nvidia_smi("utilization.gpu").split()
    return tuple(min(int(load), 100) for load in said if load.isdecimal())


def _said_by_nvidia_smi(fields: str) -> str:
    """One line for each GPU; empty if nvidia-smi is missing or fails."""
    if not shutil.which("nvidia-smi"):
        return ""
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (subprocess.SubprocessError, OSError):
        return ""


def gpus_of(said: str) -> tuple[Gpu, ...]:
    """The GPUs in nvidia-smi's lines `name, driver, capability, memory in MiB`."""
    gpus = []
    for line in said.splitlines():
        fields = [part.strip() for part in line.split(",")]
        if len(fields) == 4:
            gpus.append(Gpu(fields[0], fields[1], _number(fields[2]), int(_number(fields[3]))))
    return tuple(gpus)


def preload_cublas() -> bool:
    """Load cuBLAS 12 before CTranslate2 searches for it: from the package nvidia-cublas-cu12 if it is
    installed, else from the system. False if there is none.
    """
    for name in ("libcublasLt.so.12", CUBLAS):  # the second needs the first
        for place in _cublas_folders():
            library = place / name
            if library.exists():
                ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    try:
        ctypes.CDLL(CUBLAS, mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        logger.debug("%s: %s", CUBLAS, error)
        return False
    return True


def _cublas_folders() -> list[Path]:
    spec = importlib.util.find_spec("nvidia.cublas") if importlib.util.find_spec("nvidia") else None
    return [Path(place) / "lib" for place in (spec.submodule_search_locations or [])] if spec else []


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
