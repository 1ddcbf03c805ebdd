"""The record in the running application: its part in /ready, and that it runs on PostgreSQL too."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.desk import a_config, received, running_desk
from tests.support.polling import until
from tests.webrtc_host.transcript.test_store_degraded import full_disk
from webrtc_host.errors import ConfigError
from webrtc_host.keys import RECORD
from webrtc_host.transcript.sqlite_database import FILE_NAME


async def test_sessions_are_restored_from_either_database(tmp_path: Path, url: str) -> None:
    config = a_config(tmp_path, store={"url": url}, limits={"events_in_memory": 100})
    async with running_desk(config) as desk:
        for number in range(200):
            desk.final(f"word {number}", at_ms=number)
        head, session = await desk.settled(), desk.session.id
    async with running_desk(config) as again:
        assert again.session.id == session
        events = await received(await again.watch(since=0), head)
        assert [event["seq"] for event in events] == list(range(1, head + 1))


async def test_ready_and_metrics_report_a_full_disk_and_text_continues(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, store={"url": ""}, archive={"enabled": False})) as desk:
        socket = await desk.watch(since=0)
        await desk.settled()
        _, body = await desk.get("/ready")
        assert "record" not in body.get("troubles", {})
        with full_disk(tmp_path):
            for number in range(20):
                desk.final("said all the same", at_ms=number)
            await until(lambda: desk.app[RECORD].store.state.is_degraded, 60)
            _, body = await desk.get("/ready")
            assert body["degraded"] is True
            assert body["troubles"]["record"].startswith("the record cannot be written: ")
            async with desk.client.get(f"{desk.url}/metrics") as response:
                assert "host_stt_record_is_degraded 1.0" in await response.text()
            finals = [event for event in await received(socket, 21) if event["type"] == "segment.final"]
            assert finals[-1]["durable"] is False
        await until(lambda: not desk.app[RECORD].store.state.is_degraded, 60)


async def test_a_record_that_cannot_be_opened_ends_the_start_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(ConfigError, match="cannot be used"):
        async with running_desk(a_config(tmp_path, store={"url": ""})):
            pass


async def test_closing_a_connection_responds_after_the_last_event_is_on_disk(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, store={"url": ""})) as desk:
        socket = await desk.client.ws_connect(f"{desk.url}/ws/pcm/C01")
        await socket.send_json({"encoding": "pcm_s16le", "sample_rate": 16_000})
        await socket.send_bytes(bytes(3200))
        await until(lambda: desk.session.channels)
        await socket.send_json({"type": "stop"})
        async with asyncio.timeout(30):
            while (body := json.loads(await socket.receive_str()))["type"] != "stopped":
                continue
        saved = await desk.app[RECORD].store.read(
            lambda c: c.exec_driver_sql("SELECT max(seq) FROM events").scalar()
        )
        assert saved >= body["final_seq"] > 1
