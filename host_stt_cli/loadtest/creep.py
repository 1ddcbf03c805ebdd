"""Slow growth in a server that runs for days: each slope of a run with its limit and its verdict.

Pure. A slope counts only if it is certain (over three standard errors) and if the growth during the run is
larger than the normal variation of the figure. Otherwise the noise of two minutes would look like a trend per
hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Creep(StrEnum):
    HOLDS = "holds"
    GROWS = "grows"
    UNSURE = "not sure: let it run longer"
    UNSEEN = "not seen"


@dataclass(frozen=True, slots=True)
class Limit:
    figure: str  # its name under `growth` in the report, without `_per_hour`
    most: float  # per hour
    wavers: float  # normal variation: smaller growth over the whole run is not judged
    sentence: str  # with {slope}
    is_either_way: bool = False


SERVERS = {"8082": "8082", "8081": "8081, the engine,"}
LIMITS = (
    *(
        limit
        for name, said in SERVERS.items()
        for limit in (
            # Above the growth of the caches in a first hour.
            Limit(f"{name} rss_mb", 60.0, 10.0, f"memory of {said} grows by {{slope:z.0f}} MB an hour"),
            Limit(f"{name} threads", 4.0, 2.0, f"{said} gains {{slope:z.0f}} threads an hour"),
            Limit(f"{name} fds", 8.0, 4.0, f"{said} gains {{slope:z.0f}} open files an hour"),
        )
    ),
    # Half a second per hour would add up to several seconds in a night shift.
    Limit("timecode_ms", 30.0, 5.0, "timecodes drift by {slope:z.0f} ms an hour", is_either_way=True),
)


def judged(report: dict[str, Any], ttfs_growth_ms: float) -> list[dict[str, Any]]:
    """Each slope as the report stores it. ttfs_growth_ms: how much later final text may be at the end."""
    hours = report["load"]["seconds"] / 3600
    sentence = "time to final text grows by {slope:z.0f} ms an hour"
    ttfs = Limit("ttfs_ms", ttfs_growth_ms / hours, ttfs_growth_ms, sentence)
    return [_one(report, limit, hours) for limit in (ttfs, *LIMITS)]


def _one(report: dict[str, Any], limit: Limit, hours: float) -> dict[str, Any]:
    line = report["measures"]["growth"].get(f"{limit.figure}_per_hour", {})
    slope, error = line.get("slope", 0.0), line.get("standard_error", 0.0)
    verdict = _verdict(limit, slope, error, hours) if "slope" in line else Creep.UNSEEN
    return {
        "name": limit.figure,
        "slope": slope,
        "standard_error": error,
        "most": round(limit.most, 1),
        "verdict": verdict.value,
        "sentence": limit.sentence.format(slope=slope),
    }


def _verdict(limit: Limit, slope: float, error: float, hours: float) -> Creep:
    grown = abs(slope) if limit.is_either_way else slope
    if grown <= limit.most:
        return Creep.HOLDS
    if grown <= 3 * error or grown * hours < limit.wavers:
        return Creep.UNSURE
    return Creep.GROWS
