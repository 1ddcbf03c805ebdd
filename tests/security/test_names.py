"""No name and no spoken text forges a line of a transcript, a cue of a subtitle or a cell of a table."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
import srt
import webvtt
from hypothesis import example, given, settings
from hypothesis import strategies as st

from host_stt.contract import Segment, Word
from host_stt.files import formats
from host_stt.files.formats import Part, Recording
from host_stt_common.names import name_of, one_line, without_arrows
from tests.support.desk import Desk, a_config, running_desk
from webrtc_host.transcript.export_formats import Clock, Format, Times, Writer
from webrtc_host.transcript.export_lines import Line

FORGED_LINE = "x\n[00:00.000 - 00:01.000] C09 chief: I confess"
FORGED_CUE = (
    "desk: roger\n\n9\n00:59:00,000 ---> 00:59:05,000\nC09 chief: I never said that\n\n"
    "10\n00:59:05,000 ---> 00:59:06,000\nC01"
)
FORGED_VTT = "x>\n\n00:59:00.000 --> 00:59:05.000\nfalse --"
BAD_NAMES = [
    "bell\x07",
    "esc\x1b[31m",
    "nul\0",
    "rlo \u202e gnp.exe",
    "isolate \u2066x",
    "mark \u200f",
    "\ud800",
]
anything = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(
            "\n\r\t\v\f\0\x1b\x1c\x85\u2028\u2029\u202e\u2066\ufeff\u200c->&<,0123456789:;=+@'\" "
        ),
    ),
    max_size=40,
)
TIMES = Times(Clock.SESSION, 0, UTC)


def lines_of(texts: list[tuple[str, str]]) -> list[Line]:
    """A line for each (label, text), a second apart."""
    return [
        Line(
            channel="C01",
            label=label,
            segment=f"g_{i}",
            start_ms=1000 * i,
            end_ms=1000 * i + 900,
            text=text,
            raw=text,
            event=json.dumps({"text": text, "segment": f"g_{i}"}, ensure_ascii=False),
        )
        for i, (label, text) in enumerate(texts)
    ]


def written(kind: Format, lines: list[Line]) -> str:
    writer = Writer(kind, TIMES, is_merged=True)
    # As it is sent: a lone surrogate has no UTF-8.
    return (writer.head() + writer.lines(lines) + writer.tail()).encode(errors="replace").decode()


def vtt_captions(text: str) -> list[Any]:
    return list(webvtt.from_buffer(io.StringIO(text, newline=None)).captions)


@settings(deadline=None)  # a busy machine is no mistake
@given(st.lists(st.tuples(anything, anything), max_size=5))
@example(
    [(FORGED_LINE, "alpha"), (FORGED_CUE, FORGED_CUE), (FORGED_VTT, FORGED_VTT), ("a--", "b"), ("", "1")]
)
@example([("-\u200e->", "00:00:01,000 -\u202e-> 00:00:02,000")])
def test_every_form_of_export_has_a_line_for_each_line(texts: list[tuple[str, str]]) -> None:
    lines = lines_of(texts)
    spoken = [line for line in lines if line.plain]
    text = written(Format.TXT, lines)
    assert len(text.splitlines()) == text.count("\n") == len(spoken)
    subtitles = list(srt.parse(written(Format.SRT, lines), ignore_errors=False))
    assert [one.index for one in subtitles] == list(range(1, len(spoken) + 1))
    assert [one.start.total_seconds() * 1000 for one in subtitles] == [line.start_ms for line in spoken]
    captions = vtt_captions(written(Format.VTT, lines))
    assert [one.identifier for one in captions] == [line.segment for line in spoken]
    assert all(len(one.lines) == 1 for one in captions)
    rows = list(csv.reader(io.StringIO(written(Format.CSV, lines).removeprefix("\ufeff"), newline="")))
    segment = rows[0].index("segment")
    assert [row[segment] for row in rows[1:]] == [line.segment for line in spoken]
    jsonl = written(Format.JSONL, lines)
    assert [json.loads(one)["segment"] for one in jsonl.splitlines()] == [line.segment for line in lines]
    assert not re.search("[\0\x1b\x85\u2028\u202e\u2066]", text + jsonl + written(Format.CSV, lines))


def a_recording(texts: list[tuple[str, bool]]) -> Recording:
    """A part for each text, with words or without."""
    parts = []
    for i, (text, has_words) in enumerate(texts):
        start, end = 16_000 * i, 16_000 * i + 15_000
        words = (Word(text, start, end, 0.9, True),) if has_words else ()
        segment = Segment(text, start, end, -0.1, 1.0, 0.0, words)
        parts.append(Part(segment, "en", 0))
    return Recording(tuple(parts), 16_000 * len(texts))


@settings(deadline=None)  # a busy machine is no mistake
@given(st.lists(st.tuples(anything, st.booleans()), max_size=5))
@example([(FORGED_CUE, True), (FORGED_CUE, False), (FORGED_VTT, True), ("\x1b", True), ("--->", False)])
def test_subtitles_of_a_file_have_a_cue_for_each_cue(texts: list[tuple[str, bool]]) -> None:
    recording = a_recording(texts)
    made = formats.cues(recording)
    assert len(made) == sum(1 for text, _ in texts if one_line(text))
    subtitles = list(srt.parse(formats.srt(recording).encode(errors="replace").decode()))
    assert [one.content for one in subtitles] == [without_arrows(cue.text) for cue in made]
    captions = vtt_captions(formats.vtt(recording).encode(errors="replace").decode())
    assert [len(one.lines) for one in captions] == [len(cue.text.split("\n")) for cue in made]
    plain = formats.written(recording, formats.Format.TEXT)
    assert len(plain.splitlines()) == 1


@settings(deadline=None)  # a busy machine is no mistake
@given(anything)
def test_a_name_is_one_line_that_can_be_printed(text: str) -> None:
    try:
        name = name_of(text)
    except ValueError:
        return
    assert name == name_of(name) == one_line(name)
    assert all(letter.isprintable() or letter in "\u200c\u200d" for letter in name)
    assert len(name.splitlines()) == 1


@settings(deadline=None)  # a busy machine is no mistake
@given(st.text("->-- x"))
def test_a_broken_arrow_leaves_no_arrow(text: str) -> None:
    assert "-->" not in without_arrows(text)


async def refusal(desk: Desk, path: str, body: Any) -> tuple[int, str]:
    """The status and the code of a POST that is refused."""
    async with desk.client.post(desk.url + path, json=body) as response:
        return response.status, (await response.json())["error"]["code"]


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_every_way_in_refuses_a_name_that_cannot_be_printed(tmp_path: Path, name: str) -> None:
    start = {"encoding": "pcm_s16le", "sample_rate": 16000, "label": name}
    async with running_desk(a_config(tmp_path)) as desk:
        assert await refusal(desk, "/sessions/create", {"name": name}) == (422, "bad_name")
        offer = {"type": "offer", "sdp": "v=0", "channels": [{"label": name}]}
        assert await refusal(desk, "/offer", offer) == (422, "bad_name")
        async with desk.client.ws_connect(f"{desk.url}/ws/pcm/C01") as socket:
            await socket.send_json(start)
            assert (await socket.receive_json())["code"] == "bad_name"
        body = {"name": name}
        async with desk.client.patch(f"{desk.url}/api/sessions/{desk.session.id}", json=body) as response:
            assert response.status == 422
            assert (await response.json())["error"]["code"] in ("bad_name", "bad_field")  # no Unicode at all


async def test_spaces_of_a_name_are_folded_at_every_way_in(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        async with desk.client.post(f"{desk.url}/sessions/create", json={"name": " night\n\tshift "}) as made:
            session = (await made.json())["session_id"]
        async with desk.client.ws_connect(f"{desk.url}/ws/pcm/C01") as socket:
            start = {"encoding": "pcm_s16le", "sample_rate": 16000, "session": session}
            await socket.send_json({**start, "label": FORGED_LINE})
            assert (await socket.receive_json())["type"] == "started"
            (shown,) = [one for one in desk.registry if one.id == session]
            assert shown.name == "night shift"
            assert shown.channels["C01"].label == " ".join(FORGED_LINE.split())
