"""Transcribe the same clips one at a time on an idle engine: the accuracy of the model without load."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import aiohttp
import numpy as np

from host_stt.contract import Priority, Transcript, Window, decode_answer, encode_window
from host_stt_cli.loadtest.sounds import Clip

EDGE_SAMPLES = 4800
"""300 ms of silence before and after each clip, as 8082 has around speech."""
WITHIN_S = 60.0


async def transcribe_alone(
    http: aiohttp.ClientSession, engine: str, clips: Sequence[Clip], language: str
) -> list[str]:
    """The text of each clip, "" for a clip without text; [] if the engine did not decode all in time."""
    texts: list[str] = []
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, TypeError):
        async with asyncio.timeout(WITHIN_S), http.ws_connect(f"{engine}/v1/windows") as ws:
            for number, clip in enumerate(clips):
                edge = np.zeros(EDGE_SAMPLES, np.int16)
                samples = np.concatenate([edge, clip.at_16k.reshape(-1), edge])
                window = Window(f"alone-{number}", "alone", samples, 0, Priority.FINAL, language=language)
                await ws.send_bytes(encode_window(window))
                answer = decode_answer(await ws.receive_str())
                texts.append(answer.text if isinstance(answer, Transcript) else "")
    return texts if len(texts) == len(clips) else []
