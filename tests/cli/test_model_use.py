"""`host-stt model use`: the cost first, then the configuration, then the engine of a running server."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp
import pytest
from click.testing import CliRunner, Result

from host_stt.config import EngineConfig
from host_stt.models import STARTER_FOLDER
from host_stt_cli.config import load
from host_stt_cli.engine_restart import request_restart
from host_stt_cli.main import main
from tests.support.model_costs import add_starter_as, remember_cost
from tests.support.polling import until
from tests.support.server import Server, run

CPU = ("--set", "engine.device=cpu")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `base` (fast) and `small` (slow) in its data folder, and a configuration."""
    monkeypatch.chdir(tmp_path)
    config = EngineConfig(device="cpu", models_dir=tmp_path / "data" / "models")
    for name, final_s in (("base", 0.2), ("small", 1.5)):
        folder = add_starter_as(name, config.models_dir, tmp_path)
        remember_cost(config, folder, final_s)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "host-stt.yaml").write_text("engine:\n  model: base  # ours\n")
    return tmp_path


def use(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["model", "use", *arguments, *CPU])


def test_the_cost_is_shown_and_the_file_is_changed(here: Path) -> None:
    done = use("small")
    assert done.exit_code == 0, done.output
    before, after, written, restart = done.output.splitlines()
    assert before == (
        "before   base: a window of 6.0 s takes 0.20 s; "
        "final text of 4 channels within 0.40 s at p95 (estimate)"
    )
    assert after.startswith("after    small: a window of 6.0 s takes 1.50 s; ")
    assert after.endswith("over the limit of 1 s")
    assert written == "written  config/host-stt.yaml: engine.model: small"
    assert restart.startswith("restart  no host-stt serve runs on ")
    assert (here / "config" / "host-stt.yaml").read_text() == "engine:\n  model: small  # ours\n"


def test_auto_says_what_it_would_choose(here: Path) -> None:
    done = use("auto")
    assert "after    auto: base is the most accurate model here that is fast enough" in done.output
    assert load().config.engine.model == "auto"


def test_a_folder_is_written_as_an_absolute_path(here: Path) -> None:
    remember_cost(EngineConfig(device="cpu", models_dir=here / "data" / "models"), STARTER_FOLDER, 0.1)
    (here / "mine").symlink_to(STARTER_FOLDER)
    assert use("./mine").exit_code == 0
    assert load().config.engine.model == str(STARTER_FOLDER)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("medium", "it is not on this machine; host-stt model fetch medium downloads it"),
        ("smol", "it is not on this machine; host-stt model list shows all"),
        ("./nowhere", "it is not on this machine"),
    ],
)
def test_a_model_that_is_not_installed_changes_nothing(here: Path, name: str, said: str) -> None:
    done = use(name)
    assert done.exit_code == 2
    assert "nothing was changed" in done.stderr and said in done.stderr
    assert done.stderr.count("\n") == 1
    assert load().config.engine.model == "base"


@pytest.mark.model
def test_a_model_that_cannot_decode_changes_nothing(here: Path) -> None:
    (here / "data" / "models" / "small" / "model.bin").write_bytes(b"no weights")
    done = use("small")
    assert (done.exit_code, "small cannot be measured: " in done.stderr) == (2, True)
    assert load().config.engine.model == "base"


def test_a_request_without_a_server_gets_no_answer(tmp_path: Path) -> None:
    assert request_restart(tmp_path) is None


@pytest.mark.net
async def test_a_model_on_the_command_line_has_precedence_and_the_page_reports_it(here: Path) -> None:
    with Server(here, *CPU, model="base") as server:
        server.wait_ready()
        async with aiohttp.ClientSession() as client:
            async with client.put(f"{server.url}/api/model", json={"model": "small"}) as response:
                assert response.status == 409
                assert "--set engine.model" in (await response.json())["error"]["message"]
        assert load(here / "config" / "host-stt.yaml").config.engine.model == "base"


@pytest.mark.net
async def test_a_running_server_restarts_its_engine_and_nothing_else(here: Path) -> None:
    with Server(here, *CPU, model=None) as server:
        server.wait_ready()
        (engine,) = server.children()
        done = run("model", "use", "small", *CPU, cwd=here)
        assert done.returncode == 0, done.stderr
        assert "restart  the engine is restarted with engine.model: small; channels keep" in done.stdout
        server.wait_for(r"Model +small on cpu int8")
        await until(server.is_ready, 60)
        assert [child.pid for child in server.children()] != [engine.pid]
        assert server.process.poll() is None
        async with aiohttp.ClientSession() as client:
            async with client.put(f"{server.url}/api/model", json={"model": "base"}) as response:
                assert response.status == 200, await response.text()
                assert "restarted with engine.model: base" in (await response.json())["message"]
        assert load(here / "config" / "host-stt.yaml").config.engine.model == "base"
        server.wait_for(r"Model +base on cpu int8")
        await until(server.is_ready, 60)
        use("small")
        again = use("small")
        assert re.search(r"not restarted: this server uses engine.model small already$", again.output, re.M)
