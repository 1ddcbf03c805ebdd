"""Exports: writes one session, or a part of it, as a file, while reading it from the record.

This module reads the record in pages, and fills zip files. `export_formats.py` has the text formats; a
`AudioReader` gives the audio. Invariant: at most one page of lines, the lines of a minute before it and one
piece of audio are in memory, however long the session is.
"""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import partial
from typing import Any, Protocol

from sqlalchemy import Connection, Row

from host_stt_common.names import one_line
from webrtc_host.transcript import records
from webrtc_host.transcript.export_formats import Clock, Format, Times, Writer, coverage_csv
from webrtc_host.transcript.export_lines import Line
from webrtc_host.transcript.line_rows import Extras, extras_of
from webrtc_host.transcript.records import Span
from webrtc_host.transcript.revisions import with_revision
from webrtc_host.transcript.store import Store

PAGE_LINES = 500
RUNS_MAX = 200_000
PIECE_MS = 600_000
"""Audio is put into the zip in files of ten minutes: 2.4 MB at 32 kbit/s."""
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # a fixed time, so that the same export gives the same bytes


class AudioReader(Protocol):
    """Reads the archive for exports."""

    async def ogg(self, session: str, channel: str, from_ms: int, to_ms: int) -> bytes | None:
        """The archived Opus of a range as Ogg, with silence in gaps; None when there is no audio at all."""
        ...


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export, of which part. The caller has checked that the session exists."""

    span: Span
    clock: Clock
    t0_wall_ms: int
    name: str
    zone: tzinfo | None = None  # for Clock.LOCAL; None: the time zone of this machine

    @property
    def times(self) -> Times:
        return Times(self.clock, self.t0_wall_ms, self.zone)

    @property
    def is_merged(self) -> bool:
        return self.span.channels is None or len(self.span.channels) != 1


class Exporter:
    def __init__(self, store: Store, audio: AudioReader | None = None) -> None:
        """audio: None: zip files get no audio."""
        self._store = store
        self._audio = audio

    async def text(self, request: ExportRequest, kind: Format) -> AsyncIterator[bytes]:
        """The text file, one page of lines at a time."""
        writer = Writer(kind, request.times, is_merged=request.is_merged)
        if head := writer.head():
            yield head.encode()
        async for lines in self._pages(request.span):
            if text := await asyncio.to_thread(writer.lines, lines):
                yield text.encode(errors="replace")
        if text := writer.tail():
            yield text.encode(errors="replace")

    async def zip(self, request: ExportRequest) -> AsyncIterator[bytes]:
        """A zip file with all text formats, the coverage, a description, and the audio of each channel."""
        sink = _Sink()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
            await self._put(archive, "session.json", await self._description(request))
            for kind in Format:
                entry = zipfile.ZipInfo(f"transcript.{kind}", ZIP_TIME)
                entry.compress_type = zipfile.ZIP_DEFLATED
                with archive.open(entry, "w", force_zip64=True) as file:
                    async for piece in self.text(request, kind):
                        await asyncio.to_thread(file.write, piece)
                        yield sink.take()
            await self._put(archive, "coverage.csv", await self._coverage(request))
            async for name, audio in self._audio_files(request):
                await self._put(archive, name, audio, zipfile.ZIP_STORED)
                yield sink.take()
        yield sink.take()

    async def _put(
        self, archive: zipfile.ZipFile, name: str, content: bytes, how: int = zipfile.ZIP_DEFLATED
    ) -> None:
        entry = zipfile.ZipInfo(name, ZIP_TIME)
        entry.compress_type = how
        await asyncio.to_thread(archive.writestr, entry, content)

    async def _pages(self, span: Span) -> AsyncIterator[list[Line]]:
        after = (-1, 0)
        while True:
            rows, extras = await self._store.read(partial(_page, span=span, after=after))
            if rows:
                yield [_line(row, extras.get(row.id, records.NO_EXTRAS)) for row in rows]
                after = (rows[-1].start_ms, rows[-1].seq)
            if len(rows) < PAGE_LINES:
                return

    async def _description(self, request: ExportRequest) -> bytes:
        known = await self._store.read(lambda c: records.channels_of(c, [request.span.session]))
        body: dict[str, Any] = {
            "session": request.span.session,
            "name": one_line(request.name),
            "t0_wall": datetime.fromtimestamp(request.t0_wall_ms / 1000, UTC).isoformat(
                timespec="milliseconds"
            ),
            "from_ms": request.span.from_ms,
            "to_ms": request.span.to_ms,
            "clock": request.clock.value,
            "channels": [
                {"channel": row.channel, "label": one_line(row.label or ""), "language": row.language}
                for row in known.get(request.span.session, [])
                if request.span.channels is None or row.channel in request.span.channels
            ],
        }
        return json.dumps(body, ensure_ascii=False, indent=2).encode(errors="replace")

    async def _coverage(self, request: ExportRequest) -> bytes:
        rows = await self._store.read(lambda c: records.coverage_runs(c, request.span, RUNS_MAX))
        runs = [(row.channel, row.from_ms, row.to_ms, row.state, row.reason) for row in rows]
        return coverage_csv(runs, request.times).encode(errors="replace")

    async def _audio_files(self, request: ExportRequest) -> AsyncIterator[tuple[str, bytes]]:
        """The audio of each channel between the ends of its coverage, in pieces; empty ones are left out."""
        if self._audio is None:
            return
        for channel, from_ms, to_ms in await self._store.read(partial(records.extents, span=request.span)):
            for start in range(from_ms, to_ms, PIECE_MS):
                end = min(to_ms, start + PIECE_MS)
                audio = await self._audio.ogg(request.span.session, channel, start, end)
                if audio is not None:
                    yield f"audio/{channel}/{start:09d}.ogg", audio


class _Sink(io.RawIOBase):
    """The zip is written into this buffer, and taken out of it in parts.

    It cannot seek, so the zip streams.
    """

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._held)
        self._held.clear()
        return taken


def _page(
    connection: Connection, *, span: Span, after: tuple[int, int]
) -> tuple[records.Rows, dict[str, Extras]]:
    rows = records.line_page(connection, span, after, PAGE_LINES)
    return rows, extras_of(connection, [row.id for row in rows])


def _line(row: Row[Any], extras: Extras) -> Line:
    return Line(
        channel=row.channel,
        label=row.label or row.channel,
        segment=row.id,
        start_ms=row.start_ms,
        end_ms=row.end_ms,
        text=row.text,
        raw=row.raw,
        language=row.language or "",
        conf=row.conf,
        event=with_revision(row.data, row.revised_data, extras.fields()),
        utterance=row.utterance,
        revised_by="" if row.revised_data is None else str(json.loads(row.revised_data).get("by", "")),
        marks=extras.marks,
        notes=tuple(f"{note['by']}: {note['note']}" for note in extras.notes),
    )
