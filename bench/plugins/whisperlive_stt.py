"""WhisperLive's streaming client.

`python whisperlive_stt.py URL KEY FILE`: as `livekit_stt.py`; prints one such line. The package imports
PyAudio, which needs a sound card's library. This client uses no microphone, so an empty module is enough.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

sys.modules.setdefault("pyaudio", ModuleType("pyaudio"))

from whisper_live.client import StreamingTranscriptionClient  # type: ignore[import-not-found]  # noqa: E402

RATE = 16_000
FRAME_S = 0.1
NORMAL_END = "code 1000"


def main(url: str, key: str, data: bytes) -> None:
    said: dict[str, Any] = {"name": f"whisper-live {version('whisper-live')}", "error": None}
    said |= {"what": "StreamingTranscriptionClient", "text": "", "finals": 0, "interims": 0}
    try:
        _heard(url, key, data, said)
    except Exception as error:
        traceback.print_exc()
        said["error"] = f"{type(error).__name__}: {error}"[:300]
    print(json.dumps(said), flush=True)


def _heard(url: str, key: str, data: bytes, said: dict[str, Any]) -> None:
    def on_partial(text: str, segments: list[Any]) -> None:
        said["interims"] += 1

    def on_error(error: Exception) -> None:
        if NORMAL_END not in str(error):  # its WebSocket library reports this as an error too
            said["error"] = str(error)[:300]

    parts = urlsplit(url)
    # The client joins host and port as text, so the port can have the path behind it.
    port = f"{parts.port}/whisperlive?token={key}"
    client = StreamingTranscriptionClient(
        *(parts.hostname, port), lang="en", on_partial_transcript=on_partial, on_error=on_error
    )
    with client:
        began_s = time.monotonic()
        size = int(RATE * FRAME_S) * 2
        for number, at in enumerate(range(0, len(data), size)):
            time.sleep(max(0.0, began_s + number * FRAME_S - time.monotonic()))
            client.send(data[at : at + size])
    said["text"] = " ".join(segment["text"].strip() for segment in client.transcript)
    said["finals"] = len(client.transcript)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]).read_bytes())
