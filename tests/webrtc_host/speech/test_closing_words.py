"""Closing words: an utterance whose text ends with "over" ends in its first silence."""

from __future__ import annotations

import numpy as np
import pytest

from host_stt.contract import EndReason, Segment, Transcript
from tests.support.polling import until
from tests.support.speech import say_words, silence
from tests.webrtc_host.speech.helpers import S
from tests.webrtc_host.speech.test_early_finals import CONFIG, fed
from webrtc_host.seams import EventType
from webrtc_host.speech.closing_words import ClosingWords
from webrtc_host.speech.endpointing import CLOSING_WORDS, EndpointingConfig

SPOKEN = say_words("alpha one hold at gate seven over")
HEAD = np.concatenate([silence(0.5), SPOKEN.samples])
PAUSE_S = 0.4
"""Over `early_final_ms`, under `hangover_ms`: only a closing word ends the utterance in it."""


def transcript(*texts: str) -> Transcript:
    segments = tuple(Segment(text, 0, S, -0.2, 0.0, 1.0) for text in texts)
    return Transcript("w1", segments, "en", 1.0, -0.2, 0.0, 1.0, EndReason.COMPLETE, "fake")


@pytest.mark.parametrize(
    ("texts", "is_end"),
    [
        (("Alpha one, hold at gate seven. Over.",), True),
        (("Hold at gate seven.", "OVER"), True),
        (("보고 끝, 이상.",), True),
        (("Over and out!",), True),
        (("Come over here.",), False),
        (("The game is rover",), False),
        ((), False),
    ],
)
def test_only_the_last_word_counts_without_case_and_punctuation(texts: tuple[str, ...], is_end: bool) -> None:
    assert ClosingWords(CLOSING_WORDS).end(transcript(*texts)) is is_end


def test_a_phrase_of_two_words_needs_both() -> None:
    words = ClosingWords(["standing by"])
    assert words.end(transcript("Bravo two, standing by."))
    assert not words.end(transcript("The bus drove by."))
    assert not words.end(transcript("by"))


def test_without_phrases_no_text_closes() -> None:
    assert not ClosingWords([]).end(transcript("Over."))


def test_a_closing_word_without_letters_is_refused() -> None:
    with pytest.raises(ValueError, match="closing_words has '!', which has no letter"):
        EndpointingConfig(closing_words=("over", "!"))


async def test_over_ends_the_utterance_before_the_hangover_does() -> None:
    async with fed(spoken=SPOKEN) as channel:
        await channel.feed(np.concatenate([HEAD, silence(PAUSE_S)]))
        await until(lambda: channel.finals == ["alpha one hold at gate seven over"])
        (ended,) = channel.sink.of(EventType.SPEECH_ENDED)
        assert ended["rule"] == "closing_word"
        assert abs(ended["end_ms"] - len(HEAD) / S * 1000) < 150
        assert len(channel.engine.windows) == 1, "the early result is the final"
        await channel.feed(np.concatenate([silence(0.3), SPOKEN.samples, silence(PAUSE_S)]))
        await until(lambda: len(channel.sink.of(EventType.SPEECH_ENDED)) == 2)
    starts = [event["start_ms"] for event in channel.sink.of(EventType.SPEECH_STARTED)]
    assert starts[1] > ended["end_ms"], "the next speech is an utterance of its own"


async def test_speech_that_continues_before_the_text_is_there_stays_one_utterance() -> None:
    async with fed(spoken=SPOKEN) as channel:
        channel.engine.may_decode.clear()
        await channel.feed(np.concatenate([HEAD, silence(0.3)]))
        await until(lambda: len(channel.engine.windows) == 1)
        await channel.feed(SPOKEN.samples)
        channel.engine.may_decode.set()
        await until(lambda: channel.sink.of(EventType.SEGMENT_INTERIM) != [])
        assert channel.sink.of(EventType.SPEECH_ENDED) == []
    assert len(channel.sink.of(EventType.SPEECH_ENDED)) == 1


async def test_without_closing_words_the_hangover_is_waited_for() -> None:
    config = CONFIG.model_copy(update={"endpointing": EndpointingConfig(closing_words=())})
    async with fed(config, spoken=SPOKEN) as channel:
        await channel.feed(np.concatenate([HEAD, silence(PAUSE_S)]))
        await until(lambda: channel.sink.of(EventType.SEGMENT_INTERIM) != [])
        assert channel.sink.of(EventType.SPEECH_ENDED) == []
        await channel.feed(silence(0.4))
        await until(lambda: channel.finals == ["alpha one hold at gate seven over"])
        (ended,) = channel.sink.of(EventType.SPEECH_ENDED)
        assert ended["rule"] == "hangover"


async def test_when_the_packets_stop_the_last_words_are_decoded_at_once() -> None:
    endpointing = EndpointingConfig(no_packets_ms=30_000, closing_words=())
    async with fed(CONFIG.model_copy(update={"endpointing": endpointing})) as channel:
        await channel.feed(HEAD)
        await until(lambda: channel.sink.of(EventType.SEGMENT_INTERIM) != [])
        assert channel.pipeline.statistics().early_sent == 1
        assert channel.sink.of(EventType.SPEECH_ENDED) == []


async def test_over_and_the_release_of_the_key_end_the_utterance_without_any_silence() -> None:
    endpointing = EndpointingConfig(no_packets_ms=30_000)
    async with fed(CONFIG.model_copy(update={"endpointing": endpointing}), spoken=SPOKEN) as channel:
        await channel.feed(HEAD)
        await until(lambda: channel.finals == ["alpha one hold at gate seven over"])
        (ended,) = channel.sink.of(EventType.SPEECH_ENDED)
        assert ended["rule"] == "closing_word"
