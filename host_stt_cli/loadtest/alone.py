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
    http: aiohttp.ClientSession, engine: str, clips: Sequence[Clip], language: str, *, is_encoded: bool
) -> list[str]:
    """The text of each clip, "" for a clip without text; [] if the engine did not decode all in time.

    is_encoded: the server gets the clips as Opus, so here too the engine gets what a decoder makes of them. A
    comparison with the audio before the codec would count the codec's errors as those of the load.
    """
    texts: list[str] = []
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, TypeError):
        async with asyncio.timeout(WITHIN_S), http.ws_connect(f"{engine}/v1/windows") as ws:
            for number, clip in enumerate(clips):
                edge = np.zeros(EDGE_SAMPLES, np.int16)
                audio = clip.received_at_16k if is_encoded else clip.at_16k
                samples = np.concatenate([edge, audio.reshape(-1), edge])
                window = Window(f"alone-{number}", "alone", samples, 0, Priority.FINAL, language=language)
                await ws.send_bytes(encode_window(window))
                answer = decode_answer(await ws.receive_str())
                texts.append(answer.text if isinstance(answer, Transcript) else "")
    return texts if len(texts) == len(clips) else []
