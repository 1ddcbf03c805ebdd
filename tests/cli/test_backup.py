"""`host-stt backup`: complete while the server writes, and put to use again."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from host_stt_cli.main import main
from tests.support.desk import Desk, a_config, received, running_desk
from webrtc_host.keys import RECORD
from webrtc_host.transcript.sqlite_database import FILE_NAME

ON_DISK: dict[str, Any] = {"store": {"url": ""}}


def back_up(source: Path, dest: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["backup", str(dest), "--set", f"data.dir={source}", *options])


async def talk(desk: Desk, number: int) -> None:
    """Finals without end, each saved before the next."""
    while True:
        desk.final(f"word {number}", at_ms=number)
        await desk.settled()
        number += 1


async def test_a_backup_taken_while_it_is_written_is_a_data_folder_to_start_on(tmp_path: Path) -> None:
    data, dest = tmp_path / "data", tmp_path / "copies" / "monday"
    data.mkdir()
    (data / "audio").mkdir()
    (data / "audio" / "C01.ogg").write_bytes(b"OggS and so on")
    (data / "models").mkdir()
    (data / "models" / "model.bin").write_bytes(b"large")
    async with running_desk(a_config(data, **ON_DISK)) as desk:
        desk.final("the first")
        before = await desk.settled()
        talking = asyncio.create_task(talk(desk, 1))
        done = await asyncio.to_thread(back_up, data, dest)
        talking.cancel()
        await asyncio.wait({talking})
        session, after = desk.session.id, desk.session.log.head_seq
        assert not desk.app[RECORD].store.state.is_degraded
    assert done.exit_code == 0, done.output
    assert f"{dest}: " in done.output
    assert (dest / "audio" / "C01.ogg").read_bytes() == b"OggS and so on"
    assert not (dest / "models").exists()
    async with running_desk(a_config(dest, **ON_DISK)) as restored:
        assert restored.session.id == session
        head = restored.session.log.head_seq
        assert before <= head <= after
        events = await received(await restored.watch(since=0), head)
        assert [event["seq"] for event in events] == list(range(1, head + 1))
        assert restored.final("and on") == head + 1


async def test_a_stopped_server_continues_from_its_backup(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, **ON_DISK)) as desk:
        seq = desk.final("good night")
        session, before_ms = desk.session.id, desk.session.now_ms()
    async with running_desk(a_config(tmp_path, **ON_DISK)) as again:
        assert (again.session.id, again.final("good morning")) == (session, seq + 1)
        assert again.session.now_ms() >= before_ms
        assert [one.was_stopped for one in again.app[RECORD].restored] == [True]


def test_a_folder_that_cannot_be_backed_up_is_reported_in_one_sentence(tmp_path: Path) -> None:
    source = tmp_path / "data"
    missing = back_up(source, tmp_path / "a")
    assert (missing.exit_code, "there is no data folder" in missing.stderr) == (2, True)
    source.mkdir()
    (tmp_path / "taken").mkdir()
    taken = back_up(source, tmp_path / "taken")
    assert (taken.exit_code, "exists already" in taken.stderr) == (2, True)
    inside = back_up(source, source / "copy")
    assert (inside.exit_code, "is inside the data folder" in inside.stderr) == (2, True)
    (tmp_path / "b.unfinished").mkdir()
    left = back_up(source, tmp_path / "b")
    assert (left.exit_code, "did not finish; remove it" in left.stderr) == (2, True)


def test_a_backup_that_fails_leaves_nothing_under_its_name(tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.mkdir()
    (source / FILE_NAME).write_bytes(b"no database at all" * 1000)
    done = back_up(source, tmp_path / "copy")
    assert done.exit_code == 2
    assert "could not be written" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


@pytest.mark.parametrize("url", ["postgresql://u:p@h/d", "memory"])
def test_a_record_elsewhere_is_named_and_the_rest_copied(tmp_path: Path, url: str) -> None:
    source = tmp_path / "data"
    source.mkdir()
    (source / "glossary.yaml").write_text("terms: []\n", encoding="utf-8")
    done = back_up(source, tmp_path / "copy", "--set", f"store.url={url}")
    assert done.exit_code == 0
    assert ("pg_dump" in done.output) == (url != "memory")
    assert (tmp_path / "copy" / "glossary.yaml").exists()


def test_the_copy_is_a_whole_database(tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.mkdir()
    with closing(sqlite3.connect(source / FILE_NAME)) as writing:
        writing.execute("PRAGMA journal_mode=WAL")
        writing.execute("CREATE TABLE t (x)")
        writing.execute("INSERT INTO t VALUES (1)")
        writing.commit()  # in the WAL alone
        assert back_up(source, tmp_path / "copy").exit_code == 0
    assert [path.name for path in (tmp_path / "copy").iterdir()] == [FILE_NAME]
    with closing(sqlite3.connect(tmp_path / "copy" / FILE_NAME)) as copy:
        assert copy.execute("SELECT x FROM t").fetchall() == [(1,)]
