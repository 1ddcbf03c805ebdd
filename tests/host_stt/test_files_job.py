from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from host_stt.config import EngineConfig
from host_stt.contract import AUTO, SAMPLE_RATE, Answer, Priority, RequestError, Segment, Transcript, Window
from host_stt.engines.base import EngineError
from host_stt.engines.fake import FakeEngine
from host_stt.files.config import FilesConfig
from host_stt.files.job import FileJob, FileOptions, transcribe
from host_stt.service import EngineService
from tests.support.engine_process import fake_backend
from tests.support.polling import until
from tests.support.recordings import spoken_phrases, write_wav
from tests.support.windows import window

CONFIG = FilesConfig(pause_samples=SAMPLE_RATE // 2, retry_pause_s=0.01, in_flight=3)
PHRASES = ["alpha one hold position", "bravo two copies", "charlie three turn south"] * 2


class Clerk(FakeEngine):
    """Answers with where the window began; fails on those that begin in `fails_s` so many times."""

    def __init__(self, fails: int = 0, *, after_s: float = 0.0) -> None:
        super().__init__()
        self.windows: list[Window] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self._fails_left = fails
        self._after_s = after_s

    def decode(self, windows: Sequence[Window]) -> list[Answer]:
        self.may_go_on.wait(20)
        return [self._answer(one) for one in windows]

    def _answer(self, one: Window) -> Answer:
        if one.channel == "warm-up":
            return super().decode([one])[0]
        self.windows.append(one)
        at_s = one.start_sample / SAMPLE_RATE
        if self._fails_left and at_s >= self._after_s:
            self._fails_left -= 1
            raise EngineError("told to fail")
        end = one.start_sample + len(one.samples)
        segment = Segment(f"at {at_s:.0f}", one.start_sample, end, -0.1, 0.0, 1.0)
        return Transcript(one.id, (segment,), "en", 1.0, -0.1, 0.0, 1.0)


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, int]:
    samples, _ = spoken_phrases(PHRASES)
    return write_wav(tmp_path / "a.wav", samples), len(samples)


async def ready(engine: FakeEngine) -> EngineService:
    service = EngineService(EngineConfig(stop_grace_s=1, batch_max=1), fake_backend(engine))
    service.start()
    await until(lambda: service.state.now.is_ready)
    return service


def queued(service: EngineService) -> int:
    """Windows of files that wait."""
    statistics = service.statistics()
    assert statistics is not None
    return statistics.queue.background


async def test_windows_have_background_priority_and_results_are_in_order(recorded: tuple[Path, int]) -> None:
    engine = Clerk()
    service = await ready(engine)
    heard: list[float] = []
    job = FileJob(recorded[0], FileOptions("ko", ("alpha",), "as before"), service, CONFIG)
    recording = await transcribe(job, lambda done_s, announced_s: heard.append(done_s))
    service.stop()
    assert recording.duration_samples == recorded[1]
    assert len(recording.parts) == len(PHRASES)
    starts = [part.segment.start_sample for part in recording.parts]
    assert starts == sorted(starts)
    assert heard == sorted(heard)
    for one in engine.windows:
        assert (one.priority, one.language) == (Priority.BACKGROUND, "ko")
        assert (one.terms, one.history) == (("alpha",), "as before")


class Misled(Clerk):
    """Takes every window for Japanese, unless it is told the language."""

    def _answer(self, one: Window) -> Answer:
        answer = super()._answer(one)
        assert isinstance(answer, Transcript)
        return replace(answer, language="ja" if one.language == AUTO else one.language)


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (FileOptions(languages=("ko", "en")), {AUTO, "ko"}),
        (FileOptions(languages=("ko",)), {"ko"}),
        (FileOptions(languages=("fr", "ko")), {"ko"}),  # the model has no French
        (FileOptions("en", languages=("ko",)), {"en"}),
    ],
)
async def test_a_language_that_the_caller_ruled_out_is_not_in_the_result(
    recorded: tuple[Path, int], options: FileOptions, asked: set[str]
) -> None:
    engine = Misled()
    service = await ready(engine)
    recording = await transcribe(FileJob(recorded[0], options, service, CONFIG))
    service.stop()
    assert {one.language for one in engine.windows} == asked
    assert recording.languages == sorted(asked - {AUTO})
    assert len(recording.parts) == len(PHRASES)


async def test_the_number_of_windows_in_the_engine_is_limited(recorded: tuple[Path, int]) -> None:
    engine = Clerk()
    service = await ready(engine)
    engine.may_go_on.clear()
    work = asyncio.create_task(transcribe(FileJob(recorded[0], FileOptions(), service, CONFIG)))
    waiting = 0
    for _ in range(60):
        await asyncio.sleep(0.02)
        statistics = service.statistics()
        assert statistics is not None
        waiting = max(waiting, statistics.queue.background + statistics.busy_replicas)
    engine.may_go_on.set()
    await work
    service.stop()
    assert waiting == CONFIG.in_flight


async def test_a_final_is_decoded_before_the_windows_of_a_file(recorded: tuple[Path, int]) -> None:
    engine = Clerk()
    service = await ready(engine)
    engine.may_go_on.clear()
    work = asyncio.create_task(transcribe(FileJob(recorded[0], FileOptions(), service, CONFIG)))
    await until(lambda: queued(service) >= 2)
    service.submit(window("live", samples=np.ones(SAMPLE_RATE, np.int16)), "live", lambda answer: None)
    engine.may_go_on.set()
    await work
    service.stop()
    # One window of the file may be in the engine's hands by then.
    assert [one.id for one in engine.windows].index("live") <= 1


async def test_a_window_that_fails_once_is_tried_again(recorded: tuple[Path, int]) -> None:
    service = await ready(Clerk(fails=1, after_s=3))
    recording = await transcribe(FileJob(recorded[0], FileOptions(), service, CONFIG))
    service.stop()
    assert len(recording.parts) == len(PHRASES)


async def test_a_window_that_fails_twice_is_named_with_its_time_range(recorded: tuple[Path, int]) -> None:
    service = await ready(Clerk(fails=1000, after_s=3))
    with pytest.raises(
        RequestError, match=r"could not be transcribed from 0:00:0\d to 0:00:\d\d: the engine failed"
    ):
        await transcribe(FileJob(recorded[0], FileOptions(), service, CONFIG))
    left = queued(service)
    service.stop()
    assert left == 0


async def test_a_cancelled_job_removes_its_windows_from_the_queue(recorded: tuple[Path, int]) -> None:
    engine = Clerk()
    service = await ready(engine)
    job = FileJob(recorded[0], FileOptions(), service, CONFIG)
    async with aclosing(job.stretches()) as stretches:
        async for stretch in stretches:
            assert stretch.parts[0].segment.text == "at 1"
            break
    decoded = len(engine.windows)
    await asyncio.sleep(0.1)
    left = queued(service)
    service.stop()
    assert left == 0
    assert len(engine.windows) <= decoded + 1


async def test_a_job_is_refused_while_the_engine_is_not_ready(tmp_path: Path) -> None:
    service = EngineService(EngineConfig(), fake_backend(FakeEngine()))
    with pytest.raises(RequestError) as error:
        FileJob(tmp_path / "none", FileOptions(), service)
    assert (error.value.code, error.value.status) == ("not_ready", 503)


async def test_a_language_that_the_model_does_not_know_is_refused_before_reading(tmp_path: Path) -> None:
    service = await ready(FakeEngine())
    known = r"does not have the language french \(fr\); it has en \(english\), ko \(korean\)"
    with pytest.raises(RequestError, match=known):
        FileJob(tmp_path / "none", FileOptions("fr"), service)
    service.stop()
