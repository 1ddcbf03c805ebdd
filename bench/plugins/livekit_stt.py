"""LiveKit Agents: the speech recognition plugins, outside of a room.

`python livekit_stt.py URL KEY FILE`: URL of the server, such as http://127.0.0.1:8082; FILE has 16-bit
samples at 16 kHz. Prints a line of JSON for each plugin: name, text, number of finals and interims, error.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiohttp
from livekit import rtc  # type: ignore[import-not-found]
from livekit.agents import stt, utils  # type: ignore[import-not-found]
from livekit.plugins import assemblyai, deepgram, openai, speechmatics  # type: ignore[import-not-found]

RATE = 16_000
FRAME_SAMPLES = RATE // 50
WITHIN_S = 30.0
Made = Callable[[str, str, aiohttp.ClientSession], Any]
"""(url, key, HTTP session) -> the plugin."""
PLUGINS: dict[str, tuple[str, Made]] = {
    "deepgram.STT": (
        "deepgram",
        lambda url, key, http: deepgram.STT(base_url=f"{url}/v1/listen", api_key=key, http_session=http),
    ),
    "deepgram.STTv2": (
        "deepgram",
        lambda url, key, http: deepgram.STTv2(
            base_url=f"{url}/v2/listen", api_key=key, http_session=http, eager_eot_threshold=0.4
        ),
    ),
    "assemblyai.STT": (
        "assemblyai",
        lambda url, key, http: assemblyai.STT(
            base_url=url.replace("http", "ws", 1), api_key=key, http_session=http
        ),
    ),
    "openai.STT, Realtime": (
        "openai",
        lambda url, key, http: openai.STT(
            base_url=f"{url}/v1", api_key=key, model="gpt-4o-transcribe", use_realtime=True
        ),
    ),
    "openai.STT, files": (
        "openai",
        lambda url, key, http: openai.STT(base_url=f"{url}/v1", api_key=key, model="gpt-transcribe"),
    ),
    "speechmatics.STT": (
        "speechmatics",
        lambda url, key, http: speechmatics.STT(
            base_url=f"{url.replace('http', 'ws', 1)}/v2/agent", api_key=key
        ),
    ),
}


async def main(url: str, key: str, data: bytes) -> None:
    async with utils.http_context.open():
        for name, (package, make) in PLUGINS.items():
            said: dict[str, Any] = {
                "name": f"livekit-plugins-{package} {version(f'livekit-plugins-{package}')}"
            }
            said |= {"what": name, "text": "", "finals": 0, "interims": 0, "error": None}
            try:
                async with asyncio.timeout(len(data) / 2 / RATE + WITHIN_S), aiohttp.ClientSession() as http:
                    await _heard(make(url, key, http), data, said)
            except Exception as error:
                traceback.print_exc()
                said["error"] = f"{type(error).__name__}: {error}"[:300]
            print(json.dumps(said), flush=True)


async def _heard(plugin: Any, data: bytes, said: dict[str, Any]) -> None:
    if not plugin.capabilities.streaming:
        frame = rtc.AudioFrame(data, RATE, 1, len(data) // 2)
        said["text"], said["finals"] = (await plugin.recognize(frame)).alternatives[0].text, 1
        return
    stream = plugin.stream()
    texts: list[str] = []

    async def read() -> None:
        async for event in stream:
            if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT:
                texts.append(event.alternatives[0].text)
            elif event.type == stt.SpeechEventType.INTERIM_TRANSCRIPT:
                said["interims"] += 1

    reading = asyncio.create_task(read())
    for at in range(0, len(data), FRAME_SAMPLES * 2):
        part = data[at : at + FRAME_SAMPLES * 2]
        stream.push_frame(rtc.AudioFrame(part, RATE, 1, len(part) // 2))
        await asyncio.wait({reading}, timeout=FRAME_SAMPLES / RATE)
        if reading.done():
            break
    stream.end_input()
    await asyncio.wait({reading}, timeout=WITHIN_S / 2)
    said["text"], said["finals"] = " ".join(filter(None, texts)), len(texts)
    if reading.done():
        reading.result()
    else:
        reading.cancel()
    await stream.aclose()
    await plugin.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]).read_bytes()))
