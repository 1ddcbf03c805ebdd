"""WhisperLiveKit (PyPI `whisperlivekit`): its `/asr` protocol as in its test client, and its server.

With `--pcm-input` the server accepts 16-bit samples. It sends its whole state at each change: `lines` of
committed text, and `buffer_transcription`, which may still change. An empty message ends the audio.
"""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
from enum import StrEnum
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from bench.rivals.line import RivalLine
from bench.rivals.write_torch_weights import dimensions, read_variables
from host_stt_cli.loadtest.sending import LineError

WRITER = Path(__file__).with_name("write_torch_weights.py")


def state(message: dict[str, Any]) -> tuple[str, str] | None:
    """Committed and tentative text of a `mode=full` message."""
    if "lines" not in message:
        return None
    lines = [line["text"].strip() for line in message["lines"] if line.get("text")]
    return " ".join(lines), message.get("buffer_transcription", "").strip()


class WhisperLiveKitLine(RivalLine):
    piece_samples = 1600
    """0.1 s, as in its page's recorder; its test client sends 0.5 s."""

    async def greet(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        said = await ws.receive_json()
        if said.get("type") != "config" or not said.get("useAudioWorklet"):
            raise LineError(f"{self.channels[0]}: {said}")

    def encode(self, samples: bytes) -> bytes:
        return samples

    def read(self, message: dict[str, Any]) -> tuple[str, str] | None:
        return state(message)

    def goodbye(self) -> bytes:
        return b""


class Policy(StrEnum):
    ALIGN_ATT = "AlignAtt"  # its default: a CTranslate2 encoder and a PyTorch decoder
    LOCAL_AGREEMENT = "LocalAgreement"  # faster-whisper alone


def command(python: Path, model: Path, port: int, language: str, policy: Policy) -> list[str]:
    """model: a CTranslate2 folder. AlignAtt also needs its weights as a PyTorch file, which this writes."""
    if policy is Policy.LOCAL_AGREEMENT:
        chosen = ["--backend-policy", "localagreement", "--backend", "faster-whisper"]
        chosen += ["--model-path", str(model)]
    else:
        chosen = [
            "--encoder-model-path",
            str(model),
            "--decoder-model-path",
            str(torch_weights(python, model)),
        ]
        chosen += ["--custom-alignment-heads", alignment_heads(model)]
    return [
        *(str(python), "-m", "whisperlivekit.basic_server", "--host", "127.0.0.1", "--port", str(port)),
        *chosen,
        *("--lan", language, "--pcm-input", "--warmup-file", "", "--log-level", "WARNING"),
    ]


def torch_weights(python: Path, model: Path) -> Path:
    """The PyTorch file of a model, written beside the environment if it is not there."""
    file = python.parents[2] / f"{model.name}.pt"
    if not file.is_file():
        part = file.with_suffix(".part")
        subprocess.run([python, WRITER, model, part], check=True)
        part.replace(file)
    return file


def alignment_heads(model: Path) -> str:
    """The attention heads that follow the audio, from the model's config, in OpenAI's form."""
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    with (model / "model.bin").open("rb") as weights:
        size = dimensions(read_variables(weights))
    mask = np.zeros((size["n_text_layer"], size["n_text_head"]), dtype=bool)
    for layer, head in config["alignment_heads"]:
        mask[layer, head] = True
    return base64.b85encode(gzip.compress(mask.tobytes())).decode()
