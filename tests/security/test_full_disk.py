"""A server starts with a full disk: text continues, and the server reports what it cannot store."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.desk import a_config, running_desk
from tests.support.opus_packets import encoded
from tests.support.polling import until
from tests.support.server import Server, command
from tests.support.speech import say
from tests.webrtc_host.archive.test_archive import filled
from tests.webrtc_host.desk.test_audio_api import SAID, START, nothing
from tests.webrtc_host.transcript.test_store_degraded import full_disk
from webrtc_host.services.speech import copy_once
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind

pytestmark = pytest.mark.slow

ON_DISK: dict[str, Any] = {"store": {"url": ""}}
SMALL_DISK = (
    'mount -t tmpfs -o size=2m tmpfs "$0" && mkdir -m 700 "$0/data" && head -c 3m /dev/zero >"$0/fill"; '
)
IN_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


def can_mount() -> bool:
    try:
        return subprocess.run([*IN_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.net
@pytest.mark.skipif(
    not can_mount() and not os.environ.get("CI"), reason="this machine gives no mount namespaces"
)
async def test_a_first_start_on_a_full_disk_serves_text(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    argv = [*IN_NAMESPACE, "sh", "-c", SMALL_DISK + 'exec "$@"', str(disk), *command("serve")]
    with Server(tmp_path, "--set", f"data.dir={disk}/data", argv=argv) as server:
        server.wait_ready()
        status, ready = await server.get("/ready")
        assert (status, ready["degraded"]) == (200, True)
        assert "the disk is full" in ready["troubles"]["record"]
        async with aiohttp.ClientSession() as client, client.post(f"{server.url}/sessions/create") as made:
            assert made.status == 200
    assert server.process.returncode == 0
    assert not [line for line in server.err if "Traceback" in line]


async def test_a_start_on_a_full_disk_after_a_crash_writes_its_record_when_there_is_space(
    tmp_path: Path,
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    async with running_desk(a_config(before, **ON_DISK)) as desk:
        desk.final("alpha")
        await desk.settled()
        shutil.copytree(before, after)  # with its WAL, as a crash leaves it
    with full_disk(after):
        async with running_desk(a_config(after, **ON_DISK)) as desk:

            async def trouble() -> str:
                _, body = await desk.get("/ready")
                return str(body.get("troubles", {}).get("record", ""))

            assert "the record cannot be written" in await until(trouble)
            async with desk.client.post(f"{desk.url}/sessions/create") as made:
                assert made.status == 200


async def test_audio_that_is_removed_for_a_full_disk_is_reported_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path, {"C02": 5})
    old, real = tmp_path / "audio" / "s_1" / "C02", os.write

    def write(fd: int, data: memoryview) -> int:
        if old.exists() and any(old.iterdir()):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data)

    async with running_desk(a_config(tmp_path, archive={"keep_days": 0})) as desk:
        _, ready = await desk.get("/ready")
        assert "archive" not in ready.get("troubles", {})
        watcher = await desk.watch()
        desk.registry.connect(desk.session, DoorKind.SOCKET, [ChannelSpec("C01")], nothing)
        channel = desk.registry.channel(desk.session, "C01")
        channel.open()
        monkeypatch.setattr(os, "write", write)
        for packet in encoded(say(SAID), START):
            channel.archive_packet(packet)
        async with asyncio.timeout(20):
            while (event := await watcher.receive_json())["type"] != "error":
                pass
        assert event["code"] == "archive_shed"
        assert "the oldest audio of all sessions is removed, 1 files so far" in event["message"]
        status, ready = await desk.get("/ready")
        assert ready["degraded"] is True
        assert ready["troubles"]["archive"] == event["message"]


def test_a_glossary_that_could_not_be_written_whole_leaves_no_empty_one(tmp_path: Path) -> None:
    """Or the next start, with room, would take the empty one for the operator's own."""
    source, path = tmp_path / "packaged.yaml", tmp_path / "data" / "glossary.yaml"
    source.write_text("terms: []\n" * 100, encoding="utf-8")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            copy_once(source, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(path.parent.iterdir()) == []
