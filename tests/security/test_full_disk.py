"""A full disk keeps no server from starting: text goes on, and it says what cannot be kept."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.desk import a_config, running_desk
from tests.support.server import Server, command
from tests.webrtc_host.transcript.test_store_degraded import full_disk

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
@pytest.mark.skipif(not can_mount(), reason="this machine gives no mount namespaces")
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


async def test_a_start_after_a_crash_on_a_full_disk_writes_its_record_when_there_is_room(
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
            _, body = await desk.get("/ready")
            assert "the record cannot be written" in body["troubles"]["record"]
            async with desk.client.post(f"{desk.url}/sessions/create") as made:
                assert made.status == 200
