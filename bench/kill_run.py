"""The kill test: clients that speak, a real `host-stt serve`, and random kills; then the record is scored.

Each round: speak, kill -9 the media process, the engine or both at a random time, and restart if the media
process was killed. At the end all events are requested from the record and compared with the sent speech.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from bench.kill_evidence import evidence
from bench.kill_score import ALIKE, Reading, score
from bench.kill_speakers import Phrase, Speaker, phrase_of, spoken_of
from tests.support.server import Server
from tests.support.speech import say

TEXTS = (
    "alpha one proceed to gate seven over",
    "bravo two hold at checkpoint three",
    "echo six hold at gate nine",
    "medic four proceed to runway two",
    "charlie five return to base",
    "delta three proceed to gate one",
)
TARGETS = ("media", "engine", "both")
QUIET_S = 3.0
"""If no window waits for this long, everything has been transcribed."""
SETTLE_S = 600.0
LAST_WORDS_S = 1.0
"""Time limit for the figures of a server before its kill; a busy server may not respond in time."""
LONGEST = ("unsynced_ms_max", "unwritten_ms_max")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    channels: int = 16
    rounds: int = 50
    seed: int = 1
    speak_s: tuple[float, float] = (3.0, 9.0)  # from the last (re)start to the next kill
    margin_ms: int = 300  # audio sent this shortly before a kill may not have been received
    texts: tuple[str, ...] = TEXTS
    targets: tuple[str, ...] = TARGETS  # one of them per round, at random
    alike: float = ALIKE  # from this similarity on, a text counts as that of the phrase
    options: tuple[str, ...] = ()  # more of `--set`
    argv: tuple[str, ...] = ()  # in place of `host-stt serve`


@dataclass(slots=True)
class Course:
    """The events of a run, on the wall clock."""

    kills: list[tuple[str, float]] = field(default_factory=list)
    down_s: list[float] = field(default_factory=list)
    recovered: dict[str, float] = field(default_factory=dict)
    longest: dict[str, float] = field(default_factory=dict)  # over all processes

    def note(self, archive: dict[str, float]) -> None:
        """Store the maxima. archive: the figures of one process."""
        for name in LONGEST:
            self.longest[name] = max(self.longest.get(name, 0.0), archive.get(name, 0.0))

    def kills_ms(self, t0_wall_ms: float) -> list[tuple[str, float]]:
        return [(target, wall_ms - t0_wall_ms) for target, wall_ms in self.kills]

    def media_kills(self) -> list[float]:
        return [wall_ms for target, wall_ms in self.kills if target != "engine"]


class Host:
    """Several servers one after the other, with the same port and the same data."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder, self._plan = folder, plan
        self._server: Server | None = None

    def start(self) -> None:
        options = ("--set", f"media.port={self.port}", *self._plan.options)
        self._server = Server(self._folder, *options, argv=self._plan.argv or None)
        self._server.__enter__()
        assert self._server.url == self.url

    def wait_ready(self) -> None:
        assert self._server is not None
        self._server.wait_ready()

    @property
    def pid(self) -> int:
        """Of the media process."""
        assert self._server is not None
        return self._server.process.pid

    def kill(self, target: str) -> None:
        """SIGKILL; for the media process, wait until it has ended."""
        assert self._server is not None
        if target in ("engine", "both"):
            for engine in self._server.children():
                engine.kill()
        if target in ("media", "both"):
            self._server.process.kill()
            self._server.process.wait()
            self._server.__exit__()

    def close(self) -> list[str]:
        """Stop in order; returns the lines on stderr."""
        if self._server is None:
            return []
        self._server.__exit__()
        return self._server.err

    @property
    def errors(self) -> list[str]:
        return (
            []
            if self._server is None
            else [x for x in self._server.err if " ERROR " in x or "Traceback" in x]
        )


async def run(folder: Path, plan: Plan, tell: Say = lambda line: None) -> dict[str, Any]:
    """Run the test and return the report. folder: empty; the server's data are stored in it."""
    chance = random.Random(plan.seed)
    phrases = [phrase_of(text, await asyncio.to_thread(say, text)) for text in plan.texts]
    host, course = Host(folder, plan), Course()
    errors: list[str] = []
    began_s = time.monotonic()
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http:
        await asyncio.to_thread(host.start)
        try:
            await asyncio.to_thread(host.wait_ready)
            readings = await _undisturbed(http, host.url, phrases)
            tell(f"undisturbed: {json.dumps({r.text: [r.first_ms, r.last_ms] for r in readings.values()})}")
            speakers = [Speaker(f"C{n + 1:02d}", phrases, plan.seed * 1000 + n) for n in range(plan.channels)]
            tasks = [asyncio.create_task(speaker.run(http, lambda: host.url)) for speaker in speakers]
            await _until(lambda: all(speaker.connections for speaker in speakers), 60, "everyone speaks")
            session = await _current(http, host.url)
            for number in range(plan.rounds):
                errors += await _round(host, http, chance, plan, course)
                target, _ = course.kills[-1]
                tell(f"round {number + 1} of {plan.rounds}: killed {target}")
            await asyncio.sleep(chance.uniform(*plan.speak_s))
            for speaker in speakers:
                speaker.stop()
            await asyncio.wait(tasks, timeout=60)
            await _settled(http, host.url)
            course.recovered = await _metrics(http, host.url, "host_stt_recovery_")
            archive = await _metrics(http, host.url, "host_stt_archive_")
            course.note(archive)
            events = await _record(http, host.url, session["session"])
            t0_wall_ms = datetime.fromisoformat(session["t0_wall"]).timestamp() * 1000
            sent = [one for speaker in speakers for one in speaker.sent]
            spoken = spoken_of(sent, t0_wall_ms, course.media_kills(), plan.margin_ms)
            finals = _finals(events)
            result = score(spoken, finals, readings, plan.alike)
            suspects = await evidence(
                *(http, host.url, session["session"], folder / "data" / "audio", result.suspects),
                *(events, course.kills_ms(t0_wall_ms)),
            )
            errors += host.errors
        finally:
            await asyncio.to_thread(host.close)
    return {
        "channels": plan.channels,
        "rounds": plan.rounds,
        "seed": plan.seed,
        "margin_ms": plan.margin_ms,
        "kills": dict(Counter(target for target, _ in course.kills)),
        "down_s_max": round(max(course.down_s, default=0.0), 1),
        "duration_s": round(time.monotonic() - began_s),
        "load": [round(x, 1) for x in os.getloadavg()],
        **result.as_dict(),
        "finals": len(finals),
        "seq_holes": _holes([event["seq"] for event in events]),
        **course.longest,
        "last_process": {**course.recovered, **archive},
        "errors_logged": errors[:20],
        "suspects": suspects,
    }


async def _round(
    host: Host, http: aiohttp.ClientSession, chance: random.Random, plan: Plan, course: Course
) -> list[str]:
    """Speak, kill and restart. Returns the errors that the killed process had logged."""
    await asyncio.sleep(chance.uniform(*plan.speak_s))
    target = chance.choice(plan.targets)
    errors = host.errors
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(LAST_WORDS_S):
            course.note(await _metrics(http, host.url, "host_stt_archive_"))
    course.kills.append((target, time.time() * 1000))
    await asyncio.to_thread(host.kill, target)
    if target == "engine":
        return []
    began_s = time.monotonic()
    await asyncio.to_thread(host.start)
    course.down_s.append(time.monotonic() - began_s)
    return errors


async def _undisturbed(
    http: aiohttp.ClientSession, url: str, phrases: Sequence[Phrase]
) -> dict[str, Reading]:
    """The text of each phrase without any kill, each on its own channel of a separate session."""
    async with http.post(f"{url}/sessions/create", json={"name": "undisturbed"}) as answer:
        session = (await answer.json())["session_id"]
    sent = await asyncio.gather(
        *(_say_once(http, url, session, f"C{n + 1:02d}", phrase) for n, phrase in enumerate(phrases))
    )
    await _settled(http, url)
    finals = _finals(await _record(http, url, session))
    readings: dict[str, Reading] = {}
    for (channel, start_ms), phrase in zip(sent, phrases, strict=True):
        own = sorted((f for f in finals if f["channel"] == channel), key=lambda f: f["start_ms"])
        if not own:
            raise RuntimeError(f"{phrase.text!r} was not read at all, undisturbed; choose other phrases")
        text = " ".join(f["raw"] for f in own)
        readings[phrase.text] = Reading(text, own[0]["start_ms"] - start_ms, own[-1]["end_ms"] - start_ms)
    return readings


async def _say_once(
    http: aiohttp.ClientSession, url: str, session: str, channel: str, phrase: Phrase
) -> tuple[str, int]:
    """(channel, time of its first packet on the session's clock)."""
    speaker = Speaker(channel, [phrase], 0)

    async def stop_soon() -> None:
        await _until(lambda: bool(speaker.sent), 60, "the phrase is said")
        speaker.stop()

    stopping = asyncio.create_task(stop_soon())
    await speaker.run(http, lambda: url, session)
    await stopping
    async with http.get(f"{url}/api/sessions/{session}") as answer:
        t0_wall = (await answer.json())["t0_wall"]
    return channel, round(speaker.sent[0].wall_ms - datetime.fromisoformat(t0_wall).timestamp() * 1000)


async def _current(http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    """The session of the speakers: the one that is not named undisturbed."""
    async with http.get(f"{url}/api/sessions") as answer:
        sessions = (await answer.json())["sessions"]
    return next(one for one in sessions if one["name"] != "undisturbed")


async def _settled(http: aiohttp.ClientSession, url: str) -> None:
    """Wait until recovery is done and no window waits for the engine."""
    deadline_s, quiet_s = time.monotonic() + SETTLE_S, 0.0
    while quiet_s < QUIET_S:
        if time.monotonic() > deadline_s:
            raise TimeoutError("windows are still waiting after ten minutes")
        figures = await _metrics(http, url, "host_stt_")
        waiting = (
            figures.get("recovery_feeds_waiting", 0)
            + figures["speech_windows_in_flight"]
            + figures["speech_queued_ms"]
        )
        quiet_s = 0.0 if waiting else quiet_s + 0.5
        await asyncio.sleep(0.5)


async def _metrics(http: aiohttp.ClientSession, url: str, prefix: str) -> dict[str, float]:
    async with http.get(f"{url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith(prefix) and "{" not in line)
    return {name.removeprefix(prefix).removesuffix("_total"): float(value) for name, value in pairs}


async def _record(http: aiohttp.ClientSession, url: str, session: str) -> list[dict[str, Any]]:
    """All stored events of a session, replayed from its beginning."""
    async with http.get(f"{url}/api/sessions/{session}") as answer:
        head_seq = (await answer.json())["head_seq"]
    events: list[dict[str, Any]] = []
    async with http.ws_connect(f"{url}/ws", params={"session": session, "since": "0"}) as watching:
        while not events or events[-1]["seq"] < head_seq:
            event = json.loads((await watching.receive(timeout=60)).data)
            if "seq" in event:
                events.append(event)
    return events


def _finals(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == "segment.final"]


def _holes(seqs: Sequence[int]) -> int:
    return 0 if list(seqs) == list(range(1, len(seqs) + 1)) else len(set(range(1, seqs[-1])) - set(seqs)) or 1


async def _until(holds: Callable[[], object], within_s: float, what: str) -> None:
    deadline_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{what}: not within {within_s:.0f} s")
        await asyncio.sleep(0.05)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
