"""An hour of silence at every WebSocket door of a real server at the speed of speech, and then words.

    .venv/bin/python -m scripts.check_silent_hour [--minutes 60] [--model starter]

All doors are open at the same time: first for the words alone, then on other channels for the silence and the
same words. After the silence, at least 80 % as many words must be right as without it. Not all, because the
clients speak at the same moment, and a busy engine decodes with less context. The channel's coverage ledger
must account for the whole time, and the memory must not grow by more than 20 MB. The exit status is 1 when
something is not as it should be.

Results: docs/benchmarks/clients.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import numpy as np
import psutil

from bench.clients.doors import DOORS, FRAME_S, Caller, Door, Message, Told, converse
from bench.clients.place import Talk, right_words, talk_of
from host_stt.contract import SAMPLE_RATE
from tests.support.server import Server

TOKEN = "a-token-for-this-check"
GROWTH_MB_MAX = 20.0
WARM_UP_S = 20.0
"""The memory is compared with the memory after this time: the first windows fill caches."""
SHARE_MIN = 0.8
MISSING_S_MAX = 1.0
"""Of a channel's time that no entry of its ledger covers, such as the last frame."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="starter", help="starter, or a folder")
    parser.add_argument("--minutes", type=float, default=60.0, help="of silence")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="check-silent-hour-") as folder:
        with Server(Path(folder), "--set", f"auth.token={TOKEN}", model=chosen.model) as server:
            server.wait_ready()
            return asyncio.run(_checked(server, 60 * chosen.minutes))


async def _checked(server: Server, silent_s: float) -> int:
    process = psutil.Process(server.process.pid)
    talk = talk_of((0, 1, 2, 6), (0.5, 1.5))
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as client:
        caller = Caller(client, server.url, TOKEN)
        before = await _visit_all(caller, talk, 0.0, 0)
        growth = asyncio.create_task(_growth(process, silent_s))
        after = await _visit_all(caller, talk, silent_s, len(DOORS))
        is_good = True
        for number, (door, first, second) in enumerate(zip(DOORS, before, after, strict=True), len(DOORS)):
            missing_s = await _missing_s(caller, _channel(number), silent_s + talk.seconds)
            is_good &= _line(door, talk, first, second, missing_s)
    grown_mb = await growth
    print(f"memory of 8082: {grown_mb:+.1f} MB during the silence, from its second {WARM_UP_S:.0f} on")
    return 0 if is_good and grown_mb <= GROWTH_MB_MAX else 1


async def _visit_all(caller: Caller, talk: Talk, silent_s: float, first: int) -> list[Told | BaseException]:
    """What the client of each door was told, or what went wrong. All at once, from channel `first` on."""
    return await asyncio.gather(
        *(_visit(caller, door, _channel(n), talk, silent_s) for n, door in enumerate(DOORS, first)),
        return_exceptions=True,
    )


def _channel(number: int) -> str:
    """Each visit has a channel of its own: a server may still be ending the visit before."""
    return f"C{number + 1:02d}"


async def _visit(caller: Caller, door: Door, channel: str, talk: Talk, silent_s: float) -> Told:
    return await converse(caller, door, channel, _frames(door, talk, silent_s), reply_s=silent_s + 60)


async def _frames(door: Door, talk: Talk, silent_s: float) -> AsyncIterator[Message]:
    """The messages with audio, in real time: silence, then the talk."""
    [silent] = door.encoded(np.zeros(round(FRAME_S * SAMPLE_RATE), np.float32))
    spoken = door.encoded(talk.samples)
    count = round(silent_s / FRAME_S)
    began_s = time.monotonic()
    for number in range(count + len(spoken)):
        await asyncio.sleep(max(0.0, began_s + number * FRAME_S - time.monotonic()))
        yield door.frame(number, silent if number < count else spoken[number - count])


async def _growth(process: psutil.Process, silent_s: float) -> float:
    """MB by which the memory of the process has grown during the silence."""
    await asyncio.sleep(min(WARM_UP_S, silent_s / 2))
    before = process.memory_info().rss
    await asyncio.sleep(max(0.0, silent_s - 2 * WARM_UP_S))
    return float(process.memory_info().rss - before) / 1e6


async def _missing_s(caller: Caller, channel: str, total_s: float) -> float:
    """Seconds of the channel's audio that its ledger does not account for."""
    async with caller.client.get(f"{caller.url}/api/sessions") as response:
        [session] = (await response.json())["sessions"]
    path = f"/api/sessions/{session['session']}/coverage?channel={channel}"
    async with caller.client.get(caller.url + path) as response:
        [found] = (await response.json())["channels"]
    totals: dict[str, int] = found["totals_ms"]
    return total_s - sum(ms for state, ms in totals.items() if state != "closed") / 1000


def _line(
    door: Door, talk: Talk, first: Told | BaseException, second: Told | BaseException, missing_s: float
) -> bool:
    for told, when in ((first, "without silence"), (second, "after the silence")):
        if isinstance(told, BaseException):
            print(f"{door.name:16} FAILED  {when}: {type(told).__name__}: {told}", flush=True)
            return False
    assert isinstance(first, Told) and isinstance(second, Told)
    (without, of), (after, _) = (right_words(talk.text, told.text) for told in (first, second))
    is_good = (not door.has_results or after >= SHARE_MIN * without) and missing_s <= MISSING_S_MAX
    text = f"{after} of {of} words, {without} without silence"
    text = text if door.has_results else "no results in this protocol"
    print(
        f"{door.name:16} {'ok' if is_good else 'FAILED':7} {text}, close {second.close_code}, "
        f"{missing_s:.1f} s not accounted for",
        flush=True,
    )
    return is_good


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        raise SystemExit(main())
