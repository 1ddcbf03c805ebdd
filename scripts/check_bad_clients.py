"""Bad clients at every WebSocket door of a real server; print what each client gets, and the memory.

    .venv/bin/python -m scripts.check_bad_clients [--model starter] [--callers 100]

Meanwhile a good client of Deepgram v1 talks; its text must be the same as without them. All doors are visited
twice, and the second time the memory must not grow: the first time fills caches, and makes all channels.
Every bad client must get an HTTP status, an error message or a close code.
The exit status is 1 when something is not as it should be.

Results: docs/benchmarks/clients.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import psutil

from bench.clients.doors import DOORS, Caller, Door, Message, transcribed
from bench.clients.place import Talk, right_words, talk_of
from host_stt.contract import SAMPLE_RATE
from tests.support.desk import abort_connection
from tests.support.server import Server

TOKEN = "a-token-for-this-check"
PLACES = 16
SIXTEEN_MIB = bytes(16 * 1024 * 1024)
ANSWER_S = 20.0
FAST_S = 6.0
"""Audio that is sent at once."""
GROWTH_MB_MAX = 20.0

ENCODINGS = {
    "pcm": ("encoding=pcm_s16le", "encoding=g729"),
    "deepgram v1": ("encoding=linear16", "encoding=g729"),
    "deepgram v2": ("encoding=linear16", "encoding=g729"),
    "assemblyai": ("sample_rate=16000", "sample_rate=16000&encoding=g729"),
    "speechmatics": ("pcm_s16le", "g729"),
    "agent stt": ("pcm_s16le", "g729"),
    "whisperlive": ('"task"', '"audio_format": "g729", "task"'),
    "openai": ('"turn_detection": null', '"turn_detection": null, "format": {"type": "audio/g729"}'),
    "vosk": ('"sample_rate": 16000', '"sample_rate": "g729"'),
    "twilio": ("audio/x-mulaw", "g729"),
    "telnyx": ("PCMU", "AMR-WB"),
}
"""What each door says about its audio, and what it says in place of it."""


@dataclass(frozen=True, slots=True)
class Bad:
    """One kind of bad client. change: the door as this client uses it. messages: sent after the audio."""

    name: str
    messages: Callable[[Door], tuple[Message, ...]] = lambda door: ()
    change: Callable[[Door], Door] = lambda door: door
    token: str = TOKEN


def _other_encoding(door: Door) -> Door:
    before, after = ENCODINGS[door.name]
    begin = tuple(text.replace(before, after) for text in door.begin)
    return replace(door, address=door.address.replace(before, after), begin=begin)


def _out_of_order(door: Door) -> Door:
    """The end before the beginning."""
    return replace(door, begin=tuple(str(message) for message in door.end) + door.begin)


BAD = (
    Bad("wrong key", token="not-the-token"),
    Bad("no key", token=""),
    Bad("not JSON", lambda door: ("not JSON",)),
    Bad("JSON, no object", lambda door: ("[1, 2]",)),
    Bad("deep JSON", lambda door: ("[" * 100_000,)),
    Bad("wrong order", change=_out_of_order),
    Bad("unknown encoding", change=_other_encoding),
    Bad("frame of 16 MiB", lambda door: (SIXTEEN_MIB,)),
    Bad("text of 16 MiB", lambda door: (SIXTEEN_MIB.decode(),)),
    Bad("random bytes", lambda door: (np.random.default_rng(1).bytes(50_000),)),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="starter", help="starter, or a folder")
    parser.add_argument("--callers", type=int, default=100, help="connections at once on each door")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="check-bad-clients-") as folder:
        options = ("--set", f"auth.token={TOKEN}", "--set", f"limits.channels_per_process={PLACES}")
        with Server(Path(folder), *options, model=chosen.model) as server:
            server.wait_ready()
            return asyncio.run(_checked(server, chosen.callers))


# --- bad clients, and a good one --------------------------------------------------------------------------


async def _checked(server: Server, callers: int) -> int:
    process = psutil.Process(server.process.pid)
    talk = talk_of((0, 1, 2, 6), (0.5, 1.5))
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as client:
        caller = Caller(client, server.url, TOKEN)
        alone = (await transcribed(caller, DOORS[1], "C16", talk.samples, is_real_time=True)).text
        stop = asyncio.Event()
        good = asyncio.create_task(_good(caller, talk, stop))
        before_mb, is_good = 0.0, True
        for door in (*DOORS, *DOORS):
            if door is DOORS[0]:
                before_mb = _megabytes(process)
            for number, bad in enumerate(BAD, 1):
                other = Caller(client, server.url, bad.token)
                answer = await _answer(other, door, bad, f"C{number:02d}")
                is_good &= _line(door, bad.name, answer, answer != "nothing")
            is_good &= _line(door, "6 s of audio at once", *(await _fast(caller, door)))
            crowd = await _crowd(caller, door, callers)
            is_good &= _line(door, f"{callers} at once", str(dict(crowd)), 0 < crowd["open"] <= PLACES)
            print(f"{'':16} memory {_megabytes(process):.0f} MB", flush=True)
        stop.set()
        texts = await good
    grown_mb = _megabytes(process) - before_mb
    print(f"the good client, alone: {alone}")
    shares = [right_words(alone, text) for text in texts]
    print(f"beside them, {len(texts)} times: {', '.join(f'{same} of {of} words' for same, of in shares)}")
    print(f"memory: {before_mb:.0f} MB before the second visit, {grown_mb:+.0f} MB after it")
    is_good &= all(same >= 0.8 * of for same, of in shares) and grown_mb <= GROWTH_MB_MAX
    return 0 if is_good else 1


async def _good(caller: Caller, talk: Talk, stop: asyncio.Event) -> list[str]:
    """The texts of a client that talks again and again, until `stop`."""
    texts = []
    while not stop.is_set():
        told = await transcribed(caller, DOORS[1], "C16", talk.samples, is_real_time=True)
        texts.append(told.text)
    return texts


async def _answer(caller: Caller, door: Door, bad: Bad, channel: str) -> str:
    """What a bad client gets: an HTTP status, error messages, a close code, or `goes on`."""
    used = bad.change(door)
    try:
        async with caller.connect(used, channel) as socket:
            with contextlib.suppress(ConnectionError):  # the server has closed; what it said is read below
                for message in (*used.begin, used.frame(0, bytes(3200)), *bad.messages(door)):
                    await (
                        socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message)
                    )
            return await _until_closed(socket)
    except aiohttp.WSServerHandshakeError as error:
        return f"HTTP {error.status}"


async def _until_closed(socket: aiohttp.ClientWebSocketResponse) -> str:
    """The error messages and the close code. `goes on` when the connection is still open after 1.5 s."""
    said: list[str] = []
    while True:
        try:
            message = await socket.receive(timeout=1.5 if not said else 1.0)
        except TimeoutError:
            return f"{'; '.join(dict.fromkeys(said)) or 'no message'}; goes on"
        if message.type is aiohttp.WSMsgType.TEXT:
            said += _error_in(json.loads(message.data))
        elif message.type is aiohttp.WSMsgType.CLOSE:
            return "; ".join(
                [*dict.fromkeys(said), f"close {message.data} {str(message.extra)[:60]}".strip()]
            )
        else:
            return "; ".join([*dict.fromkeys(said), f"closed {socket.close_code}"])


def _error_in(message: dict[str, Any]) -> list[str]:
    """The kind of an error message, in any protocol."""
    kinds = (str(message.get(name)) for name in ("message", "type", "status"))
    kind = next((one for one in kinds if one in ("Error", "error", "Warning", "ERROR", "WAIT")), None)
    if kind is None:
        return []
    error = message.get("error")
    inner: dict[str, Any] = error if isinstance(error, dict) else message
    names = ("code", "error_code", "warning_code", "variant", "type")
    return [f"{kind} {next((inner[name] for name in names if name in inner), '')}"]


async def _fast(caller: Caller, door: Door) -> tuple[str, bool]:
    samples = np.zeros(int(FAST_S * SAMPLE_RATE), np.float32)
    began_s = time.monotonic()
    told = await transcribed(caller, door, "C12", samples)
    took_s = time.monotonic() - began_s
    return f"slowed to {took_s:.0f} s, close {told.close_code}", told.close_code == aiohttp.WSCloseCode.OK


async def _crowd(caller: Caller, door: Door, count: int) -> Counter[str]:
    """How many connections that are opened at once stay open, and what the others get."""
    sockets: list[aiohttp.ClientWebSocketResponse] = []

    async def one(number: int) -> str:
        try:
            socket = await caller.connect(door, f"C{number % 64 + 1:02d}")
        except aiohttp.WSServerHandshakeError as error:
            return f"HTTP {error.status}"
        sockets.append(socket)
        with contextlib.suppress(ConnectionError):  # as above
            for message in (*door.begin, door.frame(0, bytes(3200))):
                await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))
        answer = await _until_closed(socket)
        return "open" if answer.endswith("goes on") else " ".join(answer.split()[:3])

    found = Counter(await asyncio.gather(*map(one, range(count))))
    for socket in sockets:
        if not socket.closed:
            abort_connection(socket)
    await asyncio.sleep(2.0)
    return found


def _line(door: Door, what: str, answer: str, is_good: bool) -> bool:
    print(f"{door.name:16} {'ok' if is_good else 'FAILED':7} {what:22} {answer}", flush=True)
    return is_good


def _megabytes(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 1e6


if __name__ == "__main__":
    raise SystemExit(main())
