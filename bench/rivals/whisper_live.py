"""WhisperLive (PyPI `whisper-live`): its WebSocket protocol as in its own client, and its server.

The client sends one JSON with options, waits for SERVER_READY, then sends float32 samples in pieces of 4096.
The server sends its latest segments; all except the last one are `completed`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from bench.rivals.line import RivalLine
from host_stt_cli.loadtest.sending import LineError

LAUNCHER = Path(__file__).with_name("launch_whisper_live.py")


class Segments:
    """The transcript in its client: each completed segment once, then the segment that may still change."""

    def __init__(self) -> None:
        self._completed: dict[tuple[str, str, str], str] = {}

    def take(self, segments: list[dict[str, Any]]) -> tuple[str, str]:
        tentative = ""
        for segment in segments:
            if segment.get("completed"):
                key = (segment["start"], segment["end"], segment["text"])
                self._completed[key] = segment["text"].strip()
            else:
                tentative = segment["text"].strip()
        return " ".join(self._completed.values()), tentative


class WhisperLiveLine(RivalLine):
    piece_samples = 4096

    def __init__(self, *args: Any, model: Path, language: str) -> None:
        super().__init__(*args)
        self._model, self._language, self._segments = model, language, Segments()

    async def greet(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        await ws.send_str(json.dumps(options(self.channels[0], str(self._model), self._language)))
        while True:
            message = await ws.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise LineError(f"{self.channels[0]}: the server closed the connection")
            said = json.loads(message.data)
            if said.get("status"):
                raise LineError(f"{self.channels[0]}: {said['status']} {said.get('message', '')}")
            if said.get("message") == "SERVER_READY":
                return

    def encode(self, samples: bytes) -> bytes:
        return bytes((np.frombuffer(samples, np.int16).astype(np.float32) / 32768).tobytes())

    def read(self, message: dict[str, Any]) -> tuple[str, str] | None:
        return self._segments.take(message["segments"]) if message.get("segments") else None

    def goodbye(self) -> bytes:
        return b"END_OF_AUDIO"


def options(uid: str, model: str, language: str) -> dict[str, Any]:
    """The options of its client's `on_open`, with its defaults."""
    return {
        "uid": uid,
        "language": language,
        "task": "transcribe",
        "model": model,
        "use_vad": True,
        "send_last_n_segments": 10,
        "no_speech_thresh": 0.45,
        "clip_audio": False,
        "same_output_threshold": 10,
        "enable_translation": False,
        "hotwords": None,
        "enable_diarization": False,
        "word_timestamps": False,
        "initial_prompt": None,
        "vad_parameters": None,
    }


def command(python: Path, model: Path, port: int, *, is_batched: bool) -> list[str]:
    settings = {
        "port": port,
        "backend": "faster_whisper",
        "faster_whisper_custom_model_path": str(model),
        "single_model": True,
        "max_clients": 64,  # its default of 4 would refuse the larger cases
        "max_connection_time": 3600,
        "batch_enabled": is_batched,
    }
    return [str(python), "-P", str(LAUNCHER), json.dumps(settings)]
