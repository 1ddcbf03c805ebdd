"""Stored speech is readable by its owner only, for any umask at the start."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from tests.support.server import Server, command, environment

pytestmark = pytest.mark.net
PUBLIC = ["sh", "-c", 'umask 000; exec "$@"', "sh"]
"""The most careless shell there is."""


def open_to_others(folder: Path) -> list[str]:
    """Files and folders that their group or other users may read or enter; the TLS certificate is public."""
    found = [folder, *folder.rglob("*")]
    return sorted(
        str(path.relative_to(folder))
        for path in found
        if path.name != "tls-cert.pem" and stat.S_IMODE(path.lstat().st_mode) & 0o077
    )


def test_record_audio_and_backup_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    with Server(tmp_path, "--tls", "self-signed", argv=[*PUBLIC, *command("serve")]) as server:
        server.wait_ready()
        kept = tmp_path / "data"
        assert (kept / "record.sqlite3").exists()
        assert open_to_others(kept) == []
        (kept / "old.ogg").write_bytes(b"kept by an older version")
        (kept / "old.ogg").chmod(0o644)
        done = subprocess.run(
            [*PUBLIC, *command("backup", "copies/monday")],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        (kept / "old.ogg").unlink()
    assert open_to_others(kept) == []
    assert (tmp_path / "copies" / "monday" / "old.ogg").exists()
    assert open_to_others(tmp_path / "copies") == []
    assert not [line for line in server.err if "can read the data folder" in line]


@pytest.mark.parametrize("mode", [0o755, 0o701])
def test_a_folder_that_others_can_read_gives_a_warning(tmp_path: Path, mode: int) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(mode)
    with Server(tmp_path, command_name="media", argv=[*command("media")]) as server:
        server.wait_for(r"can read the data folder", lambda one: one.err)
        assert any("chmod -R go-rwx" in line and f"mode {mode:o}" in line for line in server.err)


def test_the_engine_keeps_its_files_private_too(tmp_path: Path) -> None:
    """It is told by its umask, which the system shows."""
    with Server(tmp_path, argv=[*PUBLIC, *command("serve")]) as server:
        server.wait_ready()
        (engine,) = server.children()
        for process in (server.process.pid, engine.pid):
            status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
            umask = next(line.split()[1] for line in status.splitlines() if line.startswith("Umask:"))
            assert int(umask, 8) == 0o077
