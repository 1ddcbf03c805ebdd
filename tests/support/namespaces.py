"""Network namespaces for three machines: a container, the host that publishes its port, and a client.

    container 10.91.1.2 ── 10.91.1.1 host 10.91.2.1 ── 10.91.2.2 client

The host forwards no packets; only a program on the host connects the client with the container.
With IPv6 alone there is no host between them: container fd91::2 ── fd91::1 client.
Needs root and Debian's iproute2; without them the tests that use it fail with a message.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.polling import until_blocking
from tests.support.server import ROOT

CONTAINER, HOST_INSIDE, HOST, CLIENT = "10.91.1.2", "10.91.1.1", "10.91.2.1", "10.91.2.2"
CLIENT_LATER = "10.91.2.3"
SERVER6, CLIENT6 = "fd91::2", "fd91::1"
END_S = 15.0


class Namespaces:
    def __init__(self) -> None:
        tag = f"stt{os.getpid()}"
        self.container, self.host, self.client = (f"{tag}-{name}" for name in ("c", "h", "u"))
        self.client_link = ""

    @contextlib.contextmanager
    def up(self) -> Iterator[Namespaces]:
        with self._made(self.container, self.host, self.client):
            self._wire(self.container, CONTAINER, self.host, HOST_INSIDE)
            self.client_link = self._wire(self.client, CLIENT, self.host, HOST)
            # So that packets to an unreachable address are lost, and are not refused at once.
            ip("-n", self.container, "route", "add", "default", "via", HOST_INSIDE)
            yield self

    @contextlib.contextmanager
    def up_ipv6(self) -> Iterator[Namespaces]:
        """Container and client alone, with no IPv4 address between them."""
        with self._made(self.container, self.client):
            self._wire(self.container, SERVER6, self.client, CLIENT6)
            yield self

    @contextlib.contextmanager
    def _made(self, *names: str) -> Iterator[None]:
        require("ip", "iproute2")
        made: list[str] = []
        try:
            for name in names:
                ip("netns", "add", name)
                made.append(name)
                ip("-n", name, "link", "set", "lo", "up")
            yield
        finally:
            for name in made:
                ip("netns", "del", name)

    def _wire(self, one: str, address: str, other: str, other_address: str) -> str:
        """Connect two namespaces; returns the name of the network interface in `one`."""
        tag = re.sub(r"[.:]", "", address)[-2:]
        ends = (f"v{tag}{os.getpid()}a"[:15], f"v{tag}{os.getpid()}b"[:15])
        ip("link", "add", ends[0], "netns", one, "type", "veth", "peer", "name", ends[1], "netns", other)
        for name, end, own in ((one, ends[0], address), (other, ends[1], other_address)):
            # Without `nodad` an IPv6 address cannot be bound to for its first second.
            mask = [f"{own}/64", "nodad"] if ":" in own else [f"{own}/24"]
            ip("-n", name, "address", "add", *mask, "dev", end)
            ip("-n", name, "link", "set", end, "up")
        return ends[0]

    @contextlib.contextmanager
    def client_unplugged(self) -> Iterator[None]:
        """Unplug the client's cable (its system notices); plug it in again with another address."""
        link = ("-n", self.client, "link", "set", self.client_link)
        ip(*link, "down")
        try:
            yield
        finally:
            ip("-n", self.client, "address", "del", f"{CLIENT}/24", "dev", self.client_link)
            ip("-n", self.client, "address", "add", f"{CLIENT_LATER}/24", "dev", self.client_link)
            ip(*link, "up")

    @contextlib.contextmanager
    def running(
        self, namespace: str, command: Sequence[str | Path], log: Path, until: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A program in a namespace; waits until its output holds `until`, and ends it with the block."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["ip", "netns", "exec", namespace, *map(str, command)],
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            until_blocking(
                lambda: until in log.read_text(errors="replace") or process.poll() is not None,
                90,
                f"{until!r} in the output of {command[0]}",
            )
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} did not start:\n{log.read_text(errors='replace')[-3000:]}")
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @contextlib.contextmanager
    def publishing(
        self, port: int, folder: Path, *, udp: bool = False, ice: bool = True
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The container's port on the host, by a program there."""
        command: list[str | Path] = [sys.executable, ROOT / "tests" / "support" / "publisher.py"]
        command += ["--listen", HOST, "--to", CONTAINER, "--port", str(port)]
        command += ["--udp"] * udp + ["--no-ice"] * (not ice)
        with self.running(self.host, command, folder / "publisher.log", "published") as process:
            yield process

    def inside(self, namespace: str, program: str, folder: Path) -> Path:
        """A program file that runs `program` in the namespace."""
        wrapper = folder / Path(program).name
        wrapper.write_text(f'#!/bin/sh\nexec ip netns exec {namespace} {program} "$@"\n', encoding="utf-8")
        wrapper.chmod(0o755)
        return wrapper


def media_command(settings: Mapping[str, object]) -> list[str]:
    """`host-stt media` with these settings, to be run in one of them."""
    command = [sys.executable, "-m", "host_stt_cli", "media"]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    return command


def require(program: str, package: str) -> None:
    """Fail, saying what is missing and how to get it."""
    if os.getuid() != 0:
        pytest.fail("network namespaces are made by root alone: run scripts/test as root")
    if shutil.which(program) is None:
        pytest.fail(f"there is no {program} here: apt-get install {package} (scripts/test does it as root)")


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"ip {' '.join(words)}: {done.stderr.strip()}")
