"""WhisperLiveKit (PyPI `whisperlivekit`): its `/asr` protocol as in its test client, and its server.

With `--pcm-input` the server accepts 16-bit samples. It sends its whole state at each change: `lines` of
committed text, and `buffer_transcription`, which may still change. An empty message ends the audio.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp

from bench.rivals.line import RivalLine
from host_stt_cli.loadtest.sending import LineError


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


def command(python: Path, model: Path, port: int, language: str) -> list[str]:
    """Uses LocalAgreement, because the default policy, AlignAtt, decodes in PyTorch, not with CTranslate2."""
    return [
        *(str(python), "-m", "whisperlivekit.basic_server", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-policy", "localagreement", "--backend", "faster-whisper", "--model-path", str(model)),
        *("--lan", language, "--pcm-input", "--warmup-file", "", "--log-level", "WARNING"),
    ]
