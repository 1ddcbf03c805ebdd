"""Windows of jobs go to the engine behind live speech, and wait for an engine as long as it takes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from host_stt.contract import Transcript, Window
from tests.support.windows import window
from webrtc_host.errors import EngineError
from webrtc_host.jobs import pacing
from webrtc_host.jobs.pacing import IN_FLIGHT, PacedTranscriber


@dataclass
class Engine:
    """decode_ms: what each result says. errors: raised first, in order."""

    decode_ms: int = 0
    errors: list[EngineError] = field(default_factory=list)
    held: asyncio.Event | None = None
    begun: list[float] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def transcribe(self, window: Window) -> Transcript:
        self.begun.append(asyncio.get_running_loop().time())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0)
            if self.held is not None:
                await self.held.wait()
            if self.errors:
                raise self.errors.pop(0)
        finally:
            self.at_once -= 1
        return Transcript(window.id, (), "en", 1.0, 0.0, 0.0, 1.0, decode_ms=self.decode_ms)


async def test_without_live_speech_several_windows_are_in_the_engine() -> None:
    engine = Engine(decode_ms=60_000)
    paced = PacedTranscriber(engine, lambda: False, 0.05)
    await asyncio.gather(*(paced.transcribe(window(f"w{n}")) for n in range(12)))
    assert engine.most_at_once == IN_FLIGHT


async def test_beside_live_speech_one_window_at_a_time_with_pauses() -> None:
    engine = Engine(decode_ms=10)
    paced = PacedTranscriber(engine, lambda: True, 0.1)
    await asyncio.gather(*(paced.transcribe(window(f"w{n}")) for n in range(4)))
    assert engine.most_at_once == 1
    pauses = [later - earlier for earlier, later in zip(engine.begun, engine.begun[1:], strict=False)]
    assert min(pauses) >= 0.09, "10 ms of decoding are a tenth of the engine's time"


async def test_beside_open_channels_one_window_at_a_time_without_pauses() -> None:
    engine = Engine(decode_ms=600_000)
    paced = PacedTranscriber(engine, lambda: False, 0.05, has_channels=lambda: True)
    await asyncio.gather(*(paced.transcribe(window(f"w{n}")) for n in range(4)))
    assert engine.most_at_once == 1


async def test_a_pause_ends_when_the_live_speech_ends() -> None:
    is_live = True
    engine = Engine(decode_ms=3_600_000)
    paced = PacedTranscriber(engine, lambda: is_live, 0.5)
    await paced.transcribe(window("w1"))
    second = asyncio.create_task(paced.transcribe(window("w2")))
    await asyncio.sleep(0.1)
    assert not second.done()
    is_live = False
    async with asyncio.timeout(5):
        await second


async def test_a_window_waits_for_an_engine_and_is_given_up_when_the_engine_cannot_decode_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pacing, "RETRY_S", 0)
    engine = Engine(errors=[EngineError("unreachable", "no engine")] * 10)
    paced = PacedTranscriber(engine, lambda: False, 0.05)
    assert (await paced.transcribe(window("w1"))).id == "w1"
    engine.errors = [EngineError("engine_failed", "broken", is_retryable=True)] * 5
    with pytest.raises(EngineError):
        await paced.transcribe(window("w2"))
    assert len(engine.errors) == 2, "three tries"
    engine.errors = [EngineError("unknown_language", "no such language")]
    with pytest.raises(EngineError):
        await paced.transcribe(window("w3"))
