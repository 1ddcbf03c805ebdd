"""Is it good enough, and what would give way first? One sentence from the figures of a run.

Pure. Owns the limits. Accuracy by itself is the model's and not judged; only what the load takes from it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Answer(StrEnum):
    YES = "yes"
    NO = "no"
    UNMEASURED = "unmeasured"

    @property
    def exit_status(self) -> int:
        return {"yes": 0, "no": 1, "unmeasured": 2}[self.value]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run must hold."""

    ttfs_p95_ms: float = 1500.0
    missed_share: float = 0.01  # of utterances without any final; a model may hear nothing in one
    error_points: float = 2.0  # of WER or CER more than the same phrases read alone
    growth_ms: float = 250.0  # of TTFS over the whole run, where it is sure to be growth
    late_p95_ms: float = 60.0  # of the generator; beyond it the run measures the generator
    is_soak: bool = False  # then what must not creep is judged too: SOAK
    unknown_share: float = 0.02  # of coverage that no event spoke of: the last moments of a run


SOAK = {"rss_mb": 60.0, "threads": 4.0, "fds": 8.0}
"""Of each server, per hour, where the slope is sure; what a first hour's caches take passes."""
SOAK_TIMECODE_MS = 30.0  # per hour, either way: half a second would be lost in a night shift


@dataclass(frozen=True, slots=True)
class Verdict:
    answer: Answer
    sentence: str
    reasons: tuple[str, ...]  # why not yes
    limiting: str


def judge(report: dict[str, Any], limits: Limits, largest: int | None = None) -> Verdict:
    """report: as `report.build` makes it. largest: the most channels that a sweep held, if one was made."""
    load, busiest = report["load"], limiting_part(report)
    what = f"this machine carries {load['channels']} channels at {load['talk']:.0%} talk"
    if unfit := _unmeasured(report, limits):
        return Verdict(Answer.UNMEASURED, f"{what}: could not be measured: {unfit}", (unfit,), busiest)
    reasons = tuple(_reasons(report, limits))
    if reasons:
        sentence = f"{what}: no: {'; '.join(reasons)}. The limiting part is {busiest}."
        return Verdict(Answer.NO, sentence, reasons, busiest)
    spare = ""
    if largest and largest > load["channels"]:
        spare = f", with {1 - load['channels'] / largest:.0%} to spare"
    return Verdict(Answer.YES, f"{what}: yes{spare}. The busiest part is {busiest}.", (), busiest)


def _unmeasured(report: dict[str, Any], limits: Limits) -> str:
    late = report["generator"]["late_ms"].get("p95", 0.0)
    if late > limits.late_p95_ms:
        return (
            f"the load test itself was late by {late:.0f} ms (p95) at sending, so it, not the server, "
            "was the bottleneck; run it on another machine, or with fewer channels"
        )
    if not report["measures"]["utterances"]:
        return "nobody spoke a whole utterance; let it run longer"
    return str(report["generator"].get("broken", ""))


def _reasons(report: dict[str, Any], limits: Limits) -> list[str]:
    measures = report["measures"]
    reasons = []
    p95 = measures["ttfs_ms"].get("p95")
    if p95 is None:
        reasons.append("no utterance got its final text")
    elif p95 > limits.ttfs_p95_ms:
        reasons.append(f"time to final text p95 is {p95:.0f} ms, over {limits.ttfs_p95_ms:.0f} ms")
    share = measures["missed"] / measures["utterances"]
    # Lost packets take words with them, which is no fault of the server.
    if share > limits.missed_share + report["load"]["loss"]:
        reasons.append(f"{measures['missed']} of {measures['utterances']} utterances got no text")
    if measures["windows_failed"]:
        reasons.append(f"{measures['windows_failed']} windows could not be read")
    if measures["finals_refused"]:
        reasons.append(f"{measures['finals_refused']} finals were refused for want of room")
    reasons += _coverage(report, limits)
    reasons += _growth(report, limits)
    reasons += _creeping(report) if limits.is_soak else []
    alone, rate = measures["alone"].get("rate"), measures["accuracy"].get("rate")
    if alone is not None and rate is not None and not report["load"]["loss"]:
        points = 100 * (rate - alone)
        if points > limits.error_points:
            reasons.append(f"{measures['accuracy']['kind']} is {points:.1f} points above that of no load")
    return reasons


def _coverage(report: dict[str, Any], limits: Limits) -> list[str]:
    seconds = report["measures"]["coverage_s"]
    total = sum(seconds.values())
    if not total:
        return []
    reasons = [f"{seconds[s]:.1f} s of sound were {s}" for s in ("shed", "failed") if seconds.get(s)]
    if seconds.get("unknown", 0.0) / total > limits.unknown_share:
        reasons.append(f"of {seconds['unknown']:.0f} s nothing was said of what became of them")
    if seconds.get("lost") and not report["load"]["loss"] and not report["load"]["reconnects"]:
        reasons.append(f"{seconds['lost']:.1f} s of sound were lost, though none was on the way")
    return reasons


def _growth(report: dict[str, Any], limits: Limits) -> list[str]:
    growth = report["measures"]["growth"].get("ttfs_ms_per_hour", {})
    slope, error = growth.get("slope"), growth.get("standard_error")
    if slope is None or error is None:
        return []
    grown = slope * report["load"]["seconds"] / 3600
    if grown > limits.growth_ms and slope > 3 * error:
        return [f"time to final text grew by {grown:.0f} ms over the run"]
    return []


def _creeping(report: dict[str, Any]) -> list[str]:
    """Memory, threads, files and timecodes that go one way for as long as the server runs."""
    growth = report["measures"]["growth"]
    reasons = []
    for process in ("8082", "8081"):
        for figure, most in SOAK.items():
            slope = _sure(growth.get(f"{process} {figure}_per_hour", {}))
            if slope > most:
                reasons.append(f"{figure} of {process} grows by {slope:.0f} an hour")
    drift = _sure(growth.get("timecode_ms_per_hour", {}))
    if abs(drift) > SOAK_TIMECODE_MS:
        reasons.append(f"timecodes drift by {drift:.0f} ms an hour")
    return reasons


def _sure(line: dict[str, float]) -> float:
    """The slope, or 0 where it may be chance."""
    slope, error = line.get("slope", 0.0), line.get("standard_error", 0.0)
    return slope if abs(slope) > 3 * error else 0.0


def limiting_part(report: dict[str, Any]) -> str:
    """The part nearest to its end, with how near."""
    shares: list[tuple[float, str]] = []
    busy = report["measures"].get("engine_busy")
    if busy is not None:
        shares.append((busy, f"the engine, decoding {busy:.0%} of the time"))
    media = report["processes"].get("8082")
    if media:
        share = media["cpu_percent_mean"] / 100
        shares.append((share, f"8082, at {share:.0%} of a core"))
    whole = report["machine"].get("cpu_percent_mean")
    if whole is not None:
        shares.append((whole / 100, f"the machine, with {whole:.0f} % of its cores in use"))
    if report["measures"].get("gpu", {}).get("load_percent_mean") is not None:
        share = report["measures"]["gpu"]["load_percent_mean"] / 100
        shares.append((share, f"the GPU, {share:.0%} busy"))
    return max(shares)[1] if shares else "not known: the server runs on another machine"
