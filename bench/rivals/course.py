"""Run one case: N channels speak to a running server in real time, and the text on their screens is scored.

Contains the order of a case. Voices, timing, true text and statistics are those of the load test.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import aiohttp
import psutil

from bench.rivals import ours
from bench.rivals.child import Child
from bench.rivals.line import RivalLine
from bench.rivals.screens import Screen, UtteranceTimes, figures, utterance_times
from bench.speech.normalise import normaliser
from host_stt_cli.loadtest.measures import Spoken, percentiles
from host_stt_cli.loadtest.plan import Load, Part, script
from host_stt_cli.loadtest.sending import Beat, Lines
from host_stt_cli.loadtest.sounds import Clip, Voice, voices
from host_stt_cli.loadtest.watching import Watcher

DRAIN_S = 20
"""Silence after the speech, to wait for late text; later text counts as lost."""
QUIET_S = 8.0
SETTLE_S = 1.5
OPEN_EVERY_S = 0.25
"""Slower than the five clients per second that WhisperLive's batch mode admits."""


@dataclass(frozen=True, slots=True)
class Talk:
    """The speech of a case."""

    load: Load
    clips: Sequence[Clip]
    language: str

    def parts(self) -> list[Part]:
        return script(self.load, [clip.ms for clip in self.clips])

    def names(self) -> list[str]:
        return [f"C{number + 1:02}" for number in range(self.load.channels)]

    def voices(self) -> list[Voice]:
        return voices(self.parts(), self.clips)

    def spoken(self, offsets_ms: Sequence[float]) -> list[list[Spoken]]:
        """The utterances by channel. offsets_ms: time of each channel's first frame."""
        return [
            [
                Spoken(name, offset_ms + u.start_ms, offset_ms + u.end_ms, self._words(u.sayings))
                for u in part.utterances
            ]
            for name, part, offset_ms in zip(self.names(), self.parts(), offsets_ms, strict=True)
        ]

    def _words(self, sayings: Sequence[Any]) -> str:
        return " ".join(self.clips[saying.clip].text for saying in sayings)


class Doorway(ABC):
    """How a server's channels are opened, and how their text is collected."""

    def __init__(self) -> None:
        self.lines: list[Lines] = []

    @abstractmethod
    async def open(self, http: aiohttp.ClientSession, talk: Talk) -> None: ...

    @abstractmethod
    def screens(self, number: int, began_s: float) -> list[Screen]: ...

    async def close(self) -> None:
        await asyncio.gather(*(line.hang_up() for line in self.lines))

    def extra(self, talk: Talk, beat: Beat) -> dict[str, Any]:
        return {}


class RivalDoorway(Doorway):
    def __init__(self, make: Any) -> None:
        super().__init__()
        self._make = make  # (http, channel, voice) -> RivalLine

    async def open(self, http: aiohttp.ClientSession, talk: Talk) -> None:
        for name, voice in zip(talk.names(), talk.voices(), strict=True):
            line: RivalLine = self._make(http, name, voice)
            self.lines.append(line)
            await line.open()
            await asyncio.sleep(OPEN_EVERY_S)

    def screens(self, number: int, began_s: float) -> list[Screen]:
        line = self.lines[number]
        assert isinstance(line, RivalLine)
        return line.screens(began_s)

    def extra(self, talk: Talk, beat: Beat) -> dict[str, Any]:
        mine = [line for line in self.lines if isinstance(line, RivalLine)]
        return {
            "broken": [line.ended for line in mine if line.ended],
            "unsent_s": round(sum(line.unsent_s for line in mine), 1),
        }


class OurDoorway(Doorway):
    def __init__(self, base: str) -> None:
        super().__init__()
        self._base, self._session = base, ""
        self._watcher: Watcher | None = None

    async def open(self, http: aiohttp.ClientSession, talk: Talk) -> None:
        self._http = http
        async with http.post(f"{self._base}/sessions/create", json={"name": "comparison"}) as answer:
            self._session = (await answer.json())["session_id"]
        self._watcher = Watcher(http, self._base, self._session)
        await self._watcher.open()
        self.lines = ours.lines(
            http, self._base, self._session, talk.names(), talk.voices(), talk.load, talk.language
        )
        for line in self.lines:
            await line.open()

    def screens(self, number: int, began_s: float) -> list[Screen]:
        assert self._watcher is not None
        return ours.screens(f"C{number + 1:02}", self._watcher.arrived(began_s))

    def extra(self, talk: Talk, beat: Beat) -> dict[str, Any]:
        """The load test's own figure, to compare with ours."""
        assert self._watcher is not None
        t0_s = self._watcher.t0_s(asyncio.get_running_loop().time(), time.time())
        spoken = talk.spoken([(beat.due_s(line) - t0_s) * 1000 for line in self.lines])
        arrived = self._watcher.arrived(t0_s)
        return {"load_test_ttfs_ms": ours.load_test_ttfs([one for each in spoken for one in each], arrived)}

    async def close(self) -> None:
        await super().close()
        assert self._watcher is not None
        async with self._http.post(f"{self._base}/api/sessions/{self._session}/end"):
            pass
        await self._watcher.close()


async def measure(doorway: Doorway, child: Child, talk: Talk) -> dict[str, Any]:
    """The figures of one case. Raises LineError if a channel does not open."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http:
        try:
            await doorway.open(http, talk)
            beat, costs = Beat(doorway.lines), _Costs(child)
            all_times, shown = await _speak(doorway, beat, talk, costs)
            return {
                "channels": talk.load.channels,
                "load": {**asdict(talk.load), "door": talk.load.door.value},
                **figures(all_times, shown, talk.language, normaliser(talk.language)),
                **costs.figures(),
                "generator_late_ms": percentiles(beat.late_ms),
                **doorway.extra(talk, beat),
            }
        finally:
            await doorway.close()


class _Costs:
    """CPU and memory of the server and of this process, while the channels speak."""

    def __init__(self, child: Child) -> None:
        self._child, self._me = child, Child(psutil.Process(), child.log)
        self._seconds = self._server_s = self._mine_s = 0.0

    def begin(self) -> None:
        self._began = (time.monotonic(), self._child.cpu_s(), sum(psutil.Process().cpu_times()[:2]))

    def end(self) -> None:
        now = (time.monotonic(), self._child.cpu_s(), sum(psutil.Process().cpu_times()[:2]))
        self._seconds, self._server_s, self._mine_s = (b - a for a, b in zip(self._began, now, strict=True))
        self._rss_mb = self._child.rss_mb()

    def figures(self) -> dict[str, Any]:
        return {
            "cpu_percent": round(self._server_s / self._seconds * 100, 1),  # of one core
            "rss_mb": round(self._rss_mb),
            "generator_cpu_percent": round(self._mine_s / self._seconds * 100, 1),
        }


async def _speak(
    doorway: Doorway, beat: Beat, talk: Talk, costs: _Costs
) -> tuple[list[UtteranceTimes], list[tuple[str, str]]]:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    sending = asyncio.create_task(beat.run(ended), name="rivals-beat")
    await asyncio.sleep(0)
    costs.begin()
    spoken = talk.spoken([(beat.due_s(line) - beat.began_s) * 1000 for line in doorway.lines])
    try:
        await asyncio.sleep(talk.load.seconds)
        costs.end()
        for _ in range(DRAIN_S):
            if _is_over(doorway, beat, spoken, loop.time()):
                break
            await asyncio.sleep(1.0)
        await asyncio.sleep(SETTLE_S)
    finally:
        ended.set()
        await sending
    return _scored(doorway, beat, spoken)


def _is_over(doorway: Doorway, beat: Beat, spoken: Sequence[Sequence[Spoken]], now_s: float) -> bool:
    """True if every word is in final text, or if nothing has changed for a long time."""
    last = [doorway.screens(number, beat.began_s)[-1:] for number in range(len(spoken))]
    changed_ms = max((screen.at_ms for screens in last for screen in screens), default=0.0)
    if now_s - beat.began_s > changed_ms / 1000 + QUIET_S:
        return True
    finals = [[Screen(screen.at_ms, screen.final) for screen in screens] for screens in last]
    return all(
        one.words == one.of
        for said, screens in zip(spoken, finals, strict=True)
        for one in utterance_times(said, screens)
    )


def _scored(
    doorway: Doorway, beat: Beat, spoken: Sequence[Sequence[Spoken]]
) -> tuple[list[UtteranceTimes], list[tuple[str, str]]]:
    all_times: list[UtteranceTimes] = []
    shown: list[tuple[str, str]] = []
    for number, said in enumerate(spoken):
        screens = doorway.screens(number, beat.began_s)
        all_times += utterance_times(said, screens)
        last = f"{screens[-1].final} {screens[-1].tentative}" if screens else ""
        shown.append((" ".join(one.text for one in said), last))
    return all_times, shown
