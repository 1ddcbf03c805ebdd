"""Send malformed requests to both ports of a real server, while a live channel sends audio.

Contains the server's configuration, the sending and the counting. The requests are made in `http_mutations`
and `socket_mutations`, the responses are judged in `http_answers`, and `schema_fuzz` makes requests from the
OpenAPI document. A failure is an invalid status, body or frame, an error in the log, an ended process, memory
or descriptors that are not released, or a lost second of the live channel.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import numpy as np
import psutil

from bench.http_answers import answers_of, faults_of, socket_faults
from bench.http_mutations import spoilt
from bench.http_requests import Spoilt, Target
from bench.live_channel import LiveChannel
from bench.socket_mutations import spoilt_socket
from tests.support.recordings import wav
from tests.support.server import Server

ROLES = ("viewer", "listener", "operator", "supervisor", "admin")
TOKENS = {role: f"fuzz-token-of-the-{role}" for role in ROLES}
WRITE_S = 5.0
QUIET_S = 0.4
"""A connection without new data for this long has sent its whole response."""
ANSWER_S = 8.0
FIRST_BYTE_S = 2.0
"""A request that waits for its rest gets no response; nor does one that a busy server has not read yet."""
AT_ONCE = 32
RSS_GAIN_MB = 150.0
"""Allowed growth: caches, threads and the record of the sessions. A leak of 1 kB a request exceeds it in a
long run.
"""
FDS_LEFT_OVER = 20
SETTLE_S = 60.0
LOG_FAULT = re.compile(r" (?:ERROR|CRITICAL) |Traceback|never retrieved|never awaited|restarting it")
STAMPED = re.compile(r"\d{4}-\d\d-\d\dT|\S")
"""The first line of a log entry; the lines of a traceback are indented."""
KEPT_OF_A_KIND = 3

CONFIG = """
media: {{port: 0, host: 127.0.0.1}}
engine: {{port: 0, model: starter, device: cpu}}
data: {{dir: data}}
auth:
  tokens: {tokens}
limits: {{requests_per_s: 100000}}
"""


@dataclass
class Findings:
    """The failures, and the counts of responses."""

    answers: Counter[str] = field(default_factory=Counter)  # "8082 odd form: 422"
    failures: list[str] = field(default_factory=list)
    requests: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)  # of failures

    def fail(self, sentence: str, kind: str = "") -> None:
        """Count a failure. kind: similar failures; only the first few of each kind are stored as text."""
        kind = kind or sentence[:60]
        self.kinds[kind] += 1
        if self.kinds[kind] <= KEPT_OF_A_KIND:
            self.failures.append(sentence)


class Rig:
    """The server with a token for each role, its two ports, and a session for malformed requests."""

    def __init__(self, folder: Path) -> None:
        config = folder / "fuzz.yaml"
        tokens = [{"name": role, "token": token, "role": role} for role, token in TOKENS.items()]
        config.write_text(CONFIG.format(tokens=json.dumps(tokens)), encoding="utf-8")
        self.server = Server(folder, "--config", str(config))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Rig]:
        await asyncio.to_thread(self.server.__enter__)
        try:
            await asyncio.to_thread(self.server.wait_ready)
            yield self
        finally:
            await asyncio.to_thread(self.server.__exit__)

    @property
    def media_port(self) -> int:
        return int(self.server.url.rpartition(":")[2])

    @property
    def engine_port(self) -> int:
        return int(self.server.wait_for(r"engine listens on http://127\.0\.0\.1:(\d+)", lambda s: s.err)[1])

    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(self.server.process.pid), *self.server.children()]

    def figures(self) -> tuple[float, int]:
        """Resident memory in MB and open descriptors of both processes."""
        processes = self.processes()
        return sum(p.memory_info().rss for p in processes) / 1e6, sum(p.num_fds() for p in processes)


def small_wav() -> bytes:
    """Half a second of noise."""
    return wav(np.random.default_rng(1).normal(0, 0.01, 8000).astype(np.float32))


def media_target(port: int, session: str) -> Target:
    one = f"/api/sessions/{session}"
    first = json.dumps({"encoding": "pcm_s16le", "sample_rate": 16_000, "session": session})
    backfill = json.dumps({"resume": "x", "start_ms": 0, "encoding": "pcm_s16le", "sample_rate": 16_000})
    return Target(
        host=f"127.0.0.1:{port}",
        tokens=("", "wrong", *TOKENS.values()),
        gets=(
            *("/", "/watch", "/mic.js", "/health", "/ready", "/metrics", "/api/openapi.json", "/api/ice"),
            *("/api/sessions", "/api/audit", "/api/glossary", "/api/search?q=alpha", one, f"{one}/segments"),
            *(f"{one}/coverage", f"{one}/statistics", f"{one}/export.csv", f"{one}/export.zip"),
            *(f"{one}/channels/C01/audio", "/api/segments/x/audio", "/offer/x", "/whip/C02", "/nowhere"),
        ),
        json_posts=(
            ("POST", "/offer", '{"sdp": "v=0", "type": "offer", "session": "' + session + '"}'),
            ("PUT", "/api/glossary", '{"terms": [{"canonical": "Alpha-1", "channels": ["C01"]}]}'),
            ("PATCH", one, '{"name": "night", "is_held": false}'),
            ("PUT", f"{one}/channels/C01/hold", '{"is_held": true}'),
            ("POST", "/whip/C03", '"v=0"'),
            ("PATCH", "/whip/C03/x", '"a=candidate"'),
        ),
        form_posts=(("/push", {"session_id": session, "channel_id": "C05", "start_ts": "0", "lang": "en"}),),
        sockets=(
            (f"/ws/pcm/C06?session={session}", first),
            ("/ws/pcm/C07", first),
            ("/ws/backfill/C06", backfill),
            (f"/ws?session={session}", ""),
        ),
        file_field="audio",
        file=small_wav(),
    )


def engine_target(port: int) -> Target:
    fields = {"model": "whisper-1", "language": "en", "response_format": "verbose_json", "temperature": "0"}
    return Target(
        host=f"127.0.0.1:{port}",
        tokens=("", "wrong", TOKENS["viewer"], TOKENS["admin"], TOKENS["admin"]),
        gets=("/health", "/ready", "/metrics", "/v1/models", "/v1/models/x", "/v1/windows", "/nowhere"),
        json_posts=(("POST", "/warmup", "{}"),),
        form_posts=(("/v1/audio/transcriptions", fields), ("/v1/audio/translations", fields)),
        sockets=(("/v1/windows", ""),),
        file=small_wav(),
    )


def case(targets: Sequence[Target], seed: int, number: int) -> tuple[Target, Spoilt]:
    """The request with this number; the same for the same seed, ports and session."""
    chance = random.Random(f"{seed}:{number}")
    target = chance.choice(targets)
    is_socket = chance.random() < 0.25
    return target, spoilt_socket(target, chance) if is_socket else spoilt(target, chance)


async def send(port: int, one: Spoilt) -> bytes:
    """Send the request and read until the server closes, or sends nothing for a while."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    reading = asyncio.create_task(_read(reader))
    try:
        # the server may close the connection during the request
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(WRITE_S):
                for piece in one.pieces:
                    writer.write(piece)
                    await writer.drain()
                    if len(one.pieces) > 1:
                        await asyncio.sleep(0.001)
                if one.half_close:
                    writer.write_eof()
        return await reading
    finally:
        reading.cancel()
        writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> bytes:
    data, ends_s = b"", time.monotonic() + ANSWER_S
    wait_s = FIRST_BYTE_S
    while (left_s := ends_s - time.monotonic()) > 0:
        try:
            piece = await asyncio.wait_for(reader.read(1 << 16), min(wait_s, left_s))
        except (TimeoutError, ConnectionError):
            break
        if not piece:
            break
        data, wait_s = data + piece, QUIET_S
    return data


class Fuzzer:
    def __init__(self, targets: Sequence[Target], seed: int, findings: Findings) -> None:
        self._targets, self._seed, self._findings = targets, seed, findings

    async def one(self, number: int) -> None:
        target, sent = case(self._targets, self._seed, number)
        port = int(target.host.rpartition(":")[2])
        name = f"request {number} ({sent.kind}, seed {self._seed})"
        self._findings.requests += 1
        try:
            data = await send(port, sent)
        except OSError as error:
            self._findings.fail(f"{name}: cannot connect: {error!r}")
            return
        side = "8082" if target is self._targets[0] else "8081"
        for fault in self._judge(f"{side} {sent.kind}", data, sent):
            kind = f"{side} {sent.kind}: {fault[:50]}"
            self._findings.fail(f"{name} to {side}: {fault}; sent {sent.data[:300]!r}", kind)

    def _judge(self, row: str, data: bytes, sent: Spoilt) -> list[str]:
        try:
            found, rest = answers_of(data, with_head=sent.with_head)
        except ValueError as error:
            self._findings.answers[f"{row}: ?"] += 1
            return [str(error)]
        for answer in found:
            self._findings.answers[f"{row}: {answer.status}"] += 1
        if not found:
            self._findings.answers[f"{row}: closed without an answer"] += 1
        faults = [fault for answer in found for fault in faults_of(answer)]
        return faults + (socket_faults(rest) if found and found[-1].status == 101 else [])


async def fuzz_raw(
    targets: Sequence[Target], seed: int, findings: Findings, until_s: float, first: int = 0
) -> None:
    """Send malformed requests, several at once, until time.monotonic() reaches `until_s`."""
    fuzzer = Fuzzer(targets, seed, findings)
    numbers = iter(range(first, 1 << 60))

    async def work() -> None:
        while time.monotonic() < until_s:
            await fuzzer.one(next(numbers))

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())


async def make_session(http: aiohttp.ClientSession, url: str, name: str) -> str:
    headers = {"Authorization": f"Bearer {TOKENS['operator']}"}
    async with http.post(f"{url}/sessions/create", json={"name": name}, headers=headers) as answer:
        answer.raise_for_status()
        return str((await answer.json())["session_id"])


async def settled(rig: Rig, fds: int) -> tuple[float, int]:
    """Memory and descriptors once the connections of the requests have ended, or after a minute."""
    ends_s = time.monotonic() + SETTLE_S
    now = rig.figures()
    while time.monotonic() < ends_s and now[1] > fds:
        await asyncio.sleep(1)
        now = rig.figures()
    return now


def judge_log(lines: Sequence[str], findings: Findings) -> None:
    """Add a failure for each error in the log; errors are distinguished by the last line of their
    traceback.
    """
    for number, line in enumerate(lines):
        if not line.isascii() and any("\udc80" <= character <= "\udcff" for character in line):
            findings.fail(f"log: bytes that are no UTF-8: {line[:600]!a}", "log no UTF-8")
        if not LOG_FAULT.search(line) or not STAMPED.match(line):
            continue
        rest = itertools.takewhile(lambda one: not STAMPED.match(one), lines[number + 1 :])
        block = [line, *itertools.islice(rest, 400)]
        kind = re.sub(r"[\d.:]+", "", block[-1])[:110]
        findings.fail(f"log: {' | '.join([line, *block[-7:]])[:1500]}", f"log {kind}")


def judge_growth(before: tuple[float, int], after: tuple[float, int], findings: Findings) -> None:
    findings.figures |= {
        "memory at first, MB": round(before[0], 1),
        "memory at the end, MB": round(after[0], 1),
        "descriptors at first": before[1],
        "descriptors at the end": after[1],
    }
    if after[0] - before[0] > RSS_GAIN_MB:
        findings.fail(f"memory grew from {before[0]:.0f} to {after[0]:.0f} MB")
    if after[1] - before[1] > FDS_LEFT_OVER:
        findings.fail(f"descriptors grew from {before[1]} to {after[1]}")


async def run(
    folder: Path, seconds: float, seed: int, *, with_schema: bool = True, first: int = 0
) -> Findings:
    """The whole run. folder: empty; the server's data are stored in it."""
    from bench.schema_fuzz import fuzz_schema  # schemathesis takes seconds to import

    findings = Findings()
    rig = Rig(folder)
    async with rig.running(), aiohttp.ClientSession() as http:
        url = rig.server.url
        media = media_target(rig.media_port, await make_session(http, url, "fuzz"))
        targets = (media, engine_target(rig.engine_port))
        alive = {p.pid for p in rig.processes()}
        async with LiveChannel(url, TOKENS["operator"], TOKENS["admin"]).fed() as live:
            await fuzz_raw(targets, seed + 1, Findings(), time.monotonic() + min(10, seconds / 4))  # warm up
            before = await settled(rig, 0 if seconds > 60 else 10_000)
            until_s = time.monotonic() + seconds
            jobs = [fuzz_raw(targets, seed, findings, until_s, first)]
            if with_schema:
                session = media.gets[11].rpartition("/")[2]
                jobs.append(asyncio.to_thread(fuzz_schema, url, TOKENS, session, seed, until_s, findings))
            await asyncio.gather(*jobs)
            after = await settled(rig, before[1] + FDS_LEFT_OVER)
            findings.figures |= await live.lost(findings.fail)
        judge_growth(before, after, findings)
        if ended := alive - {p.pid for p in rig.processes()}:
            findings.fail(f"processes ended: {ended}")
    judge_log(rig.server.err, findings)
    return findings
