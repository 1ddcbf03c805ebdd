"""How the microphone page comes back: a real Chromium, a real server, and a network that goes away.

`python -m scripts.check_reconnect [--cut 5 20] [--reload]`. A phrase is spoken into each cut; with `--reload`
the page is loaded again just as the network returns. Judged by the text: every phrase once, at its true time.
Needs Chromium and espeak-ng, as the tests do.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import expect

from tests.browser.live import LiveServer
from tests.browser.test_first_words import BUSY_BOX_MS, lines_of, milliseconds, session_events
from tests.browser.test_reconnect import PAUSE_S, PHRASES, Stage, speaking

INSIDE_S = 1.0  # the phrase begins so long after the cut


@dataclass(frozen=True, slots=True)
class Outcome:
    cut_s: float
    is_reloaded: bool
    back_s: float  # from the return of the network to a connection that stands
    filled_s: float  # to the last phrase on the page
    lines: list[str]
    errors_ms: list[int]
    channels: int

    @property
    def is_good(self) -> bool:
        said = [line.lower().strip(" .") for line in self.lines]
        return (
            said == list(PHRASES[: len(said)]) and self.channels == 1 and max(map(abs, self.errors_ms)) <= 400
        )


async def one(server: LiveServer, folder: Path, cut_s: float, *, is_reloaded: bool) -> Outcome:
    pauses_s = max(PAUSE_S, cut_s - 2.0)
    async with speaking(server, folder, PHRASES, pause_s=pauses_s) as stage:
        await stage.start()
        await stage.first_line()
        cut_at_s = stage.said_s[1] - INSIDE_S
        await stage.at(cut_at_s)
        with stage.relay.cut():
            await stage.at(cut_at_s + cut_s)
        loop = asyncio.get_running_loop()
        returned_s = loop.time()
        if is_reloaded:
            await stage.page.reload()
        back_s = await until_live(stage) - returned_s
        # After a reload the fake microphone begins anew: what counts is the phrase of before.
        last = PHRASES[1] if is_reloaded else PHRASES[-1]
        for phrase in (PHRASES[1], last):
            line = stage.page.locator(".line p", has_text=re.compile(phrase, re.IGNORECASE))
            await expect(line).to_have_count(1, timeout=BUSY_BOX_MS)
        filled_s = loop.time() - returned_s
        lines = (await lines_of(stage.page))[: 2 if is_reloaded else None]
        events = await session_events(stage.page)
    finals = [event for event in events if event["type"] == "segment.final"]
    starts = [milliseconds(time) for time, _ in lines]
    errors = [
        round(start - starts[0] - (true - stage.said_s[0]) * 1000)
        for start, true in zip(starts, stage.said_s, strict=False)
    ]
    channels = len({event["channel"] for event in finals})
    return Outcome(cut_s, is_reloaded, back_s, filled_s, [text for _, text in lines], errors, channels)


async def until_live(stage: Stage) -> float:
    await expect(stage.page.locator("main")).to_have_attribute("data-phase", "live", timeout=BUSY_BOX_MS)
    return asyncio.get_running_loop().time()


async def run(cuts_s: list[float], *, is_reloaded: bool) -> list[Outcome]:
    """Each on a server of its own: a reloaded page shows all that its channel ever said."""
    wanted = [(cut_s, False) for cut_s in cuts_s] + ([(cuts_s[0], True)] if is_reloaded else [])
    outcomes = []
    for cut_s, is_reload in wanted:
        with tempfile.TemporaryDirectory() as name, LiveServer(Path(name)).running() as server:
            outcomes.append(await one(server, Path(name), cut_s, is_reloaded=is_reload))
            print(outcomes[-1], flush=True)
    return outcomes


def table(outcomes: list[Outcome]) -> str:
    rows = ["| cut | back | all text there | times off by | |", "|---|---|---|---|---|"]
    for one_outcome in outcomes:
        off = ", ".join(f"{error} ms" for error in one_outcome.errors_ms)
        what = f"{one_outcome.cut_s:.0f} s" + (", page reloaded" if one_outcome.is_reloaded else "")
        rows.append(
            f"| {what} | {one_outcome.back_s:.1f} s | {one_outcome.filled_s:.1f} s | {off} | "
            f"{len(one_outcome.lines)} lines, {one_outcome.channels} channel |"
        )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cut", type=float, nargs="+", default=[5.0, 20.0])
    parser.add_argument("--reload", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    outcomes = asyncio.run(run(options.cut, is_reloaded=options.reload))
    print(table(outcomes))
    print(f"load {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    if not all(outcome.is_good for outcome in outcomes):
        raise SystemExit("a phrase is missing, doubled or out of place")


if __name__ == "__main__":
    main()
