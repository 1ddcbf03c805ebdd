"""Cues are read back by programs that others wrote; texts try to forge what stands around them."""

from __future__ import annotations

import io

import pytest
import srt
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from host_stt_common.subtitles import VTT_HEAD, srt_cue, vtt_cue

TRICKY = st.text(st.sampled_from("ab 0:,.<>&-\n\r\t\v\x1c\x85\u2028\u202e"), max_size=30)


def read_srt(text: str) -> list[srt.Subtitle]:
    return list(srt.parse(text))


def read_vtt(text: str) -> list[webvtt.Caption]:
    return list(webvtt.from_buffer(io.StringIO(VTT_HEAD + text, newline=None)).captions)


def test_a_cue_has_its_number_times_and_lines() -> None:
    assert srt_cue(7, 3_661_250, 3_662_000, "one\ntwo") == "7\n01:01:01,250 --> 01:01:02,000\none\ntwo\n\n"
    assert vtt_cue(5, 90, "one", identifier="g_1") == "g_1\n00:00:00.005 --> 00:00:00.090\none\n\n"


def test_hours_exceed_a_day_and_no_cue_has_a_length_of_zero() -> None:
    assert srt_cue(1, 90_000_000, 90_000_000, "x").splitlines()[1] == "25:00:00,000 --> 25:00:00,001"
    assert vtt_cue(10, 0, "x").splitlines()[0] == "00:00:00.010 --> 00:00:00.011"


@pytest.mark.parametrize(
    "name", ["C01 tower --", "<i>", "a & b", "x\n\n1\n00:00:01.000 --> 00:00:02.000\nfalse"]
)
def test_a_voice_stays_one_tag(name: str) -> None:
    (caption,) = read_vtt(vtt_cue(0, 900, "roger", identifier="g_1", voice=name))
    assert caption.text == "roger"
    assert caption.raw_text.count("<") == 1 and caption.raw_text.startswith("<v ")


@given(st.lists(st.tuples(TRICKY, TRICKY), min_size=1, max_size=5))
def test_all_written_cues_are_read_again(said: list[tuple[str, str]]) -> None:
    texts = [(f"v{voice}", f"t{text}") for voice, text in said]
    subtitles = read_srt(
        "".join(srt_cue(n + 1, 1000 * n, 1000 * n + 900, text) for n, (_, text) in enumerate(texts))
    )
    captions = read_vtt(
        "".join(vtt_cue(1000 * n, 1000 * n + 900, text, voice=voice) for n, (voice, text) in enumerate(texts))
    )
    assert [one.index for one in subtitles] == list(range(1, len(texts) + 1))
    assert [one.start.total_seconds() for one in subtitles] == list(range(len(texts)))
    assert [one.start_time.in_seconds() for one in captions] == list(range(len(texts)))
    assert all("-->" not in one.content and one.content.startswith("t") for one in subtitles)
