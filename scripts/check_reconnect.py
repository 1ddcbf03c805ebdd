"""Check how the microphone page reconnects: a real Chromium, a real server, and a network that is cut.

`python -m scripts.check_reconnect [--cut 5 20] [--across 20] [--reload]`. A phrase is spoken during each cut,
and one after it. `--across`: the last one begins before the network returns, so its start is sent late and
its end live. `--reload`: the page is loaded again just when the network returns. The text is checked: every
word once, every phrase at its true time. Needs Chromium and espeak-ng, as the tests do.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import expect

from host_stt.contract import SAMPLE_RATE
from tests.browser.live import LiveServer
from tests.browser.test_first_words import BUSY_BOX_MS, lines_of, milliseconds, session_events
from tests.browser.test_reconnect import PAUSE_S, PHRASES, TOLERANCE_MS, Stage, speaking
from tests.support.speech import say

INSIDE_S = 1.0  # the phrase begins this long after the cut
CLEAR_S = 4.0  # a page that tries each second has reconnected by then, also on a busy machine
ACROSS_S = -0.5  # the phrase after the cut begins this long after the network is back


@dataclass(frozen=True, slots=True)
class Case:
    cut_s: float
    is_across: bool = False  # the last phrase is spoken while the network returns
    is_reloaded: bool = False

    @property
    def pause_s(self) -> float:
        """The pause between two phrases that lets the last one begin at its planned time."""
        after_s = ACROSS_S if self.is_across else CLEAR_S
        inside_s = len(say(PHRASES[1])) / SAMPLE_RATE
        return max(PAUSE_S, self.cut_s - INSIDE_S + after_s - inside_s)

    @property
    def phrases(self) -> tuple[str, ...]:
        """The phrases to check. After a reload the fake microphone starts again, so only earlier ones
        count.
        """
        return PHRASES[:2] if self.is_reloaded else PHRASES

    def __str__(self) -> str:
        across, reloaded = ", spoken across its end" * self.is_across, ", page reloaded" * self.is_reloaded
        return f"{self.cut_s:.0f} s{across}{reloaded}"


@dataclass(frozen=True, slots=True)
class Outcome:
    case: Case
    back_s: float  # from the return of the network to a working connection
    filled_s: float  # to the last phrase on the page
    lines: list[str]
    errors_ms: list[int | None]  # start of each phrase relative to the first; None: no line begins there
    channels: int

    @property
    def is_good(self) -> bool:
        errors = [abs(error) if error is not None else TOLERANCE_MS + 1 for error in self.errors_ms]
        is_said = words(self.lines) == words(self.case.phrases)
        return is_said and self.channels == 1 and max(errors) <= TOLERANCE_MS


def words(lines: Sequence[str]) -> list[str]:
    return re.sub(r"[^\w\s]", "", " ".join(lines).lower()).split()


def beginnings_ms(lines: list[tuple[str, str]], phrases: Sequence[str]) -> list[int | None]:
    """Start time of each phrase, by its first word's line; None where no line begins with that word."""
    at, starts = 0, {}
    for time, text in lines:
        starts[at] = milliseconds(time)
        at += len(words([text]))
    counts = [len(words([phrase])) for phrase in phrases]
    return [starts.get(sum(counts[:k])) for k in range(len(phrases))]


async def one(server: LiveServer, folder: Path, case: Case) -> Outcome:
    async with speaking(server, folder, PHRASES, pause_s=case.pause_s) as stage:
        await stage.start()
        await stage.first_line()
        cut_at_s = stage.said_s[1] - INSIDE_S
        await stage.at(cut_at_s)
        with stage.relay.cut():
            await stage.at(cut_at_s + case.cut_s)
        loop = asyncio.get_running_loop()
        returned_s = loop.time()
        if case.is_reloaded:
            await stage.page.reload()
        back_s = await until_live(stage) - returned_s
        lines = await until_said(stage, case)
        filled_s = loop.time() - returned_s
        events = await session_events(stage.page)
    starts = beginnings_ms(lines, case.phrases)
    errors = [
        None if None in (start, starts[0]) else round(start - starts[0] - (true - stage.said_s[0]) * 1000)
        for start, true in zip(starts, stage.said_s, strict=False)
    ]
    channels = len({event["channel"] for event in events if event["type"] == "segment.final"})
    return Outcome(case, back_s, filled_s, [text for _, text in lines], errors, channels)


async def until_said(stage: Stage, case: Case) -> list[tuple[str, str]]:
    """The page's lines, once all spoken text is there, or after a time limit."""
    loop = asyncio.get_running_loop()
    give_up_s = loop.time() + BUSY_BOX_MS / 1000
    while True:
        lines = (await lines_of(stage.page))[: 2 if case.is_reloaded else None]
        if words([text for _, text in lines]) == words(case.phrases) or loop.time() > give_up_s:
            return lines
        await asyncio.sleep(0.1)


async def until_live(stage: Stage) -> float:
    await expect(stage.page.locator("main")).to_have_attribute("data-phase", "live", timeout=BUSY_BOX_MS)
    return asyncio.get_running_loop().time()


async def run(cases: Sequence[Case]) -> list[Outcome]:
    """Run each case with its own server, because a reloaded page shows all earlier text of its channel."""
    outcomes = []
    for case in cases:
        with tempfile.TemporaryDirectory() as name, LiveServer(Path(name)).running() as server:
            outcomes.append(await one(server, Path(name), case))
            print(outcomes[-1], flush=True)
    return outcomes


def table(outcomes: list[Outcome]) -> str:
    rows = ["| cut | back | all text there | times off by | |", "|---|---|---|---|---|"]
    for outcome in outcomes:
        off = ", ".join("no line" if error is None else f"{error} ms" for error in outcome.errors_ms)
        rows.append(
            f"| {outcome.case} | {outcome.back_s:.1f} s | {outcome.filled_s:.1f} s | {off} | "
            f"{len(outcome.lines)} lines, {outcome.channels} channel |"
        )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cut", type=float, nargs="*", default=[5.0, 20.0])
    parser.add_argument("--across", type=float, nargs="*", default=[])
    parser.add_argument("--reload", action="store_true")
    options = parser.parse_args()
    cases = [*map(Case, options.cut), *(Case(cut_s, is_across=True) for cut_s in options.across)]
    if options.reload:
        cases.append(Case((options.cut or options.across)[0], is_reloaded=True))
    load = os.getloadavg()[0]
    outcomes = asyncio.run(run(cases))
    print(table(outcomes))
    print(f"load {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    bad = sum(not outcome.is_good for outcome in outcomes)
    if bad:
        raise SystemExit(f"{bad} of {len(outcomes)}: a word is missing, doubled or out of place")


if __name__ == "__main__":
    main()
