"""The unit file starts what the command line has, may stop in its own time, and systemd understands it."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from host_stt_cli.capture import capture
from host_stt_cli.capture.media import READ_S
from host_stt_cli.capture.run import STOP_S
from host_stt_cli.main import main
from webrtc_host import app

ROOT = Path(__file__).parent.parent.parent
UNIT = ROOT / "config" / "host-stt.service"
CAPTURE_UNIT = ROOT / "config" / "host-stt-capture.service"
UNITS = (UNIT, CAPTURE_UNIT)


class Unit(configparser.RawConfigParser):
    def optionxform(self, optionstr: str) -> str:
        return optionstr


def unit(path: Path = UNIT) -> Unit:
    parsed = Unit()
    parsed.read(path, encoding="utf-8")
    return parsed


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_the_unit_starts_a_command_with_options_it_has(path: Path) -> None:
    program, command, *options = unit(path)["Service"]["ExecStart"].split()
    assert program.endswith("/host-stt")
    assert isinstance(main, click.Group)
    serve = main.get_command(click.Context(main), command)
    assert serve is not None
    known = {name for parameter in serve.params for name in parameter.opts}
    assert {option for option in options if option.startswith("--")} <= known


def test_the_service_has_time_to_stop_and_does_not_restart_after_a_configuration_error() -> None:
    service = unit()["Service"]
    assert int(service["TimeoutStopSec"]) > app.FLUSH_S + app.HANDLERS_S + 5
    assert service["RestartPreventExitStatus"] == "2"
    assert service["StateDirectory"] in service["ExecStart"]


def test_capture_has_time_to_stop_and_its_environment_has_the_names_that_it_reads() -> None:
    service = unit(CAPTURE_UNIT)["Service"]
    assert int(service["TimeoutStopSec"]) > STOP_S + READ_S
    assert service["RestartPreventExitStatus"] == "2"
    listed = re.findall(r"HOST_STT_\w+", CAPTURE_UNIT.read_text(encoding="utf-8"))
    read = {p.envvar for p in capture.params if isinstance(p.envvar, str)}
    assert set(listed) == read


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_finds_no_mistake_in_it(path: Path, tmp_path: Path) -> None:
    """With a program that exists and a user that exists; where systemd is installed."""
    analyze = shutil.which("systemd-analyze")
    text = re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", path.read_text(encoding="utf-8"))
    text = re.sub(r"(?m)^(User|Group)=.*", r"\1=root", text)
    copy = tmp_path / path.name
    copy.write_text(text, encoding="utf-8")
    if analyze is not None:
        done = subprocess.run(
            [analyze, "verify", copy], capture_output=True, text=True, check=False, timeout=60
        )
        assert path.name not in done.stderr, done.stderr
    assert re.search(r"ExecStart=/bin/true (serve|capture)\b", text)


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_the_sandbox_has_the_documented_limits(path: Path) -> None:
    """2.0 and 2.2 of 10 with systemd 252; other versions weigh a little differently."""
    analyze = shutil.which("systemd-analyze")
    service = unit(path)["Service"]
    assert service["CapabilityBoundingSet"] == ""
    assert service["SystemCallFilter"] == "@system-service"
    if analyze is not None:
        command = [analyze, "security", "--offline=true", "--no-pager", "--threshold=30", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout
