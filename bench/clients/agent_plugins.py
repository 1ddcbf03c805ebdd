"""The speech recognition plugins of LiveKit Agents and pipecat, unmodified, in their own environment."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.clients.place import Outcome, Place, words_outcome

PROGRAMS = ("livekit_stt.py", "pipecat_stt.py")
FOLDER = Path(__file__).resolve().parent.parent / "plugins"
WITHIN_S = 900.0


async def check(place: Place) -> list[Outcome]:
    """One line for each plugin."""
    return await outcomes_of(place, PROGRAMS)


async def outcomes_of(place: Place, programs: Sequence[str]) -> list[Outcome]:
    """What these programs of bench/plugins say. place.plugins: the Python of the environment."""
    with tempfile.NamedTemporaryFile(suffix=".pcm") as file:
        file.write(np.round(place.talk.samples * 32767).astype("<i2").tobytes())
        file.flush()
        return [
            _outcome(place, line) for program in programs for line in await _lines(place, program, file.name)
        ]


async def _lines(place: Place, program: str, file: str) -> list[str]:
    """The lines of JSON that a program printed."""
    # Our own packages stay outside: the environment has other versions of the same libraries.
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    running = await asyncio.create_subprocess_exec(
        *(place.plugins, str(FOLDER / program), place.url, place.key, file),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environ,
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            out, _ = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    return [line for line in out.decode().splitlines() if line.startswith("{")]


def _outcome(place: Place, line: str) -> Outcome:
    said = json.loads(line)
    what = f"{said['what']}, {said['finals']} finals, {said['interims']} interims"
    outcome = words_outcome(said["name"], what, place, said["text"])
    figure = outcome.figure if said["error"] is None else f"{outcome.figure}; {said['error']}"
    return Outcome(outcome.client, outcome.what, outcome.is_good and said["error"] is None, figure)
