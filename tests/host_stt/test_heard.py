"""The words of a decode and how sure the model was of them: from pieces, and from base with espeak-ng."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from host_stt.config import Device
from host_stt.engines.heard import Heard, HeardWord, heard_in
from host_stt.engines.loading import load
from host_stt.engines.options import WhisperOptions
from host_stt.engines.row_decoder import RowDecoder
from host_stt.engines.rows import SHORT_FRAMES, Plan, Row
from tests.support.speech import padded, say
from tests.support.windows import window


def test_words_are_made_of_pieces_and_marks_have_no_share_in_their_sureness() -> None:
    pieces = [(" Me", [-1.0]), ("dic", [-2.0]), (" 9", [-0.5]), (",", [-9.0]), (" over", [-0.1, -0.2])]
    assert heard_in(pieces).words == (
        HeardWord("Medic", (-1.0, -2.0)),
        HeardWord("9,", (-0.5,)),
        HeardWord("over", (-0.1, -0.2)),
    )


def test_a_term_is_as_sure_as_its_tokens_on_average() -> None:
    heard = heard_in([(" this", [-3.0]), (" Me", [-1.0]), ("dic", [-2.0]), (" 9", [-0.6])])
    assert heard.sureness(("Medic", "9")) == pytest.approx(-1.2)
    assert heard.sureness(("Medic", "8")) == -math.inf


def test_where_a_term_is_repeated_its_first_place_counts() -> None:
    first, again = HeardWord("Medic", (-2.0,)), HeardWord("Medic", (0.0,))
    assert Heard((first, again)).sureness(("Medic",)) == -2.0


@pytest.mark.model
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("language", "text"),
    [("en", "Stand by for further instructions."), ("ko", "지금 바로 정문 앞으로 이동해 주세요")],
)
def test_base_tells_the_probability_of_each_word_that_it_wrote(
    base_model: Path, language: str, text: str
) -> None:
    decoder = RowDecoder(load(base_model, Device.CPU, "int8", 1, 0), WhisperOptions())
    samples = padded(say(text, language), 0.4, 0.4)
    row = Row(0, window(samples=samples, language=language), samples, (), SHORT_FRAMES[0], Plan(1))
    [output] = decoder.generate([row], [language], decoder.encode([row]), has_logits=True)
    heard = decoder.heard(row, language, output)
    [decoded] = decoder.decode([row])
    assert heard.texts == decoded.result.text.split()
    # The alignment tells the probabilities too: averages over tokens, with the marks.
    assert len(decoded.words) == len(heard.words)
    unmarked = [pair for pair in zip(heard.words, decoded.words, strict=True) if pair[0].text.isalnum()]
    assert len(unmarked) >= 3
    for word, aligned in unmarked:
        average = sum(map(math.exp, word.logprobs)) / len(word.logprobs)
        assert average == pytest.approx(aligned.probability, abs=0.1)
