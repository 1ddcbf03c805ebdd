"""Resume tokens are valid after a restart, for the announced time; the disk has only their hashes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.desk import Desk, a_config, running_desk
from webrtc_host.config import MediaProcessConfig
from webrtc_host.keys import RESUME
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.connection import Connection
from webrtc_host.session.resume import Claim, Refusal, hash_of


def on_disk(folder: Path, resume_s: float = 900.0) -> MediaProcessConfig:
    return a_config(folder, store={"url": ""}, media={"resume_s": resume_s})


def connect(desk: Desk, *channels: str) -> Connection:
    async def end(reason: str) -> int:
        desk.registry.disconnect(connection)
        return 0

    specs = [ChannelSpec(channel) for channel in channels]
    connection = desk.registry.connect(
        desk.session, DoorKind.WEBRTC, specs, end, on_disconnect=desk.app[RESUME].closed
    )
    return connection


async def test_a_token_identifies_the_same_channels_after_a_restart(tmp_path: Path) -> None:
    async with running_desk(on_disk(tmp_path)) as desk:
        connection = connect(desk, "C03", "C07")
        token, session = desk.app[RESUME].give(connection), desk.session.id
    async with running_desk(on_disk(tmp_path)) as desk:
        claim = desk.app[RESUME].find(token)
        assert isinstance(claim, Claim)
        assert (claim.session, claim.channels) == (session, ("C03", "C07"))
        assert desk.app[RESUME].give(connect(desk, *claim.channels), claim) == token
        assert desk.app[RESUME].find("made up") is Refusal.UNKNOWN


async def test_the_time_without_a_server_counts_for_the_validity(tmp_path: Path) -> None:
    async with running_desk(on_disk(tmp_path)) as desk:
        token = desk.app[RESUME].give(connect(desk, "C01"))
    with closing(sqlite3.connect(tmp_path / "record.sqlite3")) as record:
        record.execute("UPDATE resumes SET closed_wall_ms = closed_wall_ms - 901000")
        record.commit()
    async with running_desk(on_disk(tmp_path)) as desk:
        assert desk.app[RESUME].find(token) is Refusal.EXPIRED
        desk.app[RESUME].give(connect(desk, "C02"))
    with closing(sqlite3.connect(tmp_path / "record.sqlite3")) as record:
        assert record.execute("SELECT channels FROM resumes").fetchall() == [('["C02"]',)]


def contents_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_no_file_contains_the_token_itself(tmp_path: Path) -> None:
    async with running_desk(on_disk(tmp_path)) as desk:
        token = desk.app[RESUME].give(connect(desk, "C01"))
    contents = contents_of(tmp_path)
    assert hash_of(token).encode() in contents
    assert token.encode() not in contents


async def test_deleting_a_session_deletes_its_tokens(tmp_path: Path) -> None:
    async with running_desk(on_disk(tmp_path)) as desk:
        connection = connect(desk, "C01")
        token, session = desk.app[RESUME].give(connection), desk.session
        await desk.registry.end(session)
        async with desk.client.delete(f"{desk.url}/api/sessions/{session.id}") as answer:
            assert answer.status == 200, await answer.text()
    async with running_desk(on_disk(tmp_path)) as desk:
        assert desk.app[RESUME].find(token) is Refusal.UNKNOWN
