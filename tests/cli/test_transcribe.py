"""`host-stt transcribe`, as a person runs it: a process with the starter model.

The first test starts a new process; most others fork one that has its modules loaded already.
"""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import termios
from pathlib import Path

import pytest
import srt

from tests.support import forked
from tests.support.recordings import spoken_phrases, write_wav
from tests.support.server import command, environment, run

pytestmark = pytest.mark.model

STARTER = ("--set", "engine.model=starter")
CALL = "alpha one proceed to gate seven"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    samples, _ = spoken_phrases([CALL])
    write_wav(tmp_path / "a.wav", samples)
    return tmp_path


def test_one_file_goes_to_standard_output(folder: Path) -> None:
    done = run("transcribe", "a.wav", *STARTER, cwd=folder)
    assert (done.returncode, done.stdout) == (0, CALL + "\n"), done.stderr
    assert not (folder / "data").exists()


def test_a_bad_file_among_several_is_reported_and_does_not_stop_the_others(folder: Path) -> None:
    (folder / "bad.mp3").write_bytes(b"this is a letter")
    write_wav(folder / "ko.wav", spoken_phrases(["알파 하나 대기"], "ko")[0])
    done = forked.run(
        *("transcribe", "bad.mp3", "a.wav", "ko.wav", "--format", "srt", "--output", "out/new", *STARTER),
        *("--hotwords", "alpha one,bravo two"),
        cwd=folder,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    first, last = [line for line in done.stderr.splitlines() if line.startswith("host-stt: ")]
    assert first.startswith("host-stt: bad.mp3: the file cannot be read as a recording")
    assert last == "host-stt: 1 of 3 recordings could not be transcribed."
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in (folder / "out/new").iterdir()) == ["a.srt", "ko.srt"]
    (cue,) = srt.parse((folder / "out/new/a.srt").read_text(encoding="utf-8"))
    assert cue.content == CALL


def test_a_truncated_recording_is_reported_and_transcribed_up_to_its_end(folder: Path) -> None:
    data = (folder / "a.wav").read_bytes()
    (folder / "cut.wav").write_bytes(data[: len(data) * 2 // 3])
    done = forked.run("transcribe", "cut.wav", *STARTER, cwd=folder)
    assert done.returncode == 0 and done.stdout.startswith("alpha one")
    assert "host-stt: cut.wav: the file ends before its own end; " in done.stderr
    done = forked.run("transcribe", "a.wav", "--track", "1", *STARTER, cwd=folder)
    assert done.returncode == 2
    assert "host-stt: a.wav: the file has one audio track, number 0; 1 is none of them." in done.stderr


@pytest.fixture
def shift(folder: Path) -> Path:
    """A folder of two recordings of one name, one in a subfolder, a bad one, and what is no recording."""
    shift = folder / "shift"
    (shift / "night").mkdir(parents=True)
    shutil.copy(folder / "a.wav", shift / "a.wav")
    shutil.copy(folder / "a.wav", shift / "a.WAVE")
    shutil.copy(folder / "a.wav", shift / "night" / "b.wav")
    shutil.copy(folder / "a.wav", shift / ".hidden.wav")
    (shift / "bad.mp3").write_bytes(b"this is a letter")
    (shift / "a.txt").write_text("notes")
    return shift


def test_each_recording_of_a_folder_gets_a_text_file_beside_it(shift: Path) -> None:
    done = forked.run("transcribe", "shift", *STARTER, cwd=shift.parent)
    told = [line for line in done.stderr.splitlines() if line.startswith("host-stt: ")]
    assert (done.returncode, done.stdout, len(told)) == (2, "", 2)
    assert told[0].startswith("host-stt: shift/bad.mp3: ")
    assert told[1] == "host-stt: 1 of 4 recordings could not be transcribed."
    texts = {str(path.relative_to(shift)): path.read_text() for path in shift.rglob("*.txt")}
    assert texts.pop("a.txt") == "notes"
    assert texts == dict.fromkeys(("a.wav.txt", "a.WAVE.txt", "night/b.wav.txt"), CALL + "\n")


def test_the_texts_of_a_folder_can_be_written_to_another_folder_with_subfolders(shift: Path) -> None:
    (shift / "bad.mp3").unlink()
    done = forked.run("transcribe", "shift", "--output", "out", "--format", "srt", *STARTER, cwd=shift.parent)
    assert done.returncode == 0, done.stderr
    out = shift.parent / "out"
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert names == {"a.wav.srt", "a.WAVE.srt", "night/b.srt"}


@pytest.mark.parametrize(
    "locale",
    [
        pytest.param({"PYTHONIOENCODING": "latin-1"}, marks=pytest.mark.long),
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_text_goes_out_as_utf8_whatever_the_locale(folder: Path, locale: dict[str, str]) -> None:
    name = "관제.wav"
    write_wav(folder / name, spoken_phrases(["알파 하나 대기"], "ko")[0])
    done = subprocess.run(
        command("transcribe", name, "없음.wav", "--output", "out", *STARTER),
        cwd=folder,
        env=environment() | locale,
        capture_output=True,
    )
    assert (done.returncode, done.stderr.decode()) == (2, "host-stt: there is no file 없음.wav.\n")
    done = subprocess.run(
        command("transcribe", name, "--language", "ko-KR", *STARTER),
        cwd=folder,
        env=environment() | locale,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert any("가" <= letter <= "힣" for letter in done.stdout.decode())


def test_at_a_terminal_a_bar_shows_the_progress(folder: Path) -> None:
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 80))
    try:
        with subprocess.Popen(
            command("transcribe", "a.wav", "--format", "srt", *STARTER),
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=slave,
        ) as process:
            text, _ = process.communicate(timeout=60)
        shown = os.read(master, 1 << 16).decode()
    finally:
        os.close(master)
        os.close(slave)
    assert process.returncode == 0
    (cue,) = srt.parse(text.decode())
    assert cue.content == CALL
    assert "a.wav" in shown and "100%" in shown and "\r" in shown


def test_verbose_json_holds_words(folder: Path) -> None:
    options = ("--format", "verbose_json", "--language", "English")
    done = forked.run("transcribe", "a.wav", *options, *STARTER, cwd=folder)
    body = json.loads(done.stdout)
    assert [word["word"] for word in body["words"]] == CALL.split()
    assert len(body["segments"]) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("none.wav",), "there is no file none.wav."),
        (("empty",), "the folder empty contains no recording"),
        (("a.wav", "a.wav"), "several files need --output DIR"),
        (("a.wav", "./a.wav", "--output", "out"), "two files would both be written to out/a.wav.txt"),
        (("a.wav", "--hotwords", "x" * 300), "--hotwords: the hotword"),
        (("a.wav", "--set", "engine.model=/nowhere"), "there is no model folder '/nowhere'"),
        (("a.wav", "--language", "tlh", *STARTER), "--language: 'tlh' is not known; give auto, a code"),
        (
            ("a.wav", "--language", "cy-GB", *STARTER),
            "a.wav: the model starter does not have the language welsh (cy)",
        ),
    ],
)
def test_a_mistake_is_one_plain_sentence_and_status_2(
    folder: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    (folder / "empty").mkdir()
    done = forked.run("transcribe", *arguments, cwd=folder)
    assert done.returncode == 2
    assert any(line.startswith(f"host-stt: {sentence}") for line in done.stderr.splitlines()), done.stderr
    assert done.stdout == ""
