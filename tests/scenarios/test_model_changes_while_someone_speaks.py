"""`host-stt model use` while a channel speaks: the engine restarts, and no word is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from host_stt.config import EngineConfig
from host_stt_cli.config_writer import write_model
from host_stt_cli.engine_restart import request_restart
from tests.scenarios.voices import SocketWatcher, Speakers, calling, of, said, wer
from tests.support.model_costs import add_starter_as, remember_cost
from tests.support.polling import until
from tests.support.server import Server
from tests.support.speech import padded, say

pytestmark = [pytest.mark.net, pytest.mark.peer, pytest.mark.model]

PHRASE = "alpha one proceed to gate seven over"
BACK_S = 90
"""To start a new engine and load its model on a busy machine."""


async def test_words_spoken_during_a_model_change_become_final(tmp_path: Path) -> None:
    config = EngineConfig(device="cpu", models_dir=tmp_path / "data" / "models")
    for name in ("base", "small"):
        remember_cost(config, add_starter_as(name, config.models_dir, tmp_path), 0.1)
    (tmp_path / "config").mkdir()
    file = tmp_path / "config" / "host-stt.yaml"
    file.write_text("engine:\n  model: base\n  device: cpu\n")
    with Server(tmp_path, model=None) as server:
        server.wait_ready()
        (engine,) = server.children()
        speakers = Speakers([padded(say(PHRASE), 0.5, 0)])
        socket = SocketWatcher()
        async with calling(speakers) as http:
            await socket.open(http, server.url, since="0")
            await speakers.connect(http, server.url, channels=[{"language": "en"}])
            await until(lambda: of(socket.events, "speech.started"), 60, "speech")
            # As `model use` does it; the command takes longer to start than the phrase lasts.
            write_model(file, "small")
            said_by_server = await asyncio.to_thread(request_restart, tmp_path / "data")
            assert "the engine is restarted with engine.model: small" in (said_by_server or "")
            await until(lambda: of(socket.events, "segment.final"), BACK_S, "the final")
            await until(lambda: len(server.children()) == 1, BACK_S, "the new engine")
            assert [child.pid for child in server.children()] != [engine.pid]
            server.wait_for(r"Model +small on cpu int8")
            assert wer(PHRASE, said(socket.events)) <= 0.2
            assert not of(socket.events, "window.failed")
            await socket.leave()
