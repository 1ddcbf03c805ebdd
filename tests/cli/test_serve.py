"""`host-stt serve` as a person starts it: real processes on loopback, the starter model, real signals."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import time
from pathlib import Path

import psutil
import pytest

from tests.support import forked
from tests.support.polling import until
from tests.support.server import Server, command, run

pytestmark = pytest.mark.net


async def test_the_start_prints_the_address_and_the_model_with_the_reason(tmp_path: Path) -> None:
    with Server(tmp_path, model="auto") as server:
        server.wait_ready()
        text = "\n".join(server.out)
        assert re.search(r"Model +starter on cpu int8", text)
        assert re.search(r"Why +auto: small is not here", text)
        assert "THIS IS THE BUNDLED STARTER MODEL" in text
        status, page = await server.get("/")
        assert (status, "<html" in page) == (200, True)
        status, ready = await server.get("/ready")
        assert (status, ready["engine"]["is_starter"]) == (200, True)
        assert server.stop() < 8
        assert server.process.returncode == 0
    assert (tmp_path / "data").is_dir()


async def test_https_with_a_certificate_made_here(tmp_path: Path) -> None:
    with Server(tmp_path, "--tls", "self-signed") as server:
        assert server.url.startswith("https://127.0.0.1:")
        shown = server.wait_for(r"^ +((?:[0-9A-F]{2}:){31}[0-9A-F]{2})$")[1]
        trust = ssl.create_default_context(cafile=tmp_path / "data" / "tls-cert.pem")
        status, _ = await server.get("/health", ssl_context=trust)
        assert status == 200
    with Server(tmp_path, "--tls", "self-signed", "--set", "engine.port=9", command_name="media") as again:
        assert again.wait_for(r"^ +((?:[0-9A-F]{2}:){31}[0-9A-F]{2})$")[1] == shown


async def test_a_killed_engine_is_started_again(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        server.wait_ready()
        (engine,) = server.children()
        engine.send_signal(signal.SIGKILL)
        await until(lambda: any(child.pid != engine.pid for child in server.children()))
        status, _ = await server.get("/health")
        assert status == 200
        server.wait_for("the engine was ended by SIGKILL; restarting it", lambda s: s.err)
        await until(server.is_ready, 60)
        assert server.process.poll() is None


async def test_no_engine_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        server.wait_ready()
        (engine,) = server.children()
        server.process.kill()
        server.process.wait()
        _, alive = psutil.wait_procs([engine], timeout=20)
        assert alive == []
    with Server(tmp_path) as again:  # nor does its lock
        assert again.url


async def test_ctrl_c_ends_both_in_order(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        server.wait_ready()
        (engine,) = server.children()
        assert os.getpgid(engine.pid) == engine.pid, "the terminal's Ctrl-C would reach the engine too"
        assert server.stop(signal.SIGINT) < 8
        assert server.process.returncode == 0
        assert not engine.is_running()
        order = [line for line in server.err if "stopping:" in line]
        assert [line.split()[2] for line in order] == ["media", "engine"]


# A suite that itself runs under nohup hands the ignored signal down: the first case asks for the default.
@pytest.mark.parametrize(("before", "ends"), [(("env", "--default-signal=HUP"), True), (("nohup",), False)])
async def test_a_closed_terminal_ends_it_in_order_unless_nohup_was_said(
    tmp_path: Path, before: tuple[str, ...], ends: bool
) -> None:
    with Server(tmp_path, "--set", "engine.port=9", argv=[*before, *command("media")]) as server:
        server.wait_for("Open")
        server.process.send_signal(signal.SIGHUP)
        if ends:
            await until(lambda: server.process.poll() is not None, 8)
            assert server.process.returncode == 0
        else:
            assert (await server.get("/health"))[0] == 200


def assert_refused(folder: Path, sentence: str, *options: str) -> None:
    """The start ends with status 2 and that one sentence."""
    done = forked.run("serve", "--set", "media.port=0", "--set", "engine.port=0", *options, cwd=folder)
    assert done.returncode == 2, done
    assert re.fullmatch(rf"host-stt: {sentence}\n", done.stderr), done.stderr
    assert done.stdout == ""


def test_a_second_server_on_the_same_data_folder_is_refused(tmp_path: Path) -> None:
    with Server(tmp_path, "--set", "engine.port=9", command_name="media") as server:
        assert server.url
        assert_refused(
            tmp_path,
            rf"another host-stt \(process {server.process.pid}\) already uses the data folder .*/data; .*",
        )


@pytest.mark.parametrize("section", ["media", "engine"])
def test_a_port_in_use_is_refused(tmp_path: Path, section: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert_refused(
            tmp_path,
            rf"port {port} on 127.0.0.1 is already in use; .* --set {section}.port=PORT\.",
            *("--set", f"{section}.port={port}"),
        )


def test_an_unwritable_data_folder_is_refused_for_root_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    assert_refused(
        tmp_path, r"the data folder .*/file/data cannot be written .*", "--set", "data.dir=file/data"
    )


def test_a_broken_config_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("media:\n  prot: 1\n", encoding="utf-8")
    assert_refused(
        tmp_path,
        r"my\.yaml:2: media\.prot: there is no such key; did you mean media\.port\?",
        *("--config", "my.yaml"),
    )


@pytest.mark.parametrize("key", ["media.host", "engine.host"])
def test_an_open_address_without_a_token_is_refused(tmp_path: Path, key: str) -> None:
    assert_refused(
        tmp_path, rf"{key} is 0\.0\.0\.0, which other machines can reach, .*", "--set", f"{key}=0.0.0.0"
    )


@pytest.mark.parametrize("command", ["media", "engine"])
def test_each_server_alone_refuses_its_open_address(tmp_path: Path, command: str) -> None:
    done = forked.run(command, "--set", f"{command}.host=0.0.0.0", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"host-stt: {command}.host is 0.0.0.0, which other machines can reach")


def test_an_unusable_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text("hello", encoding="ascii")
    assert_refused(
        tmp_path, r"the command line: tls\.cert is given without tls\.key; .*", "--tls-cert", "a.pem"
    )
    assert_refused(
        tmp_path, r"tls\.cert a\.pem is not a PEM certificate\.", "--tls-cert", "a.pem", "--tls-key", "a.pem"
    )


def test_a_broken_glossary_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "glossary.yaml").write_text("terms: 3\n", encoding="utf-8")
    done = forked.run("serve", "--set", "media.port=0", "--set", "engine.port=0", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("host-stt: the glossary cannot be used: ")
    assert "Traceback" not in done.stderr


def test_a_missing_named_model_ends_the_start_with_a_solution(tmp_path: Path) -> None:
    done = run(
        *("serve", "--set", "media.port=0", "--set", "engine.port=0", "--set", "engine.model=small"),
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert "host-stt model add FOLDER --name small" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


async def test_a_token_is_required_and_never_shown(tmp_path: Path) -> None:
    token = "tell-nobody-1234"
    options = ("--set", "auth.token=${DESK_TOKEN}", "--set", "log.level=debug", "--set", "media.host=0.0.0.0")
    with Server(tmp_path, *options, DESK_TOKEN=token) as server:
        server.wait_ready()
        assert (await server.get("/api/sessions"))[0] == 401
        assert (await server.get("/api/sessions", Authorization=f"Bearer {token}"))[0] == 200
        assert (await server.get(f"/api/sessions?token={token}"))[0] == 200
        for process in (psutil.Process(server.process.pid), *server.children()):
            assert token not in " ".join(process.cmdline())
        server.stop()
        assert token not in "\n".join([*server.out, *server.err])


async def test_the_two_servers_run_as_separate_commands(tmp_path: Path) -> None:
    with Server(tmp_path, command_name="engine") as engine:
        port = engine.wait_for(r"the engine listens on http://127\.0\.0\.1:(\d+)", lambda s: s.err)[1]
        with Server(tmp_path, "--set", f"engine.port={port}", command_name="media") as media:
            media.wait_ready()
            assert media.children() == []
            done = run("job", "list", "--server", f"http://127.0.0.1:{port}", cwd=tmp_path)
            assert (done.returncode, done.stdout) == (2, "")
            assert f"http://127.0.0.1:{port} is not the media server of host-stt" in done.stderr
            missing = run("job", "show", "j_000000000000", "--server", media.url, cwd=tmp_path)
            assert missing.stderr == "host-stt: there is no job 'j_000000000000'\n"
            media.stop()
            assert media.process.returncode == 0
        assert engine.stop() < 8
        assert engine.process.returncode == 0


def test_a_stop_while_the_model_still_loads_is_quick(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        assert server.url
        began_s = time.monotonic()
        server.stop()
        assert time.monotonic() - began_s < 8
        assert server.process.returncode == 0
