"""pipecat: the speech recognition services, in a pipeline without a transport.

`python pipecat_stt.py URL KEY FILE`: as `livekit_stt.py`; prints the same lines.
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
from pipecat.frames.frames import (  # type: ignore[import-not-found]
    EndFrame,
    ErrorFrame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline  # type: ignore[import-not-found]
from pipecat.pipeline.runner import PipelineRunner  # type: ignore[import-not-found]
from pipecat.pipeline.task import PipelineParams, PipelineTask  # type: ignore[import-not-found]
from pipecat.processors.frame_processor import FrameProcessor  # type: ignore[import-not-found]
from pipecat.services.assemblyai.stt import AssemblyAISTTService  # type: ignore[import-not-found]
from pipecat.services.deepgram.flux.stt import DeepgramFluxSTTService  # type: ignore[import-not-found]
from pipecat.services.deepgram.stt import DeepgramSTTService  # type: ignore[import-not-found]
from pipecat.services.openai.stt import (  # type: ignore[import-not-found]
    OpenAIRealtimeSTTService,
    OpenAISTTService,
)
from pipecat.services.speechmatics.stt import SpeechmaticsSTTService  # type: ignore[import-not-found]

RATE = 16_000
FRAME_SAMPLES = RATE // 50
WITHIN_S = 30.0
Made = Callable[[str, str, aiohttp.ClientSession], Any]
"""(url, key, HTTP session) -> the service."""


def _socket(url: str) -> str:
    return url.replace("http", "ws", 1)


SERVICES: dict[str, Made] = {
    "DeepgramSTTService": lambda url, key, http: DeepgramSTTService(api_key=key, base_url=_socket(url)),
    "DeepgramFluxSTTService": lambda url, key, http: DeepgramFluxSTTService(
        api_key=key, url=f"{_socket(url)}/v2/listen"
    ),
    "AssemblyAISTTService": lambda url, key, http: AssemblyAISTTService(
        api_key=key, api_endpoint_base_url=f"{_socket(url)}/v3/ws"
    ),
    "OpenAIRealtimeSTTService, local VAD": lambda url, key, http: OpenAIRealtimeSTTService(
        api_key=key, base_url=f"{_socket(url)}/v1/realtime"
    ),
    "OpenAIRealtimeSTTService, server VAD": lambda url, key, http: OpenAIRealtimeSTTService(
        api_key=key,
        base_url=f"{_socket(url)}/v1/realtime",
        settings=OpenAIRealtimeSTTService.Settings(model="gpt-4o-transcribe"),
        turn_detection={"type": "server_vad"},
    ),
    "OpenAISTTService, files": lambda url, key, http: OpenAISTTService(api_key=key, base_url=f"{url}/v1"),
    "SpeechmaticsSTTService": lambda url, key, http: SpeechmaticsSTTService(
        api_key=key, base_url=f"{_socket(url)}/v2/agent"
    ),
}


class Collector(FrameProcessor):  # type: ignore[misc]  # the framework has no types here
    """Notes the texts and the errors that come out of a service."""

    def __init__(self, said: dict[str, Any]) -> None:
        super().__init__()
        self._said = said
        self.texts: list[str] = []

    async def process_frame(self, frame: Any, direction: Any) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame):
            self.texts.append(frame.text)
        elif isinstance(frame, InterimTranscriptionFrame):
            self._said["interims"] += 1
        await self.push_frame(frame, direction)


async def main(url: str, key: str, data: bytes) -> None:
    for name, make in SERVICES.items():
        said: dict[str, Any] = {"name": f"pipecat-ai {version('pipecat-ai')}", "what": name}
        said |= {"text": "", "finals": 0, "interims": 0, "error": None}
        try:
            async with asyncio.timeout(len(data) / 2 / RATE + WITHIN_S), aiohttp.ClientSession() as http:
                await _heard(make(url, key, http), data, said)
        except Exception as error:
            traceback.print_exc()
            said["error"] = f"{type(error).__name__}: {error}"[:300]
        print(json.dumps(said), flush=True)


async def _heard(service: Any, data: bytes, said: dict[str, Any]) -> None:
    collector = Collector(said)
    task = PipelineTask(
        Pipeline([service, collector]), params=PipelineParams(audio_in_sample_rate=RATE), enable_rtvi=False
    )

    @task.event_handler("on_pipeline_error")  # type: ignore[untyped-decorator]
    async def on_error(_task: Any, frame: ErrorFrame) -> None:
        said["error"] = str(frame.error)[:300]

    running = asyncio.create_task(PipelineRunner(handle_sigint=False).run(task))
    await asyncio.sleep(1.0)  # until the service is connected
    is_speaking, quiet = False, 0
    for at in range(0, len(data), FRAME_SAMPLES * 2):
        part = data[at : at + FRAME_SAMPLES * 2]
        quiet = 0 if max(memoryview(part).cast("h")) > 650 else quiet + 1
        if not is_speaking and not quiet:  # in place of a voice detector
            is_speaking = True
            await task.queue_frame(VADUserStartedSpeakingFrame())
        await task.queue_frame(InputAudioRawFrame(audio=part, sample_rate=RATE, num_channels=1))
        if is_speaking and quiet > 25:
            is_speaking = False
            await task.queue_frame(VADUserStoppedSpeakingFrame())
        await asyncio.sleep(FRAME_SAMPLES / RATE)
    await asyncio.sleep(3.0)
    await task.queue_frame(EndFrame())
    await running
    said["text"], said["finals"] = " ".join(text.strip() for text in collector.texts), len(collector.texts)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]).read_bytes()))
