"""A caller cannot forge a log line, and invalid bytes of a caller cause no traceback."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from host_stt_cli.logs import StrikeSecrets
from tests.security.ports import PORTS, TOKEN, head, running, status_of

FAKE = "2026-11-29T00:00:00.000+00:00 INFO engine FAKE"


def line_of(message: str, *args: object, error: Exception | None = None) -> str:
    record = logging.LogRecord("a", logging.INFO, "a.py", 1, message, args, None)
    if error is not None:
        record.exc_info = (type(error), error, error.__traceback__)
    return StrikeSecrets("media").format(record)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"])
def test_a_line_of_the_log_is_one_line(end: str) -> None:
    assert len(line_of("asked for %s", f"x{end}{FAKE}").splitlines()) == 1


def test_no_caller_colours_the_terminal_or_turns_its_text() -> None:
    assert line_of("asked for %s", "\x1b[2J\u202egnp\x9b").endswith(r"asked for \x1b[2J\u202egnp\x9b")


def test_an_error_text_cannot_begin_a_log_line() -> None:
    try:
        raise ValueError(f"bad field\n{FAKE}")
    except ValueError as error:
        first, *others = line_of("failed", error=error).splitlines()
    assert first.endswith("failed")
    assert others and all(line.startswith("  ") for line in others)
    assert FAKE in "\n".join(others)


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("path", ["/x%0a2026-11-29T00:00:00.000%20INFO%20engine%20FAKE", "/ready%0d%0aFAKE"])
async def test_an_odd_token_is_401_and_an_odd_path_is_logged_as_it_came(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, port: str, path: str
) -> None:
    caplog.set_level(logging.DEBUG)
    bad = head("GET", path, "Connection: close").replace(
        b"\r\n\r\n", b"\r\nAuthorization: Bearer \xff\xfe\r\n\r\n"
    )
    known = head("GET", "/metrics", "Connection: close").replace(
        b"\r\n\r\n", b"\r\nAuthorization: Bearer \xff\xfe\r\n\r\n"
    )
    async with running(port, tmp_path) as server:
        assert status_of(await server.ask(bad)) in (401, 404)
        assert status_of(await server.ask(known)) == 401
        assert status_of(await server.ask(head("GET", path, "Connection: close", token=TOKEN))) == 404
        await asyncio.sleep(0)  # the access log is written after the answer
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert not [r for r in caplog.records if "\nFAKE" in r.getMessage() or "\n2026" in r.getMessage()]
