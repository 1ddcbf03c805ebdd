"""Send the same audio through every door of a real server, and compare the texts; print a table.

    .venv/bin/python -m scripts.check_doors [--model starter] [--only pcm twilio WebRTC ...] [--greetings]

It starts `host-stt serve` with the model, on free ports of loopback. The doors are used one after another,
in real time. For each one: the final text against the first door's, and against what is said; times that
never go back; and the text of the channel in the record. Afterwards: the file descriptors and connections
that are left. --greetings: in place of it, how long each door takes to upgrade and greet while sixteen
channels talk. The exit status is 1 when something is not as it should be.

Results: docs/benchmarks/clients.md.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import aiohttp
import psutil

from bench.clients import recorded
from bench.clients.doors import DOORS, SAME_SAMPLES, Caller, Door, Line, Told, transcribed
from bench.clients.place import Talk, different_talks, in_real_time, right_words, talk_of
from bench.one_group import use_one_group
from tests.support.base_model import find_base_model
from tests.support.server import Server

CLIPS = (0, 1, 2, 6)
PAUSES_S = (0.5, 1.5)
SAME_SHARE = 0.5
"""Of the first door's words, where samples are coarser or windows longer: the model reads them otherwise."""
LEFT = ("host_stt_registry_connections", "host_stt_registry_channels_fed", "host_stt_connections_open")
READ_S = 60.0
"""For the text of a call."""
TALKERS, TALK_S, TALK_SHARE = 16, 60.0, 0.5
GREETING_S = 1.0
GREETINGS = 5


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="starter", help="starter, base, or a folder")
    names = [*(door.name for door in DOORS), *(door.name for door in recorded.DOORS)]
    parser.add_argument("--only", nargs="+", choices=names, help="only these; the first is compared with")
    parser.add_argument("--greetings", action="store_true", help="measure upgrades and greetings under load")
    chosen = parser.parse_args(arguments)
    model = str(find_base_model()) if chosen.model == "base" else chosen.model
    with tempfile.TemporaryDirectory(prefix="check-doors-") as folder:
        options = ("--set", recorded.RADIO_SETTING, "--set", "limits.requests_per_s=1000")
        with Server(Path(folder), *options, model=model) as server:
            use_one_group(server.wait_ready().process.pid)
            only = chosen.only or names
            return asyncio.run(_greetings(server, only) if chosen.greetings else _compared(server, only))


async def _compared(server: Server, only: Sequence[str]) -> int:
    talk = talk_of(CLIPS, PAUSES_S)
    process = psutil.Process(server.process.pid)
    is_good = True
    async with aiohttp.ClientSession() as client:
        caller = Caller(client, server.url)
        before = process.num_fds()
        first, session = "", ""
        for number, door in enumerate((door for door in DOORS if door.name in only), 1):
            channel = f"C{number:02d}"
            told = await transcribed(caller, door, channel, talk.samples, is_real_time=True)
            session = session or await _newest_session(server)
            lines = await _recorded(server, session, channel)
            first = first or _text(lines)
            is_good &= _show(door.name, talk, first, told, lines, must_be_same=door.name in SAME_SAMPLES)
        for other in (door for door in recorded.DOORS if door.name in only):
            session = session or await _newest_session(server)
            answer = await other.send(caller, other.channel, talk.samples)
            lines = await _recorded(server, session, other.channel) if answer is None else answer
            is_good &= _show(other.name, talk, first, Told(answer or []), lines, must_be_same=False)
    await asyncio.sleep(2.0)
    _, text = await server.get("/metrics")
    values = [line for line in str(text).splitlines() if line.split()[0] in LEFT]
    print(f"left: {process.num_fds() - before} file descriptors; {'; '.join(values)}")
    return 0 if is_good else 1


def _show(
    name: str, talk: Talk, first: str, told: Told, lines: Sequence[Line], *, must_be_same: bool
) -> bool:
    """Print the line of a door. Returns whether it is as it should be."""
    text = _text(lines)
    right, said = right_words(talk.text, text)
    same, of_first = right_words(first, text)
    is_same = text == first
    is_told = not told.lines or told.text.lower() == text.lower()
    are_monotone = told.are_times_monotone and Told(list(lines)).are_times_monotone
    is_good = (is_same if must_be_same else same >= SAME_SHARE * of_first) and is_told and are_monotone
    is_good = is_good and not told.late
    print(
        f"{name:16} {'ok' if is_good else 'FAILED':7} {right} of {said} words; "
        f"{'the same text' if is_same else f'{same} of {of_first} words'} as the first door; "
        f"told {'the same' if is_told else 'OTHERWISE: ' + told.text}; times "
        f"{'monotone' if are_monotone else 'NOT monotone'}; closed with {told.close_code}"
        f"{'' if is_same else chr(10) + ' ' * 17 + text}",
        flush=True,
    )
    return is_good


def _text(lines: Sequence[Line]) -> str:
    return " ".join(line.text for line in lines if line.text)


async def _recorded(server: Server, session: str, channel: str) -> list[Line]:
    """The lines of a channel, when they have not changed for a second."""
    lines: list[Line] = []
    async with asyncio.timeout(READ_S):
        while True:
            _, body = await server.get(f"/api/sessions/{session}/segments?channel={channel}")
            now = [Line(one["text"], one["start_ms"], one["end_ms"]) for one in body["segments"]]
            if now and now == lines:
                return now
            lines = now
            await asyncio.sleep(1.0)


async def _newest_session(server: Server) -> str:
    _, body = await server.get("/api/sessions")
    return str(body["sessions"][0]["session"])


async def _greetings(server: Server, only: Sequence[str]) -> int:
    """Sixteen channels talk over our own socket, and meanwhile each door is opened several times.

    All doors take turns: the load changes while the channels talk, and most at the beginning, when all of
    them say their first words at once.
    """
    doors = [door for door in DOORS if door.name in only]
    upgrades, greetings = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    async with aiohttp.ClientSession() as client:
        caller = Caller(client, server.url)
        talks = different_talks(TALKERS, TALK_S, TALK_SHARE)
        talkers = [
            asyncio.create_task(_talked(caller, talk, f"C{number:02d}"))
            for number, talk in enumerate(talks, 1)
        ]
        await asyncio.sleep(2.0)
        channels = cycle(f"C{number:02d}" for number in range(TALKERS + 1, 65))
        for _ in range(GREETINGS):
            for door in doors:
                told = await transcribed(caller, door, next(channels), talks[0].samples[:1600])
                upgrades[door.name].append(told.upgrade_s)
                greetings[door.name].append(told.upgrade_s if told.greeting_s is None else told.greeting_s)
        talking = sum(not one.done() for one in talkers)
        await asyncio.gather(*talkers)
    for door in doors:
        upgrade_s, greeting_s = max(upgrades[door.name]), max(greetings[door.name])
        print(
            f"{door.name:16} {'ok' if greeting_s < GREETING_S else 'FAILED':7} upgrade at most "
            f"{upgrade_s:.2f} s, with greeting {greeting_s:.2f} s; "
            f"each: {', '.join(f'{one:.2f}' for one in greetings[door.name])}",
            flush=True,
        )
    print(f"{talking} of {TALKERS} channels talked until the end")
    return 0 if max(max(one) for one in greetings.values()) < GREETING_S else 1


async def _talked(caller: Caller, talk: Talk, channel: str) -> None:
    door: Door = DOORS[0]
    async with caller.connect(door, channel) as socket:
        async for frame in in_real_time(talk.samples):
            await socket.send_bytes(frame)
        for message in door.end:
            await socket.send_str(str(message))
        while (await socket.receive(timeout=READ_S)).type is aiohttp.WSMsgType.TEXT:
            pass


if __name__ == "__main__":
    raise SystemExit(main())
