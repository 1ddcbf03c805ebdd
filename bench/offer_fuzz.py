"""Send malformed offers to the real application on loopback; check its responses and what it leaves behind.

Contains the server under test, the requests and the counting. A failure is an invalid status, an SDP answer
that is not SDP, an exception outside of a request, an error in the log, or something left over.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection

from bench.offer_mutations import mutate, on_loopback, spoil_body
from webrtc_host.app import build_app, serve
from webrtc_host.config import MediaProcessConfig
from webrtc_host.keys import REGISTRY
from webrtc_host.seams import Block
from webrtc_host.session.channel import Channel
from webrtc_host.session.registry import SessionRegistry

REFUSALS = frozenset((400, 404, 409, 413, 415, 422, 503))
"""Without 429: an offer that the request limit refused has not been tested."""
REQUEST_S = 30.0
SETTLE_S = 60.0


class NoSpeech:
    """A pipeline without speech detection: only the endpoints are tested."""

    def start(self) -> None: ...

    def feed(self, block: Block) -> None: ...

    async def close(self) -> None: ...

    def set_language(self, language: str) -> None: ...

    async def force_end(self) -> None: ...

    @property
    def pause_ms(self) -> int:
        return 0


def no_speech(_: Channel) -> NoSpeech:
    return NoSpeech()


@dataclass
class Findings:
    """The failures, and the counts of responses."""

    answers: Counter[str] = field(default_factory=Counter)  # "POST /offer 422"
    failures: list[str] = field(default_factory=list)
    left_over: Counter[str] = field(default_factory=Counter)
    rss_mb: list[tuple[int, float]] = field(default_factory=list)  # (number of offers, MB)

    @property
    def is_clean(self) -> bool:
        return not self.failures and not self.left_over

    def rss_slope_kb(self) -> float:
        """Kilobytes of growth per offer in the second half; the first half fills caches."""
        half = self.rss_mb[len(self.rss_mb) // 2 :]
        if len(half) < 3:
            return 0.0
        mean_x = sum(n for n, _ in half) / len(half)
        mean_y = sum(mb for _, mb in half) / len(half)
        spread = sum((n - mean_x) ** 2 for n, _ in half)
        return 1024 * sum((n - mean_x) * (mb - mean_y) for n, mb in half) / spread


@asynccontextmanager
async def server_under_test(config: MediaProcessConfig) -> AsyncIterator[tuple[str, SessionRegistry]]:
    """(URL of the server, its session registry)."""
    app: web.Application = build_app(config, make_pipeline=no_speech)
    stop = asyncio.Event()
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(serve(app, "127.0.0.1", 0, stop=stop, on_listening=listening.set_result))
    try:
        await asyncio.wait((listening, running), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        yield f"http://127.0.0.1:{listening.result()}", app[REGISTRY]
    finally:
        stop.set()
        await running


class Watch(logging.Handler):
    """Stores every error in the log and every exception that no task handled."""

    def __init__(self, findings: Findings) -> None:
        super().__init__(logging.ERROR)
        self._findings = findings
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._findings.failures.append(f"logged {self.format(record)[-3000:]}")

    def take(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self._findings.failures.append(f"out of a task: {context.get('message')}: {error!r}")

    def __enter__(self) -> Watch:
        logging.getLogger().addHandler(self)
        asyncio.get_running_loop().set_exception_handler(self.take)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)
        asyncio.get_running_loop().set_exception_handler(None)


def recorded(folder: Path) -> list[str]:
    """The offers stored in a folder: from Chromium and FFmpeg."""
    return [path.read_bytes().decode() for path in sorted(folder.glob("*.sdp"))]


async def seeds(folder: Path) -> list[str]:
    """The recorded offers, and offers of aiortc with one track, four tracks, video, and no track."""
    found = recorded(folder)
    for kinds in (("audio",), ("audio",) * 4, ("video", "audio"), ()):
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        for kind in kinds:
            pc.addTransceiver(kind, direction="sendonly")
        pc.createDataChannel("transcript")
        await pc.setLocalDescription(await pc.createOffer())
        found.append(on_loopback(pc.localDescription.sdp))
        await pc.close()
    return found


class Fuzzer:
    def __init__(self, url: str, http: aiohttp.ClientSession, offers: list[str], seed: int) -> None:
        self._url = url
        self._http = http
        self._offers = offers
        self._seed = seed
        self.findings = Findings()

    async def one(self, number: int) -> None:
        """Send the offer with this number to one of the two endpoints; close an accepted connection again."""
        rng = random.Random(f"{self._seed}:{number}")
        sdp = mutate(rng.choice(self._offers), rng)
        try:
            async with asyncio.timeout(REQUEST_S):
                await (self._whip(sdp, rng) if rng.random() < 0.4 else self._offer(sdp, rng))
        except Exception as error:
            self.findings.failures.append(f"offer {number} (seed {self._seed}): {error!r}")

    async def _offer(self, sdp: str, rng: random.Random) -> None:
        body = spoil_body({"sdp": sdp, "type": "offer"}, rng)
        async with self._http.post(f"{self._url}/offer", json=body) as response:
            answer = await response.json()
            self._judge("POST /offer", response.status, 200, answer)
        if response.status == 200:
            if not answer["sdp"].startswith("v=0"):
                raise ValueError("the answer is no SDP")
            await self._hang_up(f"/offer/{answer['connection']}")

    async def _whip(self, sdp: str, rng: random.Random) -> None:
        channel = f"C{rng.randint(1, 64):02d}"
        headers = {"Content-Type": "application/sdp"}
        data = sdp.encode("utf-8", "surrogatepass")
        async with self._http.post(f"{self._url}/whip/{channel}", data=data, headers=headers) as response:
            is_refused = response.status != 201
            self._judge("POST /whip", response.status, 201, await response.json() if is_refused else {})
            text = "" if is_refused else await response.text()
        if is_refused:
            return
        if not text.startswith("v=0"):
            raise ValueError("the answer is no SDP")
        path, etag = response.headers["Location"], response.headers["ETag"]
        await self._patch(path, etag, sdp, rng)
        await self._hang_up(path)

    async def _patch(self, path: str, etag: str, sdp: str, rng: random.Random) -> None:
        lines = [line for line in sdp.splitlines() if line.startswith(("a=candidate", "a=ice", "a=end"))]
        fragment = mutate("\r\n".join(lines) or "a=end-of-candidates", rng).encode("utf-8", "surrogatepass")
        headers = {
            "Content-Type": "application/trickle-ice-sdpfrag",
            "If-Match": rng.choice((etag, etag, "*", '"x"')),
        }
        async with self._http.patch(self._url + path, data=fragment, headers=headers) as response:
            body = {} if response.status == 204 else await response.json()
            self._judge("PATCH /whip", response.status, 204, body, also=frozenset((412, 428)))

    async def _hang_up(self, path: str) -> None:
        async with self._http.delete(self._url + path) as response:
            answer = await response.json()
            self._judge("DELETE", response.status, 200, answer)

    def _judge(
        self, call: str, status: int, good: int, body: dict[str, Any], also: frozenset[int] = frozenset()
    ) -> None:
        self.findings.answers[f"{call} {status}"] += 1
        if status == good:
            return
        if status not in REFUSALS | also:
            raise ValueError(f"{call} got the status {status}: {str(body)[:300]}")
        if not body["error"]["code"] or not body["error"]["message"]:
            raise ValueError(f"{call} {status} has no code or message")


def leftovers() -> Counter[str]:
    """Everything that requests could leave behind, by name. Threads of the event loop's pool do not count."""
    threads = [f"thread {t.name}" for t in threading.enumerate() if not t.name.startswith("asyncio_")]
    tasks = [f"task {str(task.get_coro()).split(' at ')[0]}" for task in asyncio.all_tasks()]
    return Counter({"file descriptors": psutil.Process().num_fds()}) + Counter(threads) + Counter(tasks)


async def settle(registry: SessionRegistry, before: Counter[str] | None = None) -> Counter[str]:
    """What is left after everything had time to end. before: expected leftovers; None: accept all."""
    deadline_s = asyncio.get_running_loop().time() + SETTLE_S
    while asyncio.get_running_loop().time() < deadline_s:
        if not registry.connections and (before is None or not leftovers() - before):
            break
        await asyncio.sleep(0.1)
    gc.collect()
    left = Counter() if before is None else leftovers() - before
    if registry.connections:
        left["connections"] = len(registry.connections)
    return left


async def fuzz(
    config: MediaProcessConfig,
    offers_folder: Path,
    *,
    offers: int,
    seed: int,
    on_progress: Callable[[int, Findings], None] = lambda number, findings: None,
) -> Findings:
    """Send this many malformed offers, one after the other. Leftovers of the first ones count as caches."""
    warm_up = min(50, max(1, offers // 10))
    every = max(1, offers // 100)
    async with (
        server_under_test(config) as (url, registry),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=4)) as http,
    ):
        fuzzer = Fuzzer(url, http, await seeds(offers_folder), seed)
        findings = fuzzer.findings
        with Watch(findings):
            before: Counter[str] = Counter()
            for number in range(offers):
                if number == warm_up:
                    await settle(registry)
                    before = leftovers()
                await fuzzer.one(number)
                if number % every == 0:
                    findings.rss_mb.append((number, psutil.Process().memory_info().rss / 1e6))
                    on_progress(number, findings)
            findings.left_over = await settle(registry, before)
    return findings
