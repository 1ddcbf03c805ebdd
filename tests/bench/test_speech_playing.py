"""Recordings played both ways: over WebRTC into a server, and through the pipeline alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.speech.clips import recordings_in
from bench.speech.line import Heard, heard
from bench.speech.live import LivePlayer
from bench.speech.noises import noises
from bench.speech.scoring import errors, time_errors
from bench.speech.stepped import Stepper, speech_settings
from host_stt.contract import Answer, Transcript, Window
from host_stt.engines.fake import FakeEngine
from host_stt_cli.errors import StartError
from tests.support.recordings import write_wav
from tests.support.server import Server
from tests.support.speech import say_words
from tests.webrtc_host.speech.helpers import EngineTranscriber, S, script
from webrtc_host.speech.settings import SpeechConfig


class _Mishearing:
    """An unsure engine that hears one word wrong, unless a window is careful."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def decode(self, windows: Sequence[Window]) -> list[Answer]:
        return [
            self._heard(window, answer)
            for window, answer in zip(windows, self._engine.decode(windows), strict=True)
        ]

    @staticmethod
    def _heard(window: Window, answer: Answer) -> Answer:
        assert isinstance(answer, Transcript)
        if window.is_careful:
            return replace(answer, gain=0.1)
        segments = tuple(
            replace(
                segment,
                text=segment.text.replace("seven", "eleven"),
                words=tuple(
                    replace(word, text=word.text.replace("seven", "eleven")) for word in segment.words
                ),
            )
            for segment in answer.segments
        )
        return replace(answer, segments=segments, avg_logprob=-0.6)


PHRASE = "alpha one proceed to gate seven and hold there"


def spoken(folder: Path) -> Path:
    """A folder with one English recording: the phrase, without silence around it."""
    (folder / "en").mkdir(parents=True)
    write_wav(folder / "en" / "en-read-phrase.wav", say_words(PHRASE).samples)
    (folder / "en" / "en-read-phrase.txt").write_text(PHRASE, encoding="utf-8")
    return folder


def bounds_of_speech(line: Heard) -> tuple[int, int]:
    loud = np.flatnonzero(np.abs(line.samples) > 0.02)
    return int(loud[0]), int(loud[-1])


async def test_the_pipeline_alone_gives_the_lines_of_a_recording_on_its_own_time(tmp_path: Path) -> None:
    (recording,) = recordings_in(spoken(tmp_path))
    words = say_words(PHRASE).words
    engine = EngineTranscriber(FakeEngine(script(words, S)))  # the recording begins 1 s after the channel
    played = await Stepper(engine, SpeechConfig(), has_interims=True).play(recording, "en")
    assert played.text == PHRASE
    (line,) = played.lines
    assert abs(line.end_ms - words[-1][2] / 16) < 200
    hangover_ms = SpeechConfig().endpointing.hangover_ms
    assert hangover_ms <= line.at_ms - line.end_ms < hangover_ms + 400, "text waits for audio alone"
    assert len(played.utterances) == 1 and played.late == 0 and played.failed == 0


async def test_without_interims_only_finals_are_asked(tmp_path: Path) -> None:
    (recording,) = recordings_in(spoken(tmp_path))
    engine = EngineTranscriber(FakeEngine(script(say_words(PHRASE).words, S)))
    await Stepper(engine, SpeechConfig(), has_interims=False).play(recording, "en")
    assert [window.priority.is_final for window in engine.windows] == [True]


async def test_the_review_without_a_server_revises_what_a_careful_window_hears_better(tmp_path: Path) -> None:
    (recording,) = recordings_in(spoken(tmp_path))
    engine = EngineTranscriber(_Mishearing(FakeEngine(script(say_words(PHRASE).words, S))))
    stepper = Stepper(engine, SpeechConfig(), has_interims=False, has_review=True)
    played = await stepper.play(recording, "en")
    assert played.text == PHRASE.replace("seven", "eleven")
    assert played.reviewed_text == PHRASE
    assert [window.is_careful for window in engine.windows if window.known_text] == [False, True]
    careful = engine.windows[-1]
    (line,) = played.lines
    assert careful.start_sample <= S + line.start_ms * 16 - S // 4, "with the silence around the line"


async def test_with_opus_the_channel_hears_the_audio_after_the_codec(tmp_path: Path) -> None:
    (recording,) = recordings_in(spoken(tmp_path))
    plain, coded = heard(recording), heard(recording, opus_kbps=32)
    assert coded.lead_samples == plain.lead_samples == S
    (begins, ends), (coded_begins, coded_ends) = map(bounds_of_speech, (plain, coded))
    assert abs(coded_begins - begins) < S // 50 and abs(coded_ends - ends) < S // 50
    speech = coded.samples[begins:ends]
    assert not np.array_equal(speech, plain.samples[begins:ends]), "a codec that loses nothing is none"
    # The codec delays audio by a constant time; the best match over 20 ms must be nearly the same audio.
    likeness = [np.corrcoef(speech[at:], plain.samples[begins : ends - at])[0, 1] for at in range(S // 50)]
    assert max(likeness) > 0.9


def test_generated_audio_passes_the_codec_too() -> None:
    (recording,) = noises(1)
    coded = heard(recording, opus_kbps=24)
    assert len(coded.samples) - recording.seconds * S >= 2 * S


def test_settings_of_speech_are_told_from_those_of_the_engine() -> None:
    config, rest = speech_settings(["speech.endpointing.hangover_ms=800", "engine.beam_size=5"])
    assert config.endpointing.hangover_ms == 800
    assert rest == ["engine.beam_size=5"]
    with pytest.raises(StartError, match="hangover_ms is 1"):
        speech_settings(["speech.endpointing.hangover_ms=1"])
    with pytest.raises(StartError, match="names no setting"):
        speech_settings(["speech.hangover_ms=500"])


@pytest.mark.net
@pytest.mark.peer
@pytest.mark.model
@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_server_is_played_to_over_webrtc_and_its_lines_are_found(tmp_path: Path) -> None:
    recordings = recordings_in(spoken(tmp_path / "audio"))
    with Server(tmp_path) as server:
        server.wait_ready()
        played = await LivePlayer(server.url, "", channels=1).play([*recordings, *recordings], ["en", "en"])
    assert len(played) == 2
    for one in played:
        assert errors(PHRASE, one.text, "de").rate < 0.5, one.text
        assert one.failed == 0
    assert time_errors(played)["start_ms"]["p50"] < 1000
