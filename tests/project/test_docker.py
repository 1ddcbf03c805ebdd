"""The images, as far as they go without a Docker engine: their steps run, their files fit the tree."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner

from host_stt_cli.config import load
from host_stt_cli.main import main
from tests.support.server import ROOT, Server

DOCKER = ROOT / "docker"
COMPOSE = DOCKER / "compose.yaml"
DOCKERFILES = [DOCKER / "cpu.Dockerfile", DOCKER / "cuda.Dockerfile"]
RUNPOD = DOCKER / "runpod.Dockerfile"


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """(NAME, rest) of each instruction, its continued lines joined."""
    text = "\n".join(
        line for line in dockerfile.read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    )
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    return found


def test_there_is_an_image_for_a_cpu_one_for_cuda_and_one_for_runpod() -> None:
    assert sorted(DOCKER.glob("*.Dockerfile")) == [*DOCKERFILES, RUNPOD]


def test_the_image_for_runpod_is_that_for_cuda_with_a_model_and_another_command() -> None:
    """`scripts/check_runpod.py` runs its steps."""
    cuda, runpod = instructions(DOCKERFILES[1]), instructions(RUNPOD)
    more = [line for line in runpod if line not in cuda]
    assert [name for name, _ in more] == ["ARG", "RUN", "RUN", "ARG", "ENV", "CMD"]
    assert more[1][1] == "docker/install.sh /opt/host-stt runpod"
    assert more[2][1].startswith('/opt/host-stt/bin/host-stt model fetch "$MODEL"')
    command, *options = yaml.safe_load(dict(runpod)["CMD"])
    assert command == "runpod"
    environ = {"MODEL": dict(runpod)["ARG"].partition("=")[2]}
    assert CliRunner().invoke(main, ["check", *options], env=environ).exit_code == 0


@pytest.mark.parametrize("dockerfile", [*DOCKERFILES, RUNPOD], ids=lambda path: path.name)
def test_every_copied_file_exists(dockerfile: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for name, rest in instructions(dockerfile):
        if name == "COPY" and not rest.startswith("--from"):
            *sources, _ = rest.split()
            for source in sources:
                assert (ROOT / source).exists(), source
                assert source.split("/")[0] not in ignored, source


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_every_script_that_is_run_exists_and_is_executable(dockerfile: Path) -> None:
    scripts = [word for name, rest in instructions(dockerfile) if name == "RUN" for word in rest.split()[:1]]
    assert scripts == ["docker/system.sh", "docker/install.sh", "host-stt-system"]
    for script in scripts[:2]:
        assert os.access(ROOT / script, os.X_OK), script


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_the_image_runs_a_command_that_exists_and_not_as_root(dockerfile: Path) -> None:
    last = dict(instructions(dockerfile))
    assert last["USER"] == "host-stt"
    assert yaml.safe_load(last["ENTRYPOINT"]) == ["host-stt"]
    command, *options = yaml.safe_load(last["CMD"])
    assert command == "serve"
    assert CliRunner().invoke(main, ["check", *options]).exit_code == 0
    assert last["STOPSIGNAL"] == "SIGTERM"


def test_the_two_images_differ_only_in_the_device() -> None:
    cpu, cuda = (instructions(path) for path in DOCKERFILES)
    more = [line for line in cuda if line not in cpu]
    assert [name for name, _ in more] == ["RUN", "ENV"]
    assert [line for line in cpu if line not in cuda] == [("RUN", "docker/install.sh /opt/host-stt cpu")]


def test_the_compose_file_is_valid_by_the_schema_of_compose_files() -> None:
    done = CliRunner().invoke(check_jsonschema, ["--builtin-schema", "vendor.compose-spec", str(COMPOSE)])
    assert done.exit_code == 0, done.output


def test_the_schema_finds_a_mistake(tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(
        COMPOSE.read_text(encoding="utf-8").replace("read_only: true", "read_only: [1]"), encoding="utf-8"
    )
    assert (
        CliRunner()
        .invoke(check_jsonschema, ["--builtin-schema", "vendor.compose-spec", str(wrong)])
        .exit_code
        == 1
    )


@pytest.mark.parametrize("name", ["host-stt", "host-stt-cuda"])
def test_a_service_starts_only_with_a_token_and_keeps_the_engine_to_itself(name: str) -> None:
    service = services()[name]
    assert service["environment"]["HOST_STT_TOKEN"].startswith("${HOST_STT_TOKEN:?")
    assert service["network_mode"] == "host"
    command = [word.replace("$$", "$") for word in service["command"]]
    sets = [word.removeprefix("--set=") for word in command if word.startswith("--set=")]
    config = load(None, sets, environ={"HOST_STT_TOKEN": "long-secret"}).config
    assert (config.media.host, config.engine.host, config.token) == ("0.0.0.0", "127.0.0.1", "long-secret")
    config.refuse_open("media")
    assert (
        CliRunner().invoke(main, ["check", *command[1:]], env={"HOST_STT_TOKEN": "long-secret"}).exit_code
        == 0
    )
    assert (COMPOSE.parent / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def coturn(**environ: str) -> subprocess.CompletedProcess[str]:
    """The compose file's coturn service, up to the point where it would run for long."""
    shell, *words = [word.replace("$$", "$") for word in services()["coturn"]["entrypoint"]]
    return subprocess.run(
        [shell, *words, "--version"],
        env={"PATH": os.environ["PATH"], "TURN_SECRET": "", "TURN_ADDRESS": "", **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_coturn_is_started_only_when_asked_for_and_only_with_a_secret_and_an_address(tmp_path: Path) -> None:
    service = services()["coturn"]
    assert (service["profiles"], service["network_mode"]) == (["turn"], "host")
    nobody = coturn()
    assert (nobody.returncode, nobody.stderr) == (
        2,
        "set TURN_SECRET to the secret that the server has too\n",
    )
    nowhere = coturn(TURN_SECRET="open")
    assert (nowhere.returncode, nowhere.stderr) == (
        2,
        "set TURN_ADDRESS to the address that browsers reach\n",
    )
    conf = tmp_path / "turnserver.conf"
    started = coturn(TURN_SECRET="north-gate", TURN_ADDRESS="192.0.2.1", TURN_CONF=str(conf))
    assert "not found" not in started.stderr, "coturn is missing: apt-get install coturn"
    assert conf.read_text(encoding="utf-8") == "static-auth-secret=north-gate\n"
    assert conf.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["host-stt", "host-stt-cuda", "coturn"])
def test_the_resources_of_a_container_are_limited(name: str) -> None:
    service = services()[name]
    assert service["ulimits"]["nofile"] == 65_536
    assert service["pids_limit"] > 0
    assert service["mem_limit"]
    assert all("size=" in mount for mount in service["tmpfs"])


def test_the_relay_reaches_the_server_and_no_private_network(tmp_path: Path) -> None:
    service = services()["coturn"]
    denied = [word.removeprefix("--denied-peer-ip=") for word in service["command"]]
    ranges = [[ipaddress.ip_address(end) for end in word.split("-")] for word in denied]
    numbers = {(low.version, int(low), int(high)) for low, high in ranges}
    inner = ("10.1.2.3", "192.168.1.1", "172.31.0.1", "169.254.169.254", "127.0.0.1", "100.64.0.1", "fd00::1")
    for address in map(ipaddress.ip_address, inner):
        assert any(v == address.version and low <= int(address) <= high for v, low, high in numbers), address
    program = tmp_path / "turnserver"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" >"$TOLD"\n', encoding="ascii")
    program.chmod(0o755)
    told = tmp_path / "told"
    path = f"{tmp_path}:{os.environ['PATH']}"
    coturn(
        **{"PATH": path, "TOLD": str(told), "TURN_SECRET": "x", "TURN_ADDRESS": "192.0.2.1"},
        TURN_PEERS="10.0.3.9 10.0.3.10",
    )
    options = told.read_text(encoding="ascii").split()
    assert {"192.0.2.1", "10.0.3.9", "10.0.3.10"} == {
        word.partition("=")[2] for word in options if word.startswith("--allowed-peer-ip=")
    }
    assert "--no-tcp-relay" in options


@pytest.mark.setup
@pytest.mark.long
def test_the_system_packages_step_runs_or_says_that_it_must_be_root() -> None:
    done = subprocess.run(
        [DOCKER / "system.sh", "run"], capture_output=True, text=True, timeout=300, check=False
    )
    if os.getuid() == 0:
        assert done.returncode == 0, done.stderr
    else:
        assert (done.returncode, done.stderr) == (1, "docker/system.sh: must be run as root\n")


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Path]:
    """Both images' docker/install.sh, run into a temporary folder."""
    prefix = tmp_path / "host-stt"
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")
    }
    environment["PIP_NO_COMPILE"] = "1"  # half of the time, and this copy starts once
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        [DOCKER / "install.sh", prefix],
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    yield prefix
    shutil.rmtree(prefix)  # half a gigabyte


def packages_in(prefix: Path) -> set[str]:
    return {path.name.partition("-")[0] for path in prefix.rglob("*.dist-info")}


def health(prefix: Path, port: str) -> int:
    command = [prefix / "bin" / "python", DOCKER / "health.py"]
    return subprocess.run(command, env={"HOST_STT_PORT": port}, timeout=30, check=False).returncode


@pytest.mark.net
@pytest.mark.setup
@pytest.mark.long
@pytest.mark.timeout(540)
async def test_the_install_step_gives_a_server_that_serves(installed: Path, tmp_path: Path) -> None:
    assert "host_stt" in packages_in(installed)
    assert not {"hatchling", "pytest", "build", "pip", "setuptools"} & packages_in(installed)
    empty = tmp_path / "empty"
    empty.mkdir()
    with Server(empty, argv=[str(installed / "bin" / "host-stt"), "serve"], PYTHONPATH="") as server:
        server.wait_ready()
        assert (await server.get("/"))[0] == 200
        port = server.url.rpartition(":")[2]
        assert await asyncio.to_thread(health, installed, port) == 0
    assert await asyncio.to_thread(health, installed, port) == 1
