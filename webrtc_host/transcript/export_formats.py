"""Transcripts as text: plain text, SRT, WebVTT, CSV and JSON lines.

Pure: takes lines, returns text, in pieces, so that a long session is never in memory as a whole. This module
has the formats, and what each of them must not contain; `export.py` reads the lines. Invariants: no text can
end a subtitle early or begin a markup tag, and no CSV cell is taken for a formula. Each line gives exactly
one row or one cue, even with labels of old records, which may contain any character. Plain text has one line
for each utterance (`export_lines.py`).
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Any

from host_stt_common.names import one_line
from host_stt_common.subtitles import VTT_HEAD, srt_cue, vtt_cue
from webrtc_host.transcript.export_lines import Cues, Line, Paragraphs, Unchanged
from webrtc_host.transcript.timecode import timecode


class Clock(StrEnum):
    """How times are written."""

    SESSION = "session"  # since the session's t = 0
    UTC = "utc"
    LOCAL = "local"  # the server's time zone


class Format(StrEnum):
    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    CSV = "csv"
    JSONL = "jsonl"


_ESCAPED_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Valid in JSON without an escape, but some readers end a line at them, and terminals execute them."""


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds since t = 0 as text. zone: for Clock.LOCAL; None: the time zone of this machine."""

    clock: Clock
    t0_wall_ms: int
    zone: tzinfo | None = None

    def text(self, ms: int) -> str:
        """For people: 01:02.345, or a date and a time of day with its offset."""
        if self.clock is Clock.SESSION:
            return timecode(ms)
        text = self.moment(ms).isoformat(sep=" ", timespec="milliseconds")
        return text.replace("+00:00", "Z") if self.clock is Clock.UTC else text

    def moment(self, ms: int) -> datetime:
        utc = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=self.t0_wall_ms + ms)
        return utc if self.clock is Clock.UTC else utc.astimezone(self.zone)

    def subtitle_ms(self, ms: int) -> int:
        """The time in a subtitle file: since t = 0, or since midnight of the day of the start."""
        if self.clock is Clock.SESSION:
            return ms
        start = self.moment(0)
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
        return round((start - midnight).total_seconds() * 1000) + ms


class Writer:
    """Writes one file in one format: call `head`, then `lines` any number of times, then `tail`."""

    def __init__(self, kind: Format, times: Times, *, is_merged: bool) -> None:
        """is_merged: lines of several channels, so each line names its channel."""
        self._kind = kind
        self._times = times
        self._is_merged = is_merged
        self._number = 0
        self._held = _HELD.get(kind, Unchanged)()

    def head(self) -> str:
        if self._kind is Format.VTT:
            return VTT_HEAD
        # The byte order mark makes Excel read UTF-8; without it, Hangul is garbled.
        return "\ufeff" + _csv([CSV_COLUMNS]) if self._kind is Format.CSV else ""

    def lines(self, lines: Iterable[Line]) -> str:
        """The next lines as text. lines: in order of their start. Some wait for the lines after them.

        Formats that show marks have every line. The others leave out lines that are marked as not said.
        """
        kept = (line for line in lines if self._has(line))
        return self._written(ready for line in kept for ready in self._held.feed(line))

    def tail(self) -> str:
        """The lines that still wait."""
        return self._written(self._held.rest())

    def _has(self, line: Line) -> bool:
        if self._kind is Format.JSONL:
            return True
        return bool(line.plain) and not (line.is_not_said and self._kind is not Format.CSV)

    def _written(self, lines: Iterable[Line]) -> str:
        form = _FORMS[self._kind]
        return "".join(form(self, line) for line in lines)

    def _txt(self, line: Line) -> str:
        start, end = self._times.text(line.start_ms), self._times.text(line.end_ms)
        who = f"{line.speaker}: " if self._is_merged else ""
        return f"[{start} - {end}] {who}{line.plain}\n"

    def _srt(self, line: Line) -> str:
        self._number += 1
        who = f"{line.speaker}: " if self._is_merged else ""
        return srt_cue(self._number, *self._span(line), f"{who}{line.plain}")

    def _vtt(self, line: Line) -> str:
        who = line.speaker if self._is_merged else ""
        return vtt_cue(*self._span(line), line.plain, identifier=line.segment, voice=who)

    def _csv(self, line: Line) -> str:
        # A probability, because a log probability begins with a minus sign, as a formula can.
        times, confidence = self._times, "" if line.conf is None else f"{math.exp(min(line.conf, 0)):.3f}"
        row = [
            line.channel,
            neutral(one_line(line.label)),
            times.text(line.start_ms),
            times.text(line.end_ms),
        ]
        row += [str(line.start_ms), str(line.end_ms), neutral(one_line(line.language)), confidence]
        row += [neutral(line.plain), neutral(one_line(line.raw)), line.segment]
        notes = " | ".join(one_line(note) for note in line.notes)
        return _csv([[*row, neutral(one_line(line.revised_by)), " ".join(line.marks), neutral(notes)]])

    def _jsonl(self, line: Line) -> str:
        if self._times.clock is Clock.SESSION:
            return _escaped(line.event) + "\n"
        body: dict[str, Any] = json.loads(line.event)
        body["start_wall"] = self._times.text(line.start_ms).replace(" ", "T")
        body["end_wall"] = self._times.text(line.end_ms).replace(" ", "T")
        return _escaped(json.dumps(body, ensure_ascii=False, separators=(",", ":"))) + "\n"

    def _span(self, line: Line) -> tuple[int, int]:
        return self._times.subtitle_ms(line.start_ms), self._times.subtitle_ms(line.end_ms)


_FORMS: dict[Format, Callable[[Writer, Line], str]] = {
    Format.TXT: Writer._txt,
    Format.SRT: Writer._srt,
    Format.VTT: Writer._vtt,
    Format.CSV: Writer._csv,
    Format.JSONL: Writer._jsonl,
}

_HELD: dict[Format, type[Paragraphs | Cues]] = {
    Format.TXT: Paragraphs,
    Format.SRT: Cues,
    Format.VTT: Cues,
}

CSV_COLUMNS = [
    *("channel", "label", "start", "end", "start_ms", "end_ms"),
    *("language", "confidence", "text", "raw", "segment", "revised_by", "marks", "notes"),
]

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""First characters of a cell that a spreadsheet calculates: OWASP's list, and their full-width forms."""


def neutral(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: a leading apostrophe makes it text."""
    return f"'{cell}" if cell.lstrip(" \u3000\xa0").startswith(FORMULA) else cell


def coverage_csv(runs: Iterable[tuple[str, int, int, str, str | None]], times: Times) -> str:
    """The coverage: one row (channel, from_ms, to_ms, state, reason) per run."""
    rows = [["channel", "from", "to", "from_ms", "to_ms", "state", "reason"]]
    for channel, from_ms, to_ms, state, reason in runs:
        row = [channel, times.text(from_ms), times.text(to_ms), str(from_ms), str(to_ms)]
        rows.append([*row, state, neutral(one_line(reason or ""))])
    return "\ufeff" + _csv(rows)


def _csv(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()


def _escaped(event: str) -> str:
    """The same JSON, with the characters of `_ESCAPED_IN_JSON` written as \\uXXXX."""
    return _ESCAPED_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", event)
