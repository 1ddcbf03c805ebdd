from __future__ import annotations

import logging
import time
import warnings
from datetime import datetime

import pytest
from aiohttp.multipart import parse_content_disposition

from host_stt_cli.logs import StrikeSecrets, set_up


def line_for(message: str, *args: object) -> str:
    record = logging.LogRecord("webrtc_host.desk.ws", logging.INFO, __file__, 1, message, args, None)
    return StrikeSecrets("media", "hush-hush").format(record)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Seoul"])
def test_a_line_begins_with_its_time_and_offset(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        record = logging.LogRecord("webrtc_host", logging.INFO, __file__, 1, "x", (), None)
        stamp = StrikeSecrets("media").format(record).split()[0]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert stamp.endswith("+00:00")
    assert abs(datetime.fromisoformat(stamp).timestamp() - record.created) < 0.002


def test_a_line_names_its_process_and_component() -> None:
    line = line_for("session=%s channel=%s opened", "s_1", "C03")
    assert line.endswith(" INFO    media webrtc_host.desk.ws: session=s_1 channel=C03 opened")


@pytest.mark.parametrize(
    "message",
    ["got hush-hush", "GET /ws?token=other&since=4", "Authorization: Bearer abc.def", "access_token=abc.def"],
)
def test_no_token_is_ever_written(message: str) -> None:
    line = line_for("%s", message)
    assert "***" in line
    for secret in ("hush-hush", "other", "abc.def"):
        assert secret not in line


def test_the_configured_level_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("engine", "warning")
    logging.getLogger("host_stt").info("quiet")
    logging.getLogger("host_stt").warning("loud")
    said = capsys.readouterr().err
    assert "quiet" not in said
    assert "loud" in said


def test_libraries_log_only_warnings_by_default() -> None:
    set_up("media", "info")
    assert not logging.getLogger("aiortc").isEnabledFor(logging.INFO)
    set_up("media", "debug")
    assert logging.getLogger("aiortc").isEnabledFor(logging.DEBUG)


def test_bytes_that_are_no_text_are_escaped() -> None:
    """A caller's bytes may stand in a line; the log's readers expect UTF-8."""
    assert line_for("from %s", "\udcd1 \ud800 한").endswith("from \\udcd1 \\ud800 한")


def test_headers_that_cannot_be_read_are_no_warnings_of_the_process() -> None:
    """Python writes each to stderr, past the log, with the caller's bytes, and keeps it for ever."""
    with warnings.catch_warnings(record=True) as warned:
        set_up("media", "info")
        parse_content_disposition('form-data; \udcd1name="x"')
        parse_content_disposition("form\udcff-data")
    assert warned == []
