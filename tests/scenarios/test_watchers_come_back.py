"""Watchers that lose their connection while people speak, on a server with a token; and its log."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from tests.scenarios.voices import (
    SocketWatcher,
    Speakers,
    StreamWatcher,
    calling,
    has_all,
    of,
    said,
    stored,
    wer,
)
from tests.support.polling import until
from tests.support.server import Server
from tests.support.speech import padded, say

pytestmark = [pytest.mark.net, pytest.mark.peer, pytest.mark.model]

FIRST = "alpha one proceed to gate seven over"
SECOND = "bravo two hold at checkpoint three"
TOKEN = "wonderful-umbrella-77"
SPOKEN_S = 60


async def test_a_watcher_that_reconnects_with_its_last_seq_misses_no_event(tmp_path: Path) -> None:
    with Server(tmp_path, "--set", f"auth.token={TOKEN}", "--set", "log.level=info") as server:
        server.wait_ready()
        pause = padded(say(FIRST), 0.5, 4.0)
        speaker = Speakers([padded(say(FIRST), 0.5, 0)])
        later = Speakers([pause, padded(say(SECOND), 6.0, 0)], since=0)
        async with calling(speaker, later) as http:
            await refused_without_token(http, server.url)
            http.headers["Authorization"] = f"Bearer {TOKEN}"
            whole, socket, stream = SocketWatcher(), SocketWatcher(), StreamWatcher()
            await whole.open(http, server.url, since="0", token=TOKEN)
            await socket.open(http, server.url, since="0", token=TOKEN)
            await stream.open(http, server.url, since="0", token=TOKEN)
            await speaker.connect(http, server.url, channels=[{"channel": "C01", "language": "en"}])
            await until(lambda: of(stream.events, "speech.started"), SPOKEN_S, "speech")
            await socket.leave()
            await stream.leave()

            # Meanwhile the words of the first become final and two others begin to speak.
            await until(lambda: of(whole.events, "segment.final"), SPOKEN_S, "the first final")
            wishes = [{"channel": "C02", "language": "en"}, {"channel": "C03", "language": "en"}]
            await later.connect(http, server.url, channels=wishes)
            again, stream_again = SocketWatcher(), StreamWatcher()
            await again.open(http, server.url, since=str(stored(socket.events)[-1]["seq"]), token=TOKEN)
            await stream_again.open(http, server.url, last_event_id=stream.ids[-1], since="0", token=TOKEN)
            await until(lambda: of(whole.events, "segment.final", "C03"), SPOKEN_S, "the last final")
            final_seq = await later.hang_up(http, server.url)
            for events in (whole.events, again.events, stream_again.events):
                await until(partial(has_all, events, final_seq), 10, "the last event")

            everything = stored(whole.events)
            assert [event["seq"] for event in everything[:final_seq]] == list(range(1, final_seq + 1))
            assert stored(socket.events) + stored(again.events) == everything
            assert stored(stream.events) + stored(stream_again.events) == everything
            mine = [
                e for e in everything if e.get("channel") in ("C02", "C03", None) and e["seq"] <= final_seq
            ]
            assert [e for e in stored(later.events) if e["seq"] <= final_seq] == mine, "resumed from 0"
            assert wer(FIRST, said(everything, "C01")) <= 0.2
            assert wer(SECOND, said(everything, "C03")) <= 0.2
            for watcher in (whole, again, stream_again):
                await watcher.leave()
        words = {word for text in (FIRST, SECOND) for word in text.split() if len(word) > 4}
    log = "\n".join([*server.out, *server.err])
    assert "session s_" in log, "INFO was on"
    assert TOKEN not in log
    assert [word for word in words if word in log.lower()] == []


async def refused_without_token(http: aiohttp.ClientSession, url: str) -> None:
    async with http.post(f"{url}/offer", data=json.dumps({})) as response:
        assert response.status == 401
    watcher = SocketWatcher()
    await watcher.open(http, url)
    await until(lambda: watcher.close_code is not None)
    assert watcher.close_code == 4401
