"""A watched folder: recordings are submitted when they are complete, each version once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from host_stt_cli import job_client
from host_stt_cli.job_client import JobClient, ServerOptions
from host_stt_cli.main import main
from host_stt_cli.watch import submit_ready
from host_stt_cli.watched_folder import MEMORY_NAME, WatchedFolder
from tests.webrtc_host.jobs.helpers import a_server, job_of, talk, wav

SHORT = wav(talk("alpha one")[:16_000])


class HandClock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def names(folder: WatchedFolder) -> list[str]:
    return [version.name for version in folder.ready()]


def test_a_recording_is_ready_when_it_no_longer_grows(tmp_path: Path) -> None:
    clock = HandClock()
    watched = WatchedFolder(tmp_path, 10, clock)
    path = tmp_path / "shift" / "a.WAV"
    path.parent.mkdir()
    path.write_bytes(b"one")
    (tmp_path / "notes.txt").write_bytes(b"no recording")
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / ".hidden.wav").write_bytes(b"one")
    assert names(watched) == []
    clock.now_s = 9
    path.write_bytes(b"one and more")
    assert names(watched) == [], "it has grown"
    clock.now_s = 18
    assert names(watched) == []
    clock.now_s = 19
    assert names(watched) == ["shift/a.WAV"]


def test_what_was_submitted_is_remembered_until_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"one")
    watched = WatchedFolder(tmp_path, 0, HandClock())
    (version,) = watched.ready()
    watched.remember(version, "j_1")
    memory = tmp_path / MEMORY_NAME
    memory.write_text(memory.read_text() + '\n{"key": "watch-cut o')
    again = WatchedFolder(tmp_path, 0, HandClock())
    assert names(watched) == names(again) == []
    path.write_bytes(b"another")
    (changed,) = again.ready()
    assert changed.key != version.key
    again.remember(changed, "j_2")
    assert names(WatchedFolder(tmp_path, 0, HandClock())) == [], "also behind a line that a crash cut off"


async def test_recordings_wait_for_a_server_and_a_refused_one_is_not_sent_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.wav").write_bytes(SHORT)
    (folder / "b.mp3").write_bytes(b"this is a letter" * 99)
    watched = WatchedFolder(folder, 0, HandClock())
    async with job_client.job_client(ServerOptions("http://127.0.0.1:9", "")) as client:
        trouble = await submit_ready(watched, client, {})
        assert "cannot be reached: connection refused" in trouble.lower(), trouble
        assert await submit_ready(watched, client, {}, trouble) == trouble
    assert capsys.readouterr().err.count("a.wav waits") == 1, "said once"
    async with a_server(tmp_path / "data") as desk:
        client = JobClient(desk.client, desk.url)
        assert await submit_ready(watched, client, {"title": "Night"}) == ""
        out = capsys.readouterr()
        assert "b.mp3 is refused: the file cannot be read as a recording" in out.err
        job = out.out.split()[0]
        assert (await job_of(desk, job))["file_name"] == "a.wav"
        (folder / MEMORY_NAME).unlink()
        assert await submit_ready(WatchedFolder(folder, 0, HandClock()), client, {}) == ""
        assert len((await desk.get("/api/jobs"))[1]["jobs"]) == 1, "the server knows its key"


async def test_the_commands_submit_list_show_and_cancel(tmp_path: Path) -> None:
    path = tmp_path / "night.wav"
    path.write_bytes(SHORT)
    async with a_server(tmp_path / "data") as desk:

        def run(*arguments: str) -> tuple[int, str]:
            done = CliRunner().invoke(main, [*arguments, "--server", desk.url], catch_exceptions=False)
            return done.exit_code, done.output

        code, job = await asyncio.to_thread(
            run, "job", "submit", str(path), "--language", "ko", "--title", "Night"
        )
        assert code == 0
        code, listed = await asyncio.to_thread(run, "job", "list", "night")
        assert code == 0 and job.strip() in listed and "Night" in listed
        code, shown = await asyncio.to_thread(run, "job", "show", job.strip())
        assert code == 0 and '"language": "ko"' in shown
        code, said = await asyncio.to_thread(run, "job", "cancel", job.strip())
        assert (code, said.split()[1]) == (0, "cancelled")
        code, said = await asyncio.to_thread(run, "job", "submit", str(path), "--summary", "nothing")
        assert code == 2 and "there is no summary template 'nothing'" in said
        for arguments in (("job", "submit", str(path)), ("watch", str(tmp_path), "--once", "--settle", "0")):
            code, said = await asyncio.to_thread(run, *arguments, "--summary", "radio")
            assert code == 0, said
            job = next(word for word in said.split() if word.startswith("j_"))
            assert (await job_of(desk, job))["summary"] == "radio"
        code, said = await asyncio.to_thread(run, "job", "show", "j_nothing")
        assert code == 2 and said == "host-stt: there is no job 'j_nothing'\n"
        code, said = await asyncio.to_thread(run, "job", "submit", str(tmp_path / "none.wav"))
        assert code == 2 and "No such file" in said
