from __future__ import annotations

import io
import json
from dataclasses import replace
from itertools import pairwise

import srt
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st

from host_stt.contract import SAMPLE_RATE, Segment, Task, Word
from host_stt.files.formats import (
    CUE_CHARS_MAX,
    CUE_S_MAX,
    Format,
    Part,
    Recording,
    cues,
    written,
)


def part(text: str, start_s: float, word_s: float = 0.3, language: str = "en") -> Part:
    """Words of equal length, one after another."""
    words, at = [], round(start_s * SAMPLE_RATE)
    for word in text.split():
        words.append(Word(word, at, at + round(word_s * SAMPLE_RATE), 0.9))
        at = words[-1].end_sample
    first = round(start_s * SAMPLE_RATE)
    return Part(Segment(text, first, at, -0.1, 0.01, 1.0, tuple(words)), language, first)


def recording(*parts: Part, seconds: float = 60) -> Recording:
    return Recording(tuple(parts), round(seconds * SAMPLE_RATE))


TWO = recording(part("alpha one, hold position.", 1.5), part("bravo two <copies> & waits --> here", 3661.25))


def test_independent_libraries_read_the_subtitles_with_the_same_content() -> None:
    first, second = srt.parse(written(TWO, Format.SRT))
    assert (first.index, first.content, first.start.total_seconds()) == (1, "alpha one, hold position.", 1.5)
    assert (second.index, second.start.total_seconds()) == (2, 3661.25)
    assert second.content == "bravo two <copies> & waits -> here"
    one, two = webvtt.from_buffer(io.StringIO(written(TWO, Format.VTT))).captions
    assert (one.start, one.end, one.text) == ("00:00:01.500", "00:00:02.700", "alpha one, hold position.")
    assert two.start == "01:01:01.250"
    assert "&lt;copies&gt; &amp; waits --&gt; here" in written(TWO, Format.VTT)


def test_a_translation_from_a_script_without_spaces_has_spaces() -> None:
    parts = [part("come in.", 0, language="ja"), part("stop.", 5, language="ja")]
    transcript = json.loads(written(recording(*parts), Format.VERBOSE_JSON))
    assert (transcript["text"], transcript["language"]) == ("come in.stop.", "japanese")
    english = tuple(replace(one, task=Task.TRANSLATE) for one in parts)
    body = json.loads(written(Recording(english, 160_000, task=Task.TRANSLATE), Format.VERBOSE_JSON))
    assert (body["text"], body["language"]) == ("come in. stop.", "english")
    assert body["languages"] == [{"code": "ja"}]


def test_a_recording_without_speech_gives_an_empty_result_in_each_format() -> None:
    nothing = recording(seconds=3)
    assert written(nothing, Format.TEXT) == "\n"
    assert list(srt.parse(written(nothing, Format.SRT))) == []
    assert webvtt.from_buffer(io.StringIO(written(nothing, Format.VTT))).captions == []
    body = json.loads(written(nothing, Format.VERBOSE_JSON))
    assert (body["text"], body["segments"], body["duration"]) == ("", [], 3.0)


def test_verbose_json_has_the_fields_of_openai_with_times_in_seconds() -> None:
    assert json.loads(written(TWO, Format.JSON)) == {
        "text": "alpha one, hold position. bravo two <copies> & waits --> here",
        "languages": [{"code": "en"}],
        "usage": {"type": "duration", "seconds": 60},
    }
    body = json.loads(written(TWO, Format.VERBOSE_JSON, frozenset({"word", "segment"})))
    assert (body["task"], body["language"], body["duration"]) == ("transcribe", "english", 60.0)
    assert body["words"][0] == {"word": "alpha", "start": 1.5, "end": 1.8, "probability": 0.9}
    assert body["segments"][1]["seek"] == 366_125
    assert set(body["segments"][0]) >= {
        *("id", "seek", "start", "end", "text", "tokens", "temperature", "avg_logprob"),
        *("compression_ratio", "no_speech_prob"),
    }
    assert "words" not in json.loads(written(TWO, Format.VERBOSE_JSON))
    assert "segments" not in json.loads(written(TWO, Format.VERBOSE_JSON, frozenset({"word"})))


def test_the_language_is_the_one_spoken_longest() -> None:
    mixed = recording(part("one two", 0), part("하나 둘 셋 넷", 2, language="ko"))
    assert json.loads(written(mixed, Format.VERBOSE_JSON))["language"] == "korean"
    assert json.loads(written(mixed, Format.JSON))["languages"] == [{"code": "ko"}, {"code": "en"}]
    assert mixed.text == "one two 하나 둘 셋 넷"
    assert recording(part("一二", 0, language="zh"), part("三四", 2, language="zh")).text == "一二三四"


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.text("abc.?한", min_size=1, max_size=12), max_size=40), st.floats(0.05, 2)),
        max_size=6,
    )
)
def test_subtitles_are_short_and_in_order_and_contain_every_word(
    spoken: list[tuple[list[str], float]],
) -> None:
    parts, at_s = [], 0.0
    for words, word_s in spoken:
        if words:
            parts.append(part(" ".join(words), at_s, word_s))
            at_s += len(words) * word_s + 0.5
    found = cues(recording(*parts))
    assert " ".join(cue.text for cue in found).split() == [w for words, _ in spoken for w in words]
    for cue in found:
        assert len(cue.text) <= CUE_CHARS_MAX
        assert 0 < cue.end_s - cue.start_s <= CUE_S_MAX + 0.3
    assert all(a.end_s <= b.start_s for a, b in pairwise(found))
