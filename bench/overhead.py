"""Measure the overhead of `/v1/windows`: 320 kB there and a small response back, compared with a raw socket.

Both servers are separate processes on loopback and respond at once: ours with an engine that decodes nothing,
the other one after the last byte. Rounds alternate, so that other work on the machine affects both. A round
of ours includes making the frame from the window and parsing the response to a Transcript.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import numpy as np

from host_stt.contract import SAMPLE_RATE, Priority, Window, decode_answer, encode_window
from host_stt.memory import keep_window_memory

ROOT = Path(__file__).resolve().parent.parent
WINDOW_S = 10  # of int16: 320 kB
ANSWER_BYTES = 400
_RAW = """
import asyncio, sys
async def serve(reader, writer):
    while True:
        await reader.readexactly(int(sys.argv[1]))
        writer.write(bytes(int(sys.argv[2])))
        await writer.drain()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


async def round_trips(rounds: int, warm_up: int = 30) -> dict[str, list[float]]:
    """Seconds of each round, for `windows` and `raw socket`."""
    keep_window_memory()  # as 8082 does; this helps the raw socket too
    window = Window("w", "C01", np.zeros(WINDOW_S * SAMPLE_RATE, np.int16), 0, Priority.FINAL, language="en")
    size = len(encode_window(window))
    took: dict[str, list[float]] = {"raw socket": [], "windows": []}
    engine = [sys.executable, "-m", "bench.engine_process", json.dumps({"folder": None, "name": "fake"})]
    raw = [sys.executable, "-c", _RAW, str(size), str(ANSWER_BYTES)]
    async with _child(engine) as port, _child(raw) as raw_port:
        reader, writer = await asyncio.open_connection("127.0.0.1", raw_port, limit=1 << 20)
        async with aiohttp.ClientSession() as http:
            await _ready(http, port)
            async with http.ws_connect(f"http://127.0.0.1:{port}/v1/windows") as ws:
                for number in range(warm_up + rounds):
                    began = time.perf_counter()
                    writer.write(bytes(size))
                    await reader.readexactly(ANSWER_BYTES)
                    between = time.perf_counter()
                    await ws.send_bytes(encode_window(window))
                    decode_answer((await ws.receive()).data)
                    ended = time.perf_counter()
                    if number >= warm_up:
                        took["raw socket"].append(between - began)
                        took["windows"].append(ended - between)
        writer.close()
    return took


async def _ready(http: aiohttp.ClientSession, port: int) -> None:
    while True:
        async with http.get(f"http://127.0.0.1:{port}/ready") as answer:
            if answer.status == 200:
                return
        await asyncio.sleep(0.1)


@asynccontextmanager
async def _child(command: list[str]) -> AsyncIterator[int]:
    """Start a process that prints `port N`; end it afterwards."""
    process = await asyncio.to_thread(subprocess.Popen, command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        yield int(line.split()[1])
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 30)
