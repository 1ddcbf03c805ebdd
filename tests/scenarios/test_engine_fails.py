"""The engine fails in every known way while it transcribes; both processes are the real ones.

Only the model is fake; it fails according to a plan: see tests/support/faulty.py.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.scenarios.voices import SocketWatcher, Speakers, calling, of
from tests.support.polling import until
from tests.support.server import Server
from tests.support.speech import padded, say

pytestmark = [pytest.mark.net, pytest.mark.peer, pytest.mark.long]
PHRASE = "alpha one proceed to gate seven over"
BACK_S = 90
"""For a new engine to start on a busy box; alone it takes 2 s."""


class Desk:
    """A watcher of all events, and a speaker who waits for the result of each phrase."""

    def __init__(self, server: Server, plan: Path) -> None:
        self.server = server
        self.plan = plan
        self.socket = SocketWatcher()

    async def speak(self, http: aiohttp.ClientSession, *faults: str) -> list[dict[str, Any]]:
        """The events of one phrase, up to its final or to the report that there is none."""
        self.plan.write_text("\n".join(faults), encoding="ascii")
        seen = len(self.socket.events)
        speakers = Speakers([padded(say(PHRASE), 0.3, 0)])
        try:
            await speakers.connect(http, self.server.url, channels=[{"language": "en"}])
            await until(lambda: outcome(self.socket.events[seen:]), BACK_S, f"an outcome of {faults}")
        finally:
            await speakers.close()
        assert self.plan.read_text(encoding="ascii") == "", "every fault of the plan happened"
        return self.socket.events[seen:]

    def engine_pid(self) -> int:
        (child,) = self.server.children()
        return child.pid


def outcome(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return of(events, "segment.final") + of(events, "window.failed")


async def test_no_failure_of_the_engine_loses_words(tmp_path: Path) -> None:
    plan = tmp_path / "plan"
    plan.write_text("", encoding="ascii")
    argv = [sys.executable, "-m", "tests.support.faulty", "serve", str(plan)]
    with Server(tmp_path, "--set", "engine.hang_s=1", argv=argv) as server:
        server.wait_ready()
        desk = Desk(server, plan)
        async with calling() as http:
            await desk.socket.open(http, server.url, since="0")
            for fault, said in (
                ("segv", "was ended by SIGSEGV"),
                ("stop", "no longer responds; killing it"),
                ("hang", "a decode has taken more than 1 s"),
            ):
                before = desk.engine_pid()
                events = await desk.speak(http, fault)
                assert of(events, "segment.final") and not of(events, "window.failed"), fault
                assert "alpha bravo" in of(events, "segment.final")[0]["text"]
                assert desk.engine_pid() != before
                server.wait_for(said, lambda s: s.err)

            events = await desk.speak(http, "segv", "segv", "segv")
            (failed,) = of(events, "window.failed")
            assert not of(events, "segment.final")
            assert failed["channel"] and failed["end_ms"] > failed["start_ms"]

            events = await desk.speak(http)
            assert of(events, "segment.final"), "the channel continues"
            assert server.process.poll() is None
            await desk.socket.leave()
