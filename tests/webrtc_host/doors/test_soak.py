"""The short version of `scripts/soak_media.py`, and that its verdict detects figures that grow."""

from __future__ import annotations

import pytest

from bench.media_soak import Sample, Soaked, cycles, report_line, soak

pytestmark = [pytest.mark.peer, pytest.mark.net, pytest.mark.timeout(300)]


def samples(**slopes: float) -> list[Sample]:
    """Twenty samples; each named figure grows by the given amount from sample to sample."""
    start = {"rss_mb": 140.0, "fds": 20.0, "threads": 8.0, "tasks": 10.0, "samples": 0.0, "errors": 0.0}
    return [
        {"at_s": float(n), "connections": 0.0, **{k: v + n * slopes.get(k, 0.0) for k, v in start.items()}}
        for n in range(20)
    ]


@pytest.mark.parametrize(
    ("slopes", "words"),
    [
        ({"rss_mb": 1.0}, "memory grows: +9.0 MB"),
        ({"fds": 1.0}, "fds grow"),
        ({"threads": 1.0}, "threads grow"),
        ({"tasks": 1.0}, "tasks grow"),
        ({"errors": 1.0}, "19 errors"),
    ],
)
def test_growing_figures_are_detected(slopes: dict[str, float], words: str) -> None:
    soaked = Soaked("a soak", 20.0, 0, 20, samples(**slopes))
    assert [trouble for trouble in soaked.problems() if words in trouble]
    assert "a soak" in report_line(soaked)


def test_constant_figures_pass_and_too_few_samples_do_not() -> None:
    assert Soaked("a soak", 20.0, 0, 20, samples(rss_mb=0.1, fds=0.05)).problems() == []
    assert Soaked("a soak", 20.0, 0, 20, []).problems()


@pytest.mark.long
async def test_eight_long_and_twelve_short_connections_leave_the_figures_constant() -> None:
    stayed = await soak(6.0, 8, every_s=0.5)
    assert stayed.problems() == []
    assert stayed.audio_share() > 0.8
    came_and_went = await cycles(12, every=4)
    assert came_and_went.problems() == []
    assert came_and_went.samples[-1]["connections"] == 0
