"""Cues of SubRip (SRT) and WebVTT files: one set of rules for both ports.

Pure: times and text in, one cue out, so that a long file never lies in memory. Invariants: no text ends its
cue early or forges another one, no text begins a markup tag in WebVTT, and no cue is empty in time.

The libraries `srt` and `webvtt-py` read what is written here in the tests. They do not write it: `srt` leaves
`-->` in a text as it is, and `webvtt-py` writes whole files only, escapes nothing and refuses such a text.
"""

from __future__ import annotations

from host_stt_common.names import one_line, without_arrows

VTT_HEAD = "WEBVTT\n\n"


def srt_cue(number: int, start_ms: int, end_ms: int, text: str) -> str:
    """number: from 1. text: may have line breaks; whatever else would end a line counts as a space."""
    return f"{number}\n{_times(start_ms, end_ms, ',')}\n{without_arrows(_lines(text))}\n\n"


def vtt_cue(start_ms: int, end_ms: int, text: str, *, identifier: str = "", voice: str = "") -> str:
    """text: as for `srt_cue`. identifier: a line above the times. voice: the name of the speaker."""
    head = f"{without_arrows(one_line(identifier))}\n" if identifier else ""
    tag = f"<v {escaped(one_line(voice))}>" if voice else ""
    # The `>` that ends a voice tag makes an arrow of a name that ends with hyphens.
    return f"{head}{_times(start_ms, end_ms, '.')}\n{without_arrows(tag + escaped(_lines(text)))}\n\n"


def escaped(text: str) -> str:
    """The text with nothing in it that WebVTT takes for markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _lines(text: str) -> str:
    """Without empty lines, which would end the cue."""
    return "\n".join(line for line in map(one_line, text.split("\n")) if line)


def _times(start_ms: int, end_ms: int, mark: str) -> str:
    return f"{_stamp(start_ms, mark)} --> {_stamp(max(start_ms + 1, end_ms), mark)}"


def _stamp(ms: int, mark: str) -> str:
    """hh:mm:ss and the milliseconds behind `mark`; hours go on counting past a day."""
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}{mark}{ms % 1000:03d}"
