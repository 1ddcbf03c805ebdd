"""A real PostgreSQL for the tests: a private data folder, a unix socket, no TCP port, a database per test.

The server starts at the first use and stops with the test run. PostgreSQL refuses to run as root; root
starts it as the user `postgres` of its package.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg

from tests.support.polling import until_blocking
from webrtc_host.transcript.database import open_database

START_S = 60.0
PACKAGED = Path("/usr/lib/postgresql")

_numbers = itertools.count(1)


def is_installed() -> bool:
    return _binaries() is not None


def a_database() -> str:
    """The URL of a new record without rows, made once by the migrations and then copied."""
    return _create(f"record_{next(_numbers)}", template=_empty_record())


def an_empty_database() -> str:
    """The URL of a new database without tables."""
    return _create(f"record_{next(_numbers)}")


class Server:
    def __init__(self, binaries: Path) -> None:
        self.binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="host-stt-postgres-"))
        self.user = "postgres"
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
            self._as = {"user": "postgres", "group": "postgres"}
        self._make()
        self.process = self._start()

    def address(self, database: str) -> str:
        return f"host={self.folder} user={self.user} dbname={database}"

    def _make(self) -> None:
        command = [
            str(self.binaries / "initdb"),
            "--pgdata",
            str(self.folder / "data"),
            "--username",
            self.user,
        ]
        options = ["--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-sync"]
        subprocess.run([*command, *options], check=True, capture_output=True, cwd=self.folder, **self._as)

    def _start(self) -> subprocess.Popen[bytes]:
        command = [str(self.binaries / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder)]
        # fsync off for speed: these tests do not test PostgreSQL's durability.
        settings = ["listen_addresses=", "fsync=off", "shared_buffers=16MB", "max_connections=50"]
        options = [part for setting in settings for part in ("-c", setting)]
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen([*command, *options], cwd=self.folder, stderr=log, **self._as)
        atexit.register(self.stop)
        return process

    def wait(self) -> None:
        until_blocking(
            lambda: self.answers() or self.process.poll() is not None, START_S, "PostgreSQL answers"
        )
        if self.process.poll() is not None:
            raise AssertionError((self.folder / "log").read_text(encoding="utf-8"))

    def answers(self) -> bool:
        try:
            psycopg.connect(self.address("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)  # an immediate stop: the data is not used again
            self.process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)


def _create(name: str, template: str = "template1") -> str:
    server = _server()
    with psycopg.connect(server.address("postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
    return f"postgresql://{server.user}@/{name}?host={server.folder}"


@functools.cache
def _empty_record() -> str:
    name = "record_empty"
    open_database(_create(name), _server().folder, 1).dispose()
    return name


@functools.cache
def _server() -> Server:
    binaries = _binaries()
    assert binaries is not None, "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    server = Server(binaries)
    server.wait()
    return server


def _binaries() -> Path | None:
    """The folder with the programs of the newest installed version."""
    found = sorted(PACKAGED.glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).parent if initdb else None
