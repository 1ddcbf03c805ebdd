"""kill -9 during speech: one round of the test that scripts/kill_test.py runs fifty times."""

from pathlib import Path

import pytest

from bench.kill_run import TEXTS, Plan, run

pytestmark = [pytest.mark.net, pytest.mark.model, pytest.mark.long]


@pytest.mark.timeout(400)
async def test_killed_while_everyone_speaks(tmp_path: Path) -> None:
    plan = Plan(channels=3, rounds=1, seed=11, targets=("both",), texts=TEXTS[:3], alike=0.4)
    report = await run(tmp_path, plan)
    assert report["phrases_received_whole"] >= 1, report
    assert not report["details"]["missing"], report
    assert not report["details"]["doubled"], report
    assert report["seq_holes"] == 0
    assert not [line for line in report["errors_logged"] if "Traceback" in line], report["errors_logged"]
    assert report["last_process"]["feeds_failed"] == 0
