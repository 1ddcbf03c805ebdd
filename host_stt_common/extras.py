"""Extras: packages that only some installations need, and the command that installs those of one extra.

pyproject.toml lists the extras. The project is in no package index: a pip that does not find it in the
environment needs its source folder.
"""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

PROJECT = "host-stt"
SOURCE = Path(__file__).resolve().parent.parent


def install_command(extra: str) -> str:
    """The command that installs the packages of an extra into this environment."""
    try:
        metadata.distribution(PROJECT)
    except metadata.PackageNotFoundError:  # scripts/serve and scripts/test only link the source folder
        return f"{sys.executable} -m pip install -e '{SOURCE}[{extra}]'"
    return f"{sys.executable} -m pip install '{PROJECT}[{extra}]'"
