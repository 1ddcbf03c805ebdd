"""The events of a busy desk for the measurement of the page: made up, in order, with times of their own.

`BusyDesk` is pure: it yields what the server would send to a desk with all channels in use. `ReplayServer` is
the stand-in of the browser tests; it never sends events faster than the page takes them.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.browser.stub import StubServer

T0 = datetime(2026, 11, 30, 6, 0, tzinfo=UTC)
WAITING_MAX = 400
"""Events that wait in the server for the page. More would hide that the page is too slow."""
SENTENCES = {
    "en": (
        "Alpha one, proceed to gate seven, over.",
        "Copy that, we are returning to base for fuel.",
        "All units, hold your position and stand by.",
        "Security three, there is smoke at the loading dock, request engine five at once.",
        "Nothing to report.",
    ),
    "ko": (
        "알파원, 정문으로 이동하라. 이상.",
        "전 대원은 현재 위치에서 대기하라.",
        "구급 사호, 주차장으로 와 주세요. 환자 한 명 있습니다.",
        "본부, 이상 없음. 순찰을 계속한다.",
    ),
}
INTERIM_MS = 600
PAUSE_S = (2.0, 14.0)
LOSS_EVERY = 120
"""One utterance in so many loses audio on the way, and one in so many has no text."""


@dataclass(frozen=True, slots=True)
class Sent:
    """at_ms: session time. event: without seq, session and wall."""

    at_ms: int
    event: dict[str, Any]


class BusyDesk:
    """All channels talk for about a quarter of the time, half of them in Korean."""

    def __init__(self, channels: int, seed: int = 1) -> None:
        self.names = [f"C{number:02}" for number in range(1, channels + 1)]
        self._seed = seed
        self._utterances = 0

    def events(self) -> Iterator[Sent]:
        """In the order of their times, without end."""
        for name in self.names:
            yield Sent(0, {"type": "channel.opened", "channel": name, "connection": "c_1", "label": name})
        channels = [
            self._channel(name, random.Random(f"{self._seed} {name}"), number)
            for number, name in enumerate(self.names)
        ]
        yield from heapq.merge(*channels, key=lambda sent: sent.at_ms)

    def _channel(self, name: str, rng: random.Random, number: int) -> Iterator[Sent]:
        at_ms = round(rng.uniform(0, 5000))
        while True:
            at_ms += round(rng.uniform(*PAUSE_S) * 1000)
            language = "ko" if number % 2 else "en"
            text = rng.choice(SENTENCES[language])
            for sent in self._utterance(name, rng, at_ms, text, language):
                at_ms = sent.at_ms
                yield sent

    def _utterance(
        self, name: str, rng: random.Random, start_ms: int, text: str, language: str
    ) -> Iterator[Sent]:
        self._utterances += 1
        kind = rng.randrange(LOSS_EVERY)
        utterance, words = f"u_{self._utterances}", text.split()
        end_ms = start_ms + 450 * len(words)
        own = {"channel": name, "utterance": utterance}
        yield Sent(
            start_ms, {"type": "channel.state", "channel": name, "state": "talking", "at_ms": start_ms}
        )
        yield Sent(start_ms, {"type": "speech.started", **own, "start_ms": start_ms})
        for revision, at_ms in enumerate(range(start_ms + INTERIM_MS, end_ms, INTERIM_MS), 1):
            heard = " ".join(words[: max(1, (at_ms - start_ms) // 450)])
            interim = {"revision": revision, "text": heard, "stable_chars": len(heard) // 2}
            times = {"start_ms": start_ms, "end_ms": at_ms, "language": language}
            yield Sent(at_ms, {"type": "segment.interim", **own, **interim, **times})
        times = {"start_ms": start_ms, "end_ms": end_ms}
        yield Sent(end_ms, {"type": "channel.state", "channel": name, "state": "idle", "at_ms": end_ms})
        yield Sent(end_ms, {"type": "speech.ended", **own, **times, "rule": "silence"})
        latency_ms = round(rng.uniform(400, 1500))
        if kind == 0:
            lost = {"from_ms": end_ms, "to_ms": end_ms + 700, "state": "lost", "reason": "network"}
            yield Sent(end_ms + latency_ms, {"type": "coverage", "channel": name, **lost})
        if kind == 1:
            return
        parts = [
            {
                "text": word,
                "start_ms": start_ms + 450 * i,
                "end_ms": start_ms + 450 * (i + 1),
                "p": rng.random(),
            }
            for i, word in enumerate(words)
        ]
        final = {"segment": f"g_{self._utterances}", "text": text, "raw": text, "language": language}
        more = {"words": parts, "conf": -0.3, "latency_ms": latency_ms, "edits": []}
        yield Sent(end_ms + latency_ms, {"type": "segment.final", **own, **times, **final, **more})


class ReplayServer(StubServer):
    """Sends events to the desk that is open. Keeps none of them."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0
        self._seq = 0

    async def send(self, sent: Sent) -> None:
        """Waits while the page has not taken the events before."""
        event = {
            **{"v": 1, "session": self.session, **sent.event},
            "wall": (T0 + timedelta(milliseconds=sent.at_ms)).isoformat().replace("+00:00", "Z"),
        }
        if event["type"] not in ("segment.interim", "levels"):
            self._seq += 1
            event["seq"] = self._seq
        for queue in self._watchers:
            queue.put_nowait(event)
        self.sent += 1
        while any(queue.qsize() > WAITING_MAX for queue in self._watchers):  # noqa: ASYNC110
            await asyncio.sleep(0.002)  # asyncio.Queue reports no falling length

    def forget_watchers(self) -> None:
        self._watchers.clear()


def levels_at(at_ms: int, names: list[str], rng: random.Random) -> Sent:
    """Levels of all channels, as the server sends them ten times a second."""
    levels = {name: [rng.uniform(-50, -15), rng.uniform(-20, -3)] for name in names}
    return Sent(at_ms, {"type": "levels", "levels": levels, "at_ms": at_ms})
