from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE

import pytest

from host_stt.measured_costs import FILE_NAME, MeasuredCosts, key_of
from host_stt.model_cost import ModelCost
from tests.support.small_disk import small_disk

COST = ModelCost(0.25, 0.2, 6.6)
HERE = {"processor": "x", "threads": "2"}
KEY = key_of("abc", HERE)


def test_a_saved_cost_is_read_by_the_next_process(tmp_path: Path) -> None:
    MeasuredCosts(tmp_path).keep(KEY, "base", HERE, COST)
    assert MeasuredCosts(tmp_path).find(KEY) == COST


@pytest.mark.parametrize(
    "other", [key_of("abd", HERE), key_of("abc", {**HERE, "threads": "4"}), key_of("abc", {})]
)
def test_other_weights_or_another_machine_are_not_found(tmp_path: Path, other: str) -> None:
    costs = MeasuredCosts(tmp_path)
    costs.keep(KEY, "base", HERE, COST)
    assert costs.find(other) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "other"}', '{"format": 1, "costs": 3}'])
def test_a_file_that_is_no_record_counts_as_empty(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    costs = MeasuredCosts(tmp_path)
    assert costs.find(KEY) is None
    assert "models are measured again" in caplog.text
    costs.keep(KEY, "base", HERE, COST)
    assert costs.find(KEY) == COST


@pytest.mark.parametrize("spoilt", [{"final_s": "fast"}, {"final_s": -1}, {"final_s": None}])
def test_an_entry_with_a_wrong_figure_counts_as_none(tmp_path: Path, spoilt: dict[str, object]) -> None:
    costs = MeasuredCosts(tmp_path)
    costs.keep(KEY, "base", HERE, COST)
    body = json.loads((tmp_path / FILE_NAME).read_text())
    body["costs"][KEY] |= spoilt
    (tmp_path / FILE_NAME).write_text(json.dumps(body))
    assert costs.find(KEY) is None


def test_the_hash_of_weights_is_remembered_until_the_file_changes(tmp_path: Path) -> None:
    weights = tmp_path / "model.bin"
    weights.write_bytes(b"one")
    costs = MeasuredCosts(tmp_path)
    assert costs.known_sha256(weights) is None
    first = costs.weights_sha256(weights)
    assert costs.known_sha256(weights) == first
    weights.write_bytes(b"two")
    os.utime(weights, ns=(1, 1))
    assert costs.known_sha256(weights) is None
    assert costs.weights_sha256(weights) != first


def test_measurements_that_did_not_end_are_counted_until_one_does(tmp_path: Path) -> None:
    costs = MeasuredCosts(tmp_path)
    costs.begin(KEY, "base", HERE)
    costs.begin(KEY, "base", HERE)
    assert (MeasuredCosts(tmp_path).unfinished(KEY), costs.find(KEY)) == (2, None)
    costs.keep(KEY, "base", HERE, COST)
    assert costs.unfinished(KEY) == 0


def test_only_the_newest_entries_stay(tmp_path: Path) -> None:
    costs = MeasuredCosts(tmp_path)
    for number in range(101):
        costs.keep(f"key {number}", "base", HERE, COST)
    assert costs.find("key 0") is None
    assert costs.find("key 1") == costs.find("key 100") == COST


def test_a_read_only_disk_remembers_nothing_and_stops_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64, read_only=True) as disk:
        costs = MeasuredCosts(disk / "models")
        with costs.locked() as is_kept:
            assert not is_kept
        costs.keep(KEY, "base", HERE, COST)
        assert costs.find(KEY) is None


HOLDS_THE_LOCK = """
import sys
from pathlib import Path
from host_stt.measured_costs import MeasuredCosts
with MeasuredCosts(Path(sys.argv[1])).locked():
    print("locked", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process_measures(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDS_THE_LOCK, str(folder)]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_measurement_does_not_wait_for_ever_for_another_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[str] = []
    costs = MeasuredCosts(tmp_path)
    with another_process_measures(tmp_path):
        with costs.locked(lambda: said.append("waiting"), wait_s=1) as is_kept:
            assert not is_kept
        assert said == ["waiting"]
        assert "for more than 1 s and may hang" in caplog.text
        assert "does not store the result" in caplog.text


def test_a_killed_process_leaves_no_lock_behind(tmp_path: Path) -> None:
    with another_process_measures(tmp_path) as other:
        other.kill()
        other.wait(timeout=30)
        with MeasuredCosts(tmp_path).locked(wait_s=30) as is_kept:
            assert is_kept
