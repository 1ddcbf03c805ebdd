"""Figures of a session for people: words, talk time, delay and confidence of each channel, from the record.

SQL only, on a connection that the caller passes. The database counts; no text is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Integer, case, cast, func, select

from webrtc_host.transcript.schema import channels, segments


@dataclass(frozen=True, slots=True)
class ChannelStats:
    """delay: from the end of speech to its text, of live finals. conf: mean log probability, 0 at best."""

    channel: str
    label: str
    lines: int
    words: int
    characters: int
    talk_ms: int
    first_ms: int
    last_ms: int
    conf: float | None
    delay_ms_p50: int | None
    delay_ms_p95: int | None
    delay_ms_max: int | None


def channel_stats(connection: Connection, session: str) -> list[ChannelStats]:
    """Figures of every channel with text, ordered by id."""
    text = func.trim(segments.c.text)
    spaces = func.length(text) - func.length(func.replace(text, " ", ""))
    words = case((text == "", 0), else_=spaces + 1)
    query = (
        select(
            segments.c.channel,
            func.coalesce(func.max(channels.c.label), segments.c.channel).label("label"),
            func.count().label("lines"),
            func.sum(words).label("words"),
            func.sum(func.length(text)).label("characters"),
            func.sum(segments.c.end_ms - segments.c.start_ms).label("talk_ms"),
            func.min(segments.c.start_ms).label("first_ms"),
            func.max(segments.c.end_ms).label("last_ms"),
            func.avg(segments.c.conf).label("conf"),
            func.max(segments.c.latency_ms).label("delay_ms_max"),
        )
        .select_from(
            segments.outerjoin(
                channels,
                (channels.c.session == segments.c.session) & (channels.c.channel == segments.c.channel),
            )
        )
        .where(segments.c.session == session)
        .group_by(segments.c.channel)
        .order_by(segments.c.channel)
    )
    delays = _percentiles(connection, session)
    return [_stats(row, delays.get(row.channel, {})) for row in connection.execute(query)]


def _stats(row: Any, delays: dict[int, int]) -> ChannelStats:
    return ChannelStats(
        channel=row.channel,
        label=row.label,
        lines=int(row.lines),
        words=int(row.words),
        characters=int(row.characters),
        talk_ms=int(row.talk_ms),
        first_ms=int(row.first_ms),
        last_ms=int(row.last_ms),
        conf=None if row.conf is None else round(float(row.conf), 3),
        delay_ms_p50=delays.get(50),
        delay_ms_p95=delays.get(95),
        delay_ms_max=row.delay_ms_max,
    )


def _percentiles(connection: Connection, session: str) -> dict[str, dict[int, int]]:
    """{channel: {50: ..., 95: ...}}: the smallest delay that so many per cent of the lines do not exceed."""
    ranked = (
        select(
            segments.c.channel,
            segments.c.latency_ms,
            func.row_number()
            .over(partition_by=segments.c.channel, order_by=segments.c.latency_ms)
            .label("place"),
            func.count().over(partition_by=segments.c.channel).label("total"),
        )
        .where(segments.c.session == session, segments.c.latency_ms.is_not(None))
        .subquery()
    )
    found: dict[str, dict[int, int]] = {}
    for percent in (50, 95):
        place = cast(ranked.c.place, Integer)
        is_it = (place * 100 >= ranked.c.total * percent) & ((place - 1) * 100 < ranked.c.total * percent)
        for row in connection.execute(select(ranked.c.channel, ranked.c.latency_ms).where(is_it)):
            found.setdefault(row.channel, {})[percent] = int(row.latency_ms)
    return found
