"""Write cues of SubRip (SRT) and WebVTT files, with one set of rules for both ports.

Pure: times and text in, one cue out, so a long file is never in memory as a whole. Invariants: no text ends
its cue early or imitates another one, no text begins a markup tag in WebVTT, and no cue has a length of zero.

In the tests, the libraries `srt` and `webvtt-py` read these cues. They do not write them, because `srt`
leaves `-->` in a text, and `webvtt-py` writes only whole files, escapes nothing and refuses such a text.
"""

from __future__ import annotations

from host_stt_common.names import one_line, without_arrows

VTT_HEAD = "WEBVTT\n\n"
CUE_MS_MIN = 1000
"""A cue that is shown for a shorter time cannot be read; guidelines for subtitles ask for 0.8 to 1 s."""


def srt_cue(number: int, start_ms: int, end_ms: int, text: str) -> str:
    """number: from 1. text: may have line breaks; other characters that end a line become a space."""
    return f"{number}\n{_times(start_ms, end_ms, ',')}\n{without_arrows(_lines(text))}\n\n"


def vtt_cue(start_ms: int, end_ms: int, text: str, *, identifier: str = "", voice: str = "") -> str:
    """text: as for `srt_cue`. identifier: a line above the times. voice: the name of the speaker."""
    head = f"{without_arrows(one_line(identifier))}\n" if identifier else ""
    tag = f"<v {escaped(one_line(voice))}>" if voice else ""
    # A name that ends with hyphens would form an arrow with the `>` of the voice tag.
    return f"{head}{_times(start_ms, end_ms, '.')}\n{without_arrows(tag + escaped(_lines(text)))}\n\n"


def escaped(text: str) -> str:
    """The text with the markup characters of WebVTT escaped."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _lines(text: str) -> str:
    """The text without empty lines, which would end the cue."""
    return "\n".join(line for line in map(one_line, text.split("\n")) if line)


def _times(start_ms: int, end_ms: int, mark: str) -> str:
    return f"{_stamp(start_ms, mark)} --> {_stamp(max(start_ms + 1, end_ms), mark)}"


def _stamp(ms: int, mark: str) -> str:
    """hh:mm:ss, then `mark` and the milliseconds; hours count on past 24."""
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}{mark}{ms % 1000:03d}"
