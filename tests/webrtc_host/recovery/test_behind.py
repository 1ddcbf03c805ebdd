"""Finals that the engine leaves for later during overload get their text when it has room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from host_stt.contract import Answer, Priority, Window, WindowError
from tests.support.polling import until
from tests.support.speech import say, silence
from tests.webrtc_host.recovery.crashing import (
    BUSY_BOX_S,
    LONG,
    SHORT,
    a_server,
    archived,
    assert_whole,
    events_of,
    of,
    of_log,
    recovered,
    speak,
    word_per_half_second,
)
from tests.webrtc_host.speech.engine_server import EngineServer, engine_server
from webrtc_host.recovery import service
from webrtc_host.seams import ChannelState

pytestmark = pytest.mark.slow


def only_background(window: Window) -> Answer | None:
    """An engine that does not get to live finals."""
    return None if window.priority is Priority.FINAL else word_per_half_second(window)


async def leave_finals_for_later(engine: EngineServer) -> None:
    """What 8081 does with finals that have waited longer than their limit."""
    for window in [window for window in engine.windows if window.priority is Priority.FINAL]:
        assert window.start_within_ms == 8000, "the archive has the audio"
        message = "newer speech is decoded first"
        await engine.answer(WindowError(window.id, "behind", message, is_retryable=False))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(SHORT, id="one window"),
        pytest.param(LONG[: len(LONG) // 2], marks=pytest.mark.long, id="several windows"),
    ],
)
async def test_a_final_left_for_later_gets_its_text_at_its_true_time(tmp_path: Path, text: str) -> None:
    audio = np.concatenate([silence(0.5), say(text), silence(1.0)])
    async with engine_server(only_background) as engine, a_server(tmp_path, engine) as desk:
        session = desk.session
        channel = await speak(desk, audio)
        await until(lambda: of_log(session, "speech.ended"), BUSY_BOX_S)
        await archived(desk, channel)
        await until(lambda: session.now_sample() > len(audio), BUSY_BOX_S)  # as with live audio
        await leave_finals_for_later(engine)
        await until(lambda: channel.state is ChannelState.BEHIND, BUSY_BOX_S)
        await until(lambda: of_log(session, "segment.final"), BUSY_BOX_S)
        await recovered(desk)
        events = await events_of(desk, session.id)
        assert_whole(events, audio)
        assert {failed["code"] for failed in of(events, "window.failed")} == {"behind"}
        assert {final["source"] for final in of(events, "segment.final")} == {"recovery"}
        states = {(run.state.value, run.reason) for run in channel.coverage.runs()}
        assert states <= {("silence", None), ("transcribed", None)}, "nothing stays failed"


async def test_finals_that_found_the_queue_full_are_read_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "FAILED_WAITING_MAX", 1)
    audio = np.concatenate([silence(0.5), say(SHORT), silence(1.0)])
    async with engine_server(only_background) as engine, a_server(tmp_path, engine) as desk:
        session = desk.session
        for channel in ("C01", "C02", "C03"):
            await archived(desk, await speak(desk, audio, channel))
        await until(lambda: len(of_log(session, "speech.ended")) == 3, BUSY_BOX_S)
        await until(lambda: session.now_sample() > len(audio), BUSY_BOX_S)
        await leave_finals_for_later(engine)
        await until(
            lambda: {final["channel"] for final in of_log(session, "segment.final")} == {"C01", "C02", "C03"},
            BUSY_BOX_S,
        )
        await recovered(desk)
