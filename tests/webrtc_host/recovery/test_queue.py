"""The queue of jobs takes failed windows one by one, also after one of them fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.peers import Rig
from tests.support.polling import until
from tests.webrtc_host.recovery.stored import failed
from webrtc_host.recovery.failed_windows import FailedWindows
from webrtc_host.recovery.service import RecoveryService
from webrtc_host.transcript.database import MEMORY
from webrtc_host.transcript.event_log import EventLog
from webrtc_host.transcript.store import Store, StoreConfig


async def test_a_failed_window_of_a_removed_session_does_not_stop_the_queue(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    windows, store = FailedWindows(), Store(StoreConfig(Path(), MEMORY))
    unused: Any = None  # no window of this test reaches an engine
    service = RecoveryService(Rig().registry, store, None, unused, unused, failed=windows)
    log = EventLog("s_removed", capacity=10, now_ms=lambda: 0, listener=windows.observe)
    async with service.running():
        log.emit(failed("u_1", 0, 1000, "deadline").event)
        await until(lambda: "u_1 is not read again" in caplog.text)
        log.emit(failed("u_2", 0, 1000, "deadline").event)
        await until(lambda: "u_2 is not read again" in caplog.text)
    assert service.statistics()["feeds_failed"] == 0
