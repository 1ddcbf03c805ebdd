"""Run the load test once: open the channels, send speech, watch the text arrive, count.

Contains the order of a run and the ways in which it ends: its time is over, Ctrl-C (what was measured is
reported), or a fault that makes measuring useless (`Unmeasured`). `report` computes the figures.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from host_stt_cli.loadtest import report
from host_stt_cli.loadtest.alone import transcribe_alone
from host_stt_cli.loadtest.facts import Facts
from host_stt_cli.loadtest.measures import Spoken, heard_of
from host_stt_cli.loadtest.plan import Door, Load, script
from host_stt_cli.loadtest.probing import Probe, Samples, scrape
from host_stt_cli.loadtest.sending import Beat, LineError, Lines
from host_stt_cli.loadtest.socket_lines import SocketLine
from host_stt_cli.loadtest.sounds import Clip, Voice, voices
from host_stt_cli.loadtest.watching import Watcher
from host_stt_cli.loadtest.webrtc_lines import WebRtcLines, WhipLines
from host_stt_common.channel_ids import channel_id_of

READY_S = 120.0
DRAIN_S = 12.0
"""How long to wait for the last finals; a server that needs longer has failed anyway."""
RECENT_S = 60.0
RECONNECT_S = 20.0  # inputs without resume tokens reserve a lost client's channel for some seconds
OPEN_AT_ONCE = 4  # connections at once, because sixteen handshakes at once would be a load themselves


class Unmeasured(Exception):
    """The run could not be measured; the text is one plain sentence."""


@dataclass(frozen=True, slots=True)
class Target:
    base: str  # http://host:port of 8082
    token: str = ""
    engine: str | None = None  # of 8081, if it is not the child of a `serve` on this machine


@dataclass(frozen=True, slots=True)
class Progress:
    done_s: float
    lag_ms: float | None  # of the latest finals, as the server reports it
    finals: int


OnProgress = Callable[[Progress], None]


async def run(
    target: Target,
    load: Load,
    clips: Sequence[Clip],
    language: str,
    stop: asyncio.Event,
    on_progress: OnProgress = lambda progress: None,
    drain_s: float = DRAIN_S,
    alone: Sequence[str] = (),
) -> dict[str, Any]:
    """Run once and return the report. Raises Unmeasured.

    drain_s: how long to wait for the last finals. alone: the text of each clip without load, from an earlier
    run.
    """
    headers = {"Authorization": f"Bearer {target.token}"} if target.token else {}
    timeout = aiohttp.ClientTimeout(total=30, sock_connect=10)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
        try:
            whole = _Run(http, target, load, clips, language, stop, on_progress, drain_s).whole(alone)
            return await whole
        except LineError as error:
            raise Unmeasured(f"{error}.") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unmeasured(unreachable(target.base, error)) from error


def unreachable(base: str, error: Exception) -> str:
    """Why a server cannot be reached, and what to do."""
    match error:
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return f"{base!r} is not the address of a server; give --base http://HOST:PORT."
        case aiohttp.ClientConnectorCertificateError():
            return f"the certificate of {base} is not trusted here; name it with SSL_CERT_FILE=cert.pem."
        case aiohttp.ClientSSLError():
            return f"{base} does not speak https; try http."
        case aiohttp.ClientConnectorDNSError():
            return f"the name in {base} is not known."
        case aiohttp.ClientConnectorError():
            return f"no server responds at {base}: is it running (scripts/serve)?"
        case TimeoutError():
            return f"{base} did not respond in time."
    return f"{base} cannot be measured: {str(error) or type(error).__name__}."


class _Run:
    def __init__(
        self,
        http: aiohttp.ClientSession,
        target: Target,
        load: Load,
        clips: Sequence[Clip],
        language: str,
        stop: asyncio.Event,
        on_progress: OnProgress,
        drain_s: float,
    ) -> None:
        self._http, self._target, self._load, self._stop = http, target, load, stop
        self._on_progress, self._drain_s = on_progress, drain_s
        self._facts = Facts(load, language, script(load, [clip.ms for clip in clips]), clips)
        self._lines: list[Lines] = []
        self._down: dict[str, list[tuple[float, float]]] = {}  # by channel, on the loop's clock

    async def whole(self, alone: Sequence[str]) -> dict[str, Any]:
        facts, base = self._facts, self._target.base
        facts.ready = await self._ready()
        probe = Probe(self._http, base, self._target.engine)
        facts.alone = alone
        if probe.engine and not alone:
            facts.alone = await transcribe_alone(
                self._http,
                probe.engine,
                facts.clips,
                facts.language,
                is_encoded=facts.load.door is not Door.SOCKET,
            )
        session = await self._create_session()
        watcher = Watcher(self._http, base, session)
        await watcher.open()
        self._lines = self._make_lines(session)
        try:
            beat = await self._call(probe, watcher)
            await self._end(session, watcher)
        finally:
            await watcher.close()
        return report.build(facts, watcher.arrived(facts.t0_s), beat, probe, lost=self._packets_lost())

    async def _call(self, probe: Probe, watcher: Watcher) -> Beat:
        """From the first connection to the last."""
        facts, beat = self._facts, Beat(self._lines)
        probing: asyncio.Task[None] | None = None
        try:
            await self._open()
            facts.before = await self._scrape(probe)
            probing = asyncio.create_task(probe.run(), name="loadtest-probe")
            await self._speak(beat, watcher)
            facts.after = await self._scrape(probe)
        finally:
            if probing is not None:
                probing.cancel()
                await asyncio.gather(probing, return_exceptions=True)
            await asyncio.gather(*(line.hang_up() for line in self._lines))
        return beat

    async def _ready(self) -> dict[str, Any]:
        """The engine's part of /ready, once the server is ready."""
        deadline_s = time.monotonic() + READY_S
        said: dict[str, Any] = {}
        while time.monotonic() < deadline_s and not self._stop.is_set():
            async with self._http.get(f"{self._target.base}/ready") as response:
                said = await response.json()
                if response.status == 200:
                    return dict(said.get("engine", {}))
            await asyncio.sleep(0.5)
        reason = said.get("reason") or said.get("error", {}).get("message", "")
        raise Unmeasured(f"{self._target.base} is not ready: {reason}")

    async def _create_session(self) -> str:
        body = {"name": f"load test, {self._load.channels} channels"}
        async with self._http.post(f"{self._target.base}/sessions/create", json=body) as response:
            if response.status >= 400:
                raise Unmeasured(f"no session could be made: {await _sentence(response)}")
            return str((await response.json())["session_id"])

    def _make_lines(self, session: str) -> list[Lines]:
        load, base, language = self._load, self._target.base, self._facts.language
        said = voices(self._facts.parts, self._facts.clips)
        names = [channel_id_of(number + 1) for number in range(load.channels)]
        each = load.tracks if load.door is Door.WEBRTC else 1
        lines: list[Lines] = []
        for first in range(0, load.channels, each):
            mine: tuple[Sequence[str], Sequence[Voice]] = (
                names[first : first + each],
                said[first : first + each],
            )
            match load.door:
                case Door.WEBRTC:
                    lines.append(WebRtcLines(self._http, base, session, *mine, load, language))
                case Door.WHIP:
                    lines.append(WhipLines(self._http, base, session, *mine, load, language))
                case Door.SOCKET:
                    lines.append(SocketLine(self._http, base, session, *mine, language))
        return lines

    async def _open(self) -> None:
        for first in range(0, len(self._lines), OPEN_AT_ONCE):
            await asyncio.gather(*(line.open() for line in self._lines[first : first + OPEN_AT_ONCE]))

    async def _scrape(self, probe: Probe) -> tuple[Samples, Samples]:
        engine = await scrape(self._http, probe.engine) if probe.engine else {}
        return await scrape(self._http, self._target.base), engine

    # --- while they speak -----------------------------------------------------------------------------

    async def _speak(self, beat: Beat, watcher: Watcher) -> None:
        loop, facts = asyncio.get_running_loop(), self._facts
        ended = asyncio.Event()
        sending = asyncio.create_task(beat.run(ended), name="loadtest-beat")
        await asyncio.sleep(0)
        breaking = asyncio.create_task(self._reconnect_all(beat), name="loadtest-reconnects")
        try:
            while (done_s := loop.time() - beat.began_s) < self._load.seconds and not self._stop.is_set():
                if sending.done():
                    sending.result()
                self._tell(done_s, watcher, loop.time())
                await asyncio.sleep(0.25)
            spoken_to_s = loop.time()
            await self._drain(beat, watcher, spoken_to_s)
        finally:
            breaking.cancel()
            await asyncio.gather(breaking, return_exceptions=True)
            ended.set()
            await sending
        if not watcher.is_started:
            raise Unmeasured("the server sent no session.started; is it this program's server?")
        facts.t0_s = watcher.t0_s(loop.time(), time.time())
        facts.from_ms = (beat.began_s - facts.t0_s) * 1000
        facts.to_ms = (spoken_to_s - facts.t0_s) * 1000
        facts.spoken = self._truth(beat, spoken_to_s, facts.t0_s)
        if watcher.is_broken:
            facts.broken = "the server closed the watcher's connection during the run"

    def _tell(self, done_s: float, watcher: Watcher, now_s: float) -> None:
        lag_ms = watcher.recent_lag_ms(10.0, now_s)
        self._on_progress(Progress(done_s, lag_ms, watcher.count("segment.final")))

    async def _drain(self, beat: Beat, watcher: Watcher, spoken_to_s: float) -> None:
        """Send silence until every utterance has its final, or until drain_s is over."""
        loop = asyncio.get_running_loop()
        while loop.time() < spoken_to_s + self._drain_s:
            await asyncio.sleep(0.25)
            if not watcher.is_started:
                continue
            t0_s = watcher.t0_s(loop.time(), time.time())
            # Only the last minute: the events of a whole hour would delay the sending.
            since_s = spoken_to_s - RECENT_S
            lately = self._truth(beat, spoken_to_s, t0_s, since_s)
            heard = heard_of(lately, watcher.arrived(t0_s, since_s))
            if all(one.finals or not one.spoken.is_whole for one in heard):
                await asyncio.sleep(1.0)  # a last interim, a second final of the same utterance
                return

    def _truth(
        self, beat: Beat, spoken_to_s: float, t0_s: float, since_s: float = float("-inf")
    ) -> list[Spoken]:
        """What was spoken, on the session's timeline. t0_s: its t = 0 on the loop's clock.

        since_s: leave out what began earlier, on the loop's clock.
        """
        truth: list[Spoken] = []
        parts = iter(self._facts.parts)
        for line in self._lines:
            due_s = beat.due_s(line)
            for channel in line.channels:
                for utterance in next(parts).utterances:
                    start_s, end_s = (due_s + ms / 1000 for ms in (utterance.start_ms, utterance.end_ms))
                    if not since_s < start_s <= spoken_to_s:
                        continue
                    is_down = any(a < end_s + 1 and b > start_s for a, b in self._down.get(channel, ()))
                    numbers = [saying.clip for saying in utterance.sayings]
                    text = " ".join(self._facts.clips[number].text for number in numbers)
                    alone = " ".join(self._facts.alone[number] for number in numbers if self._facts.alone)
                    is_whole = end_s <= spoken_to_s and not is_down
                    start_ms, end_ms = ((at_s - t0_s) * 1000 for at_s in (start_s, end_s))
                    truth.append(Spoken(channel, start_ms, end_ms, text, is_whole, alone))
        return truth

    async def _reconnect_all(self, beat: Beat) -> None:
        starts = [sum(len(line.channels) for line in self._lines[:n]) for n in range(len(self._lines))]
        parts = self._facts.parts
        await asyncio.gather(
            *(
                self._reconnect(beat, line, parts[first].reconnect_ms)
                for line, first in zip(self._lines, starts, strict=True)
            )
        )

    async def _reconnect(self, beat: Beat, line: Lines, moments_ms: Sequence[int]) -> None:
        loop = asyncio.get_running_loop()
        for moment_ms in moments_ms:
            await asyncio.sleep(max(0.0, beat.due_s(line) + moment_ms / 1000 - loop.time()))
            lost_s, back_s = loop.time(), float("inf")
            try:
                await self._again(line)
                back_s = loop.time()
            except LineError as error:
                self._facts.broken = f"a reconnect failed: {error}"
                return
            finally:
                for channel in line.channels:
                    self._down.setdefault(channel, []).append((lost_s, back_s))

    async def _again(self, line: Lines) -> None:
        """Reconnect like a client that lost its network: retry until the server has ended the old
        connection.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + RECONNECT_S
        while True:
            try:
                return await line.reconnect()
            except LineError:
                if loop.time() > until_s:
                    raise
            await asyncio.sleep(0.5)

    # --- the end --------------------------------------------------------------------------------------

    async def _end(self, session: str, watcher: Watcher) -> None:
        """End the session, which sends the coverage of its last moments."""
        async with self._http.post(f"{self._target.base}/api/sessions/{session}/end"):
            pass
        for _ in range(50):
            if watcher.count("session.ended"):
                break
            await asyncio.sleep(0.1)

    def _packets_lost(self) -> int:
        return sum(getattr(line, "lost", 0) for line in self._lines)


async def _sentence(response: aiohttp.ClientResponse) -> str:
    """The server's message in an error response."""
    text = await response.text()
    try:
        said = str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        said = text[:200]
    return f"{said} (the load test takes it from HOST_STT_TOKEN)" if response.status == 401 else said
