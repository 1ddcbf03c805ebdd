"""A power cut at any moment: no final that a watcher received is lost, and the record can be opened."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.support.power_cut import Disk, Leftover, lines, traced
from webrtc_host.transcript import schema
from webrtc_host.transcript.database import open_database

EVENTS = 250
CUTS = 25

pytestmark = pytest.mark.setup


def test_every_final_that_a_watcher_received_is_stored_after_a_power_cut(tmp_path: Path) -> None:
    data, trace = tmp_path / "data", tmp_path / "trace"
    data.mkdir()
    writer = (sys.executable, "-m", "tests.support.power_writer", str(data), str(EVENTS))
    traced(trace, *writer)
    rng = random.Random(20261121)
    cut, seen_last = 0, 0
    for cut, (disk, seen) in enumerate(cuts(data, trace, rng), 1):
        for leftover in Leftover:
            folder = tmp_path / f"{cut}-{leftover.name}"
            disk.write_to(folder, leftover, rng)
            finals, seqs = read(folder)
            where = f"cut {cut}, {leftover.value}: seen up to {seen}"
            assert seqs == list(range(1, len(seqs) + 1)), where
            assert len(seqs) >= seen, where
            assert finals == [f"g_{number}" for number in range(1, len(seqs))], where
            assert not list(folder.glob("*damaged*")), where
        seen_last = seen
    assert cut == CUTS
    assert seen_last > EVENTS // 2


def cuts(data: Path, trace: Path, rng: random.Random) -> Iterator[tuple[Disk, int]]:
    """The disk at random calls after the first event was seen, and the newest event seen by then."""
    calls = list(lines(trace))
    first = next(number for number, call in enumerate(calls) if _is_print(call))
    chosen = set(rng.sample(range(first + 1, len(calls)), CUTS))
    disk = Disk(data)
    for number, call in enumerate(calls):
        disk.play(call)
        if number in chosen:
            yield disk, int(re.findall(rb"SEEN (\d+)\n", bytes(disk.printed))[-1])


def _is_print(call: str) -> bool:
    return re.match(r"\d+ +write\(1<", call) is not None


def read(folder: Path) -> tuple[list[str], list[int]]:
    """(finals in their order, seqs) of the record as a restarted server opens it."""
    database = open_database("", folder, 1)
    try:
        with database.writer.connect() as connection:
            finals = select(schema.segments.c.id).order_by(schema.segments.c.seq)
            seqs = select(schema.events.c.seq).order_by(schema.events.c.seq)
            return list(connection.execute(finals).scalars()), list(connection.execute(seqs).scalars())
    finally:
        database.dispose()
