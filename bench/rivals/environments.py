"""The environments of the other servers: one each, with only the package and the imports of its server.

Contains the versions. Their full requirements include all their other engines (OpenVINO, CUDA, diarization),
so each package is installed with --no-deps and with the list below, which was found by starting the server.
"""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SERVER = ("fastapi==0.165.0", "uvicorn==0.54.0", "websockets==17.4", "python-multipart==0.0.34")
ENGINE = ("torch==2.13.0", "ctranslate2==4.8.5", "numpy==2.4.6", "onnxruntime==1.32.0", "av==18.1.0")


@dataclass(frozen=True, slots=True)
class Environment:
    name: str
    package: str  # installed with --no-deps
    imports: Sequence[str]

    def made(self, folder: Path) -> Path:
        """The path of its Python; makes the environment below `folder` if it is not there."""
        home = folder / self.name
        python, done = home / "bin" / "python", home / "made-of.txt"
        wanted = "\n".join([self.package, *self.imports])
        if not done.is_file() or done.read_text(encoding="utf-8") != wanted:
            venv.create(home, with_pip=True, clear=True)
            _install(python, *self.imports)
            _install(python, "--no-deps", self.package)
            done.write_text(wanted, encoding="utf-8")
        return python


# faster-whisper and tokenizers in the versions that WhisperLive pins.
WHISPER_LIVE = Environment(
    "whisper-live",
    "whisper-live==0.10.0",
    (*ENGINE, *SERVER, "faster-whisper==1.2.0", "tokenizers==0.20.3"),
)
WHISPER_LIVE_KIT = Environment(
    "whisperlivekit",
    "whisperlivekit==0.2.26",
    (*ENGINE, *SERVER, "faster-whisper==1.2.1", "librosa==0.11.0", "tiktoken==0.14.0"),
)


def _install(python: Path, *words: str) -> None:
    subprocess.run([python, "-m", "pip", "install", "--quiet", *words], check=True)
