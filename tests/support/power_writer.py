"""A server's record alone, in a separate process that prints the events its watchers have received.

`python -m tests.support.power_writer FOLDER EVENTS`; to be watched by strace (tests/support/power_cut.py).
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.support.events import an_event
from webrtc_host.seams import EventType
from webrtc_host.transcript.event_log import LoggedEvent
from webrtc_host.transcript.saved_log import SavedLog
from webrtc_host.transcript.store import Store, StoreConfig

BURST = 5  # events emitted together; their groups are of every size below


def print_seen(event: LoggedEvent) -> None:
    if event.seq is not None:
        os.write(1, b"SEEN %d\n" % event.seq)


async def write(folder: Path, events: int) -> None:
    store = Store(StoreConfig(folder))
    await store.open()
    log = SavedLog("s_1", capacity=100, now_ms=lambda: 0, listener=print_seen, journal=store.journal)
    store.journal.add(log)
    log.emit(an_event(EventType.SESSION_STARTED, name="night", t0_wall="2026-11-21T06:10:01.234Z"))
    for number in range(1, events):
        ids = {"utterance": f"u_{number}", "segment": f"g_{number}"}
        text = f"alpha {number} proceed to gate seven " * 8
        log.emit(
            an_event(EventType.SEGMENT_FINAL, "C01", **ids, text=text, start_ms=number, end_ms=number + 1)
        )
        if number % BURST == 0:
            await log.settled()
    await log.settled()
    os._exit(0)  # without closing the record: that would sync its files


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), int(sys.argv[2])))
