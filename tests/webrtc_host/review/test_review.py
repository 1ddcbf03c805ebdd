"""The review with a whole server: archived audio, and an engine that hears better the second time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host_stt.contract import Answer, Priority, Segment, Transcript, Window
from tests.support.desk import Desk, a_config, running_desk
from tests.support.polling import until
from tests.support.speech import say, silence
from tests.webrtc_host.recovery.crashing import SHORT, archived, of_log, speak, word_per_half_second
from tests.webrtc_host.speech.engine_server import EngineServer, Reply
from webrtc_host.events import segment_revised
from webrtc_host.keys import REVIEW, SPEECH
from webrtc_host.review.service import TICK_S
from webrtc_host.session.session import Session

pytestmark = pytest.mark.slow

SPOKEN = np.concatenate([silence(0.5), say(SHORT), silence(1.0), say(SHORT), silence(1.5)])
"""Two utterances of one group."""
WRONG, RIGHT = "x3", "w3"
"""The live window writes the first one where the second one is spoken."""


class BetterTheSecondTime:
    """Decodes finals with one wrong word; a careful window of the same speech has the right one."""

    def __init__(self, gain: float) -> None:
        """gain: of careful windows over the live text."""
        self._gain = gain
        self._right: dict[int, Segment] = {}  # by its first sample: an utterance may be decoded twice

    def __call__(self, window: Window) -> Answer:
        answer = word_per_half_second(window)
        assert isinstance(answer, Transcript)
        if window.is_careful:
            return replace(answer, segments=tuple(self._right.values()), gain=self._gain)
        self._right |= {one.start_sample: one for one in answer.segments}
        return replace(answer, segments=tuple(_with_mistake(segment) for segment in answer.segments))


def _with_mistake(segment: Segment) -> Segment:
    words = tuple(replace(word, text=WRONG if word.text == RIGHT else word.text) for word in segment.words)
    return replace(segment, text=" ".join(word.text for word in words), words=words)


@asynccontextmanager
async def a_reviewing_server(
    folder: Path, *, is_starter: bool = False, gain: float = 0.02
) -> AsyncIterator[tuple[Desk, EngineServer]]:
    engine = EngineServer(BetterTheSecondTime(gain), ready={"is_starter": is_starter})
    await engine.start()
    try:
        config = a_config(
            folder,
            engine_url=engine.url,
            speech={"pipeline": {"interims_in_flight_max": 0}},
            review={"pause_s": 0.5},
            store={"url": ""},
        )
        async with running_desk(config, make_pipeline=None) as desk:
            yield desk, engine
    finally:
        await engine.kill()


async def spoken(desk: Desk, corrected: str = "") -> tuple[Session, dict[str, Any]]:
    """Speak, and wait for the final and the archived audio. corrected: an operator's text, right away."""
    session = desk.session
    channel = await speak(desk, SPOKEN)
    await until(lambda: len(of_log(session, "segment.final")) == 2)
    final = of_log(session, "segment.final")[0]
    if corrected:
        fields = {"old_text": final["text"], "text": corrected, "by": "operator"}
        session.log.emit(segment_revised("C01", final["segment"], 1, **fields))
    await archived(desk, channel)
    return session, final


def review_figures(desk: Desk) -> Any:
    review = desk.app[REVIEW]
    assert review is not None
    return review.figures


async def test_a_line_that_is_heard_better_with_more_speech_is_revised(tmp_path: Path) -> None:
    async with a_reviewing_server(tmp_path) as (desk, engine):
        session, final = await spoken(desk)
        await until(lambda: of_log(session, "segment.revised"))
        revised = of_log(session, "segment.revised")[
            0
        ]  # the engine of this test may change the other line too
        assert revised["segment"] == final["segment"] and revised["by"] == "review"
        assert revised["old_text"] == final["text"]
        assert WRONG in final["text"].split()
        # The engine of this test may hear one more word at the end of the longer audio.
        assert revised["text"] == revised["raw"]
        assert revised["text"].startswith(final["text"].replace(WRONG, RIGHT, 1))
        assert [word["text"] for word in revised["words"]] == revised["text"].split()
        assert all(final["start_ms"] <= word["start_ms"] <= final["end_ms"] for word in revised["words"])
        review = [window for window in engine.windows if window.known_text]
        assert [window.is_careful for window in review] == [False, True], "decoded in two ways"
        assert {window.priority for window in review} == {Priority.BACKGROUND}
        texts = [final["raw"] or final["text"] for final in of_log(session, "segment.final")]
        assert {window.known_text for window in review} == {" ".join(texts)}
        await desk.written()
        _, body = await desk.get(f"/api/sessions/{session.id}/segments")
        assert [line["text"] for line in body["segments"]][0] == revised["text"]
        assert body["segments"][0]["raw"] == revised["raw"]


async def test_a_line_that_an_operator_corrected_keeps_the_correction(tmp_path: Path) -> None:
    async with a_reviewing_server(tmp_path) as (desk, _):
        session, final = await spoken(desk, corrected="bravo")
        await until(lambda: review_figures(desk).groups)
        await session.log.settled()
        revisions = [one for one in of_log(session, "segment.revised") if one["segment"] == final["segment"]]
        assert [one["by"] for one in revisions] == ["operator"]


async def test_the_starter_model_is_not_asked_again(tmp_path: Path) -> None:
    async with a_reviewing_server(tmp_path, is_starter=True) as (desk, engine):
        await spoken(desk)
        review = desk.app[REVIEW]
        assert review is not None
        await until(lambda: review.statistics()["waiting"] == 0)
        assert review_figures(desk).groups == 0 and not any(window.is_careful for window in engine.windows)


async def test_a_single_sure_line_is_not_decoded_again(tmp_path: Path) -> None:
    async with a_reviewing_server(tmp_path) as (desk, engine):
        channel = await speak(desk, np.concatenate([silence(0.5), say(SHORT), silence(1.5)]))
        await until(lambda: of_log(desk.session, "segment.final"))
        await archived(desk, channel)
        review = desk.app[REVIEW]
        assert review is not None and review.statistics()["waiting"] == 0
        assert not any(window.is_careful for window in engine.windows)


async def test_a_text_that_is_less_likely_than_the_live_text_is_not_used(tmp_path: Path) -> None:
    async with a_reviewing_server(tmp_path, gain=-0.02) as (desk, _):
        session, _ = await spoken(desk)
        await until(lambda: review_figures(desk).skipped)
        assert review_figures(desk).groups == 1 and not of_log(session, "segment.revised")


async def test_the_second_window_of_a_group_waits_for_words_that_are_spoken_meanwhile(tmp_path: Path) -> None:
    async with a_reviewing_server(tmp_path) as (desk, engine):
        usual = engine.reply

        def is_held(window: Window) -> bool:
            return window.id == "live" or bool(window.known_text and not window.is_careful)

        engine.reply = lambda window: None if is_held(window) else usual(window)
        await spoken(desk)
        await until(lambda: any(window.known_text for window in engine.windows))
        [first] = [window for window in engine.windows if window.known_text]
        live = replace(first, id="live", known_text="", priority=Priority.FINAL)
        speaking = asyncio.create_task(desk.app[SPEECH].engine.transcribe(live))
        await until(lambda: engine.windows[-1].id == "live")
        await engine.answer(_answer(usual, first))
        await asyncio.sleep(2 * TICK_S)  # the review looks at the engine twice
        assert not any(window.is_careful for window in engine.windows)
        await engine.answer(_answer(usual, live))
        await speaking
        await until(lambda: any(window.is_careful for window in engine.windows))


def _answer(reply: Reply, window: Window) -> Answer:
    answer = reply(window)
    assert answer is not None
    return answer
