"""Judge a run: is it good enough, and which part reaches its limit first? One sentence from the figures.

Pure. Contains the limits. The model's own accuracy is not judged, only how much the load reduces it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from host_stt_cli.loadtest import creep
from host_stt_cli.loadtest.creep import Creep


class Answer(StrEnum):
    YES = "yes"
    NO = "no"
    UNMEASURED = "unmeasured"

    @property
    def exit_status(self) -> int:
        return {"yes": 0, "no": 1, "unmeasured": 2}[self.value]


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits that a run must meet."""

    ttfs_p95_ms: float = 1500.0
    missed_share: float = 0.01  # of utterances without any final; a model may find no text in one
    error_points: float = 2.0  # of WER or CER above that of the same phrases without load
    # and at least this many words: one error in sixteen words is six points by chance
    error_words: float = 4.0
    unread: float = 0.5  # if the error rate without load is above this, accuracy is not judged
    growth_ms: float = 250.0  # of time to final text over the whole run, if the growth is certain
    late_p95_ms: float = 60.0  # of the load generator; above this, the run measures the generator
    is_soak: bool = False  # then slow growth is judged too, see `creep`
    unknown_share: float = 0.02  # of the audio without a coverage event, for the last moments of a run


@dataclass(frozen=True, slots=True)
class Verdict:
    answer: Answer
    sentence: str
    reasons: tuple[str, ...]  # why not yes
    limiting: str


def judge(report: dict[str, Any], limits: Limits, largest: int | None = None) -> Verdict:
    """Judge a report of `report.build`. largest: the largest number of channels in a sweep, if one was
    made.
    """
    load, busiest = report["load"], limiting_part(report)
    what = f"this machine handles {load['channels']} channels at {100 * load['talk']:.0f} % talk"
    if unfit := _unmeasured(report, limits):
        return Verdict(Answer.UNMEASURED, f"{what}: could not be measured: {unfit}", (unfit,), busiest)
    reasons = tuple(_reasons(report, limits))
    if reasons:
        sentence = f"{what}: no: {'; '.join(reasons)}. The limiting part is {busiest}."
        return Verdict(Answer.NO, sentence, reasons, busiest)
    spare = ""
    if largest and largest > load["channels"]:
        spare = f", with {100 * (1 - load['channels'] / largest):.0f} % to spare"
    return Verdict(Answer.YES, f"{what}: yes{spare}. The busiest part is {busiest}.", (), busiest)


def _unmeasured(report: dict[str, Any], limits: Limits) -> str:
    late = report["generator"]["late_ms"].get("p95", 0.0)
    if late > limits.late_p95_ms:
        return (
            f"the load test itself was late by {late:.0f} ms (p95) at sending, so it, not the server, "
            "was the bottleneck; run it on another machine, or with fewer channels"
        )
    if not report["measures"]["utterances"]:
        return "no utterance was sent as a whole; let it run longer"
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
    # Lost packets remove words, which is not the server's fault.
    if share > limits.missed_share + report["load"]["loss"]:
        reasons.append(f"{measures['missed']} of {measures['utterances']} utterances got no text")
    if measures["windows_failed"]:
        reasons.append(f"{measures['windows_failed']} windows could not be transcribed")
    if measures["finals_refused"]:
        reasons.append(f"{measures['finals_refused']} finals were refused because the queue was full")
    reasons += _coverage(report, limits)
    reasons += _growth(report, limits)
    reasons += _creeping(report, limits) if limits.is_soak else []
    return reasons + _accuracy(report, limits)


def _accuracy(report: dict[str, Any], limits: Limits) -> list[str]:
    """Errors added by the load. Not judged if the model cannot transcribe the phrases even without load."""
    accuracy, alone = report["measures"]["accuracy"], report["measures"]["alone"].get("rate")
    rate = accuracy.get("rate")
    if alone is None or rate is None or alone > limits.unread or report["load"]["loss"]:
        return []
    points = 100 * (rate - alone)
    if points <= limits.error_points or (rate - alone) * accuracy["n"] < limits.error_words:
        return []
    return [f"{accuracy['kind']} is {points:.1f} points higher than without load"]


def _coverage(report: dict[str, Any], limits: Limits) -> list[str]:
    seconds = report["measures"]["coverage_s"]
    total = sum(seconds.values())
    if not total:
        return []
    reasons = [f"{seconds[s]:.1f} s of audio were {s}" for s in ("shed", "failed") if seconds.get(s)]
    if seconds.get("unknown", 0.0) / total > limits.unknown_share:
        reasons.append(f"{seconds['unknown']:.0f} s of audio have no coverage event")
    if seconds.get("lost") and not report["load"]["loss"] and not report["load"]["reconnects"]:
        reasons.append(f"{seconds['lost']:.1f} s of audio were lost, although the load test lost no packets")
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


def _creeping(report: dict[str, Any], limits: Limits) -> list[str]:
    """Memory, threads, files and timecodes that grow steadily while the server runs."""
    return [
        one["sentence"]
        for one in creep.judged(report, limits.growth_ms)
        if one["verdict"] == Creep.GROWS and one["name"] != "ttfs_ms"  # which `_growth` judges in any run
    ]


def limiting_part(report: dict[str, Any]) -> str:
    """The part that is closest to its limit, with its figure."""
    shares: list[tuple[float, str]] = []
    busy = report["measures"].get("engine_busy")
    if busy is not None:
        shares.append((busy, f"the engine, decoding {100 * busy:.0f} % of the time"))
    media = report["processes"].get("8082")
    if media:
        share = media["cpu_percent_mean"] / 100
        shares.append((share, f"8082, at {100 * share:.0f} % of a core"))
    whole = report["machine"].get("cpu_percent_mean")
    if whole is not None:
        shares.append((whole / 100, f"the machine, with {whole:.0f} % of its cores in use"))
    if report["measures"].get("gpu", {}).get("load_percent_mean") is not None:
        share = report["measures"]["gpu"]["load_percent_mean"] / 100
        shares.append((share, f"the GPU, {100 * share:.0f} % busy"))
    return max(shares)[1] if shares else "not known: the server runs on another machine"
