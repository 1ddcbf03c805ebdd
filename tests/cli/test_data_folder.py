from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from host_stt_cli.data_folder import hold
from host_stt_cli.errors import StartError


def test_the_folder_is_made_and_locked(tmp_path: Path) -> None:
    with hold(tmp_path / "a" / "b") as folder:
        assert folder.is_dir()
        assert (folder / "host-stt.pid").read_text(encoding="ascii") == f"{os.getpid()}\n"
    assert not (folder / "host-stt.pid").exists()
    with hold(folder):
        pass


def test_a_second_server_is_refused_with_the_process_that_uses_the_folder(tmp_path: Path) -> None:
    with (
        hold(tmp_path),
        pytest.raises(
            StartError, match=rf"another host-stt \(process {os.getpid()}\) already uses .*data\.dir"
        ),
        hold(tmp_path),
    ):
        pass


def test_the_lock_of_a_killed_server_is_free(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom host_stt_cli.data_folder import hold\n"
        "with hold(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(StartError, match=f"process {other.pid}"), hold(tmp_path):
            pass
        other.kill()
        other.wait()
    with hold(tmp_path):
        pass


def test_a_folder_below_a_file_is_reported_in_one_sentence_also_for_root(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    with (
        pytest.raises(StartError, match=r"cannot be written \(not a directory\)"),
        hold(tmp_path / "file" / "data"),
    ):
        pass


def test_a_read_only_folder_is_reported_in_one_sentence_also_for_root() -> None:
    with (
        pytest.raises(StartError, match=r"the data folder /proc/self cannot be written"),
        hold(Path("/proc/self")),
    ):
        pass


def test_a_record_in_memory_works_with_a_read_only_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    with hold(tmp_path / "file" / "data", is_needed=False) as folder:
        assert folder == tmp_path / "file" / "data"
    assert "it stores nothing" in caplog.text
    with hold(tmp_path / "data", is_needed=False), pytest.raises(StartError), hold(tmp_path / "data"):
        pass
