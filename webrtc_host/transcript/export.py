"""Exports: one session, or a part of it, as a file that is read from the record while it is sent.

Owns the walk through the record in pages and what a zip holds; the forms of text are `export_formats`'s, the
sound is whoever implements `SoundReader`. Invariant: no more than a page of lines and one piece of sound lie
in memory, however long the session is.
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
from webrtc_host.transcript.export_formats import Clock, Format, Line, Times, Writer, coverage_csv
from webrtc_host.transcript.records import Span
from webrtc_host.transcript.store import Store

PAGE_LINES = 500
RUNS_MAX = 200_000
PIECE_MS = 600_000
"""Sound is put into the zip in files of ten minutes: 2.4 MB at 32 kbit/s."""
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the same export gives the same bytes


class SoundReader(Protocol):
    """The archive, as exports need it."""

    async def ogg(self, session: str, channel: str, from_ms: int, to_ms: int) -> bytes | None:
        """The original Opus of a range in Ogg, silence where nothing is kept; None when nothing is."""
        ...


@dataclass(frozen=True, slots=True)
class ExportWish:
    """What to write, of which part. The span's session is known to exist."""

    span: Span
    clock: Clock
    t0_wall_ms: int
    name: str
    zone: tzinfo | None = None  # of Clock.LOCAL; None: this machine's

    @property
    def times(self) -> Times:
        return Times(self.clock, self.t0_wall_ms, self.zone)

    @property
    def is_merged(self) -> bool:
        return self.span.channels is None or len(self.span.channels) != 1


class Exporter:
    def __init__(self, store: Store, sound: SoundReader | None = None) -> None:
        """sound: None leaves the audio out of zips."""
        self._store = store
        self._sound = sound

    async def text(self, wish: ExportWish, kind: Format) -> AsyncIterator[bytes]:
        """The file, a page at a time."""
        writer = Writer(kind, wish.times, is_merged=wish.is_merged)
        if head := writer.head():
            yield head.encode()
        async for lines in self._pages(wish.span):
            if text := await asyncio.to_thread(writer.lines, lines):
                yield text.encode(errors="replace")

    async def zip(self, wish: ExportWish) -> AsyncIterator[bytes]:
        """Every form of the text, the coverage, a description, and the sound of each channel."""
        sink = _Sink()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
            await self._put(archive, "session.json", await self._description(wish))
            for kind in Format:
                entry = zipfile.ZipInfo(f"transcript.{kind}", ZIP_TIME)
                entry.compress_type = zipfile.ZIP_DEFLATED
                with archive.open(entry, "w", force_zip64=True) as file:
                    async for piece in self.text(wish, kind):
                        await asyncio.to_thread(file.write, piece)
                        yield sink.take()
            await self._put(archive, "coverage.csv", await self._coverage(wish))
            async for name, sound in self._sounds(wish):
                await self._put(archive, name, sound, zipfile.ZIP_STORED)
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
            rows = await self._store.read(partial(_page, span=span, after=after))
            if rows:
                yield [_line(row) for row in rows]
                after = (rows[-1].start_ms, rows[-1].seq)
            if len(rows) < PAGE_LINES:
                return

    async def _description(self, wish: ExportWish) -> bytes:
        known = await self._store.read(lambda c: records.channels_of(c, [wish.span.session]))
        body: dict[str, Any] = {
            "session": wish.span.session,
            "name": one_line(wish.name),
            "t0_wall": datetime.fromtimestamp(wish.t0_wall_ms / 1000, UTC).isoformat(timespec="milliseconds"),
            "from_ms": wish.span.from_ms,
            "to_ms": wish.span.to_ms,
            "clock": wish.clock.value,
            "channels": [
                {"channel": row.channel, "label": one_line(row.label or ""), "language": row.language}
                for row in known.get(wish.span.session, [])
                if wish.span.channels is None or row.channel in wish.span.channels
            ],
        }
        return json.dumps(body, ensure_ascii=False, indent=2).encode(errors="replace")

    async def _coverage(self, wish: ExportWish) -> bytes:
        rows = await self._store.read(lambda c: records.coverage_runs(c, wish.span, RUNS_MAX))
        runs = [(row.channel, row.from_ms, row.to_ms, row.state, row.reason) for row in rows]
        return coverage_csv(runs, wish.times).encode(errors="replace")

    async def _sounds(self, wish: ExportWish) -> AsyncIterator[tuple[str, bytes]]:
        """Each channel's sound between the ends of its coverage, in pieces; a piece nobody kept is left
        out."""
        if self._sound is None:
            return
        for channel, from_ms, to_ms in await self._store.read(partial(records.extents, span=wish.span)):
            for start in range(from_ms, to_ms, PIECE_MS):
                end = min(to_ms, start + PIECE_MS)
                sound = await self._sound.ogg(wish.span.session, channel, start, end)
                if sound is not None:
                    yield f"audio/{channel}/{start:09d}.ogg", sound


class _Sink(io.RawIOBase):
    """What a zip is written to: bytes until somebody takes them. It cannot seek, so the zip streams."""

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


def _page(connection: Connection, *, span: Span, after: tuple[int, int]) -> records.Rows:
    return records.line_page(connection, span, after, PAGE_LINES)


def _line(row: Row[Any]) -> Line:
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
        event=row.data,
    )
