"""Transcribe the same clips one at a time on an idle engine: the accuracy of the model without load."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import aiohttp

from host_stt.contract import Priority, Transcript, Window, decode_answer, encode_window
from host_stt_cli.loadtest.sounds import Clip

WITHIN_S = 60.0


async def transcribe_alone(
    http: aiohttp.ClientSession, engine: str, clips: Sequence[Clip], language: str, *, is_encoded: bool
) -> list[str]:
    """The text of each clip, "" for a clip without text; [] if the engine did not decode all in time.

    is_encoded: the server gets the clips as Opus, so here too the engine gets what a decoder makes of them. A
    comparison with other audio would count its errors as those of the load: small models read the same phrase
    differently after the codec, and with digital silence around it in place of the noise of a line.
    """
    texts: list[str] = []
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, TypeError):
        async with asyncio.timeout(WITHIN_S), http.ws_connect(f"{engine}/v1/windows") as ws:
            for number, clip in enumerate(clips):
                samples = clip.window_at_16k(is_encoded=is_encoded).reshape(-1)
                window = Window(f"alone-{number}", "alone", samples, 0, Priority.FINAL, language=language)
                await ws.send_bytes(encode_window(window))
                answer = decode_answer(await ws.receive_str())
                texts.append(answer.text if isinstance(answer, Transcript) else "")
    return texts if len(texts) == len(clips) else []
