"""Reads what a summary is made from: the lines of its scope, and the times that have no text.

Lines come from the record; the coverage of a running channel comes from its tracker, which has newer states.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from webrtc_host.seams import CoverageState
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.session import Session
from webrtc_host.summaries.content import Line, Place, Unseen, Why
from webrtc_host.summaries.scopes import Scope
from webrtc_host.transcript import summaries as rows
from webrtc_host.transcript.coverage import NOT_FED
from webrtc_host.transcript.records import Span
from webrtc_host.transcript.store import Store

LINES_MAX = 20_000
"""Of one summary: about 40 hours of one busy channel. Later lines are named as not seen."""
GAPS_MAX = 20_000
NOT_YET_MS_MIN = 2_000
"""The text of the newest words always takes a moment; less than this is not named."""
_GAPS = {
    CoverageState.LOST: Why.LOST,
    CoverageState.SHED: Why.SHED,
    CoverageState.FAILED: Why.FAILED,
}


@dataclass(frozen=True, slots=True)
class Source:
    lines: tuple[Line, ...]
    from_ms: int
    to_ms: int
    seen_to_ms: int
    """Up to here everything that was said has its text, or is named in `unseen`."""
    now_ms: int
    """The length of the session so far."""
    unseen: tuple[Unseen, ...]
    places: Mapping[str, Place] = field(default_factory=dict)
    """Of a room, by segment: the sessions that its lines are from."""


class Sources:
    def __init__(self, store: Store, registry: SessionRegistry) -> None:
        self.store = store
        self._registry = registry

    def live(self, session_id: str) -> Session | None:
        """The session while it runs; None when it has ended, or is unknown."""
        found = next((one for one in self._registry if one.id == session_id), None)
        return None if found is None or found.is_ended else found

    async def read(self, scope: Scope) -> Source | None:
        """None: the session was deleted. Raises StoreError and Overloaded."""
        live = self.live(scope.session)
        ends = await self.store.read(lambda c: rows.session_end(c, scope.session))
        if ends is None:
            return None
        now_ms = ends[0] if live is None else live.now_ms()
        from_ms, to_ms = scope.range_at(now_ms)
        channels = None if scope.channel is None else frozenset((scope.channel,))
        span = Span(scope.session, channels, from_ms, scope.to_ms)
        lines, cut_ms, gaps = await self.store.read(lambda c: _read(c, span))
        if scope.to_ms is None:
            to_ms = max((to_ms, *(line.end_ms for line in lines)))
        seen_to_ms, unseen = to_ms, gaps
        for channel, covered_to_ms in _fed(live, scope.channel):
            if to_ms - covered_to_ms >= NOT_YET_MS_MIN:
                begin_ms = max(from_ms, covered_to_ms)
                unseen.append(Unseen(Why.NOT_YET, begin_ms, to_ms, to_ms - begin_ms, channel))
                seen_to_ms = min(seen_to_ms, begin_ms)
        if cut_ms is not None:
            unseen.append(Unseen(Why.TOO_MANY, cut_ms, to_ms, to_ms - cut_ms))
            seen_to_ms = min(seen_to_ms, cut_ms)
        return Source(lines, from_ms, to_ms, seen_to_ms, max(now_ms, to_ms), tuple(unseen))


def hash_of(settings: Sequence[object], lines: Iterable[Line]) -> str:
    """A hash of the lines, and of everything else that decides what the summary of them says."""
    text = json.dumps([list(settings), [(line.segment, line.text) for line in lines]], ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:32]


def _read(connection: Connection, span: Span) -> tuple[tuple[Line, ...], int | None, list[Unseen]]:
    lines, cut_ms = lines_of(connection, span, LINES_MAX)
    return lines, cut_ms, gaps_of(connection, span)


def lines_of(connection: Connection, span: Span, limit: int) -> tuple[tuple[Line, ...], int | None]:
    """The lines, and the time of the first line over the limit. Lines without text say nothing."""
    found = rows.lines(connection, span, limit + 1)
    cut_ms = int(found[limit].start_ms) if len(found) > limit else None
    lines = tuple(
        Line(row.id, row.channel, row.label, row.start_ms, row.end_ms, row.text)
        for row in found[:limit]
        if row.text.strip()
    )
    return lines, cut_ms


def gaps_of(connection: Connection, span: Span) -> list[Unseen]:
    """The time without text of each channel, one entry for each reason.

    Time without a connection is no gap: no audio was expected.
    """
    found = rows.gaps(connection, span, [state.value for state in _GAPS], NOT_FED, GAPS_MAX)
    by_kind: dict[tuple[str, Why], Unseen] = {}
    for gap in found:
        low = max(gap.from_ms, span.from_ms)
        high = gap.to_ms if span.to_ms is None else min(gap.to_ms, span.to_ms)
        why = _GAPS[CoverageState(gap.state)]
        before = by_kind.get((gap.channel, why))
        first, ms = (low, 0) if before is None else (before.from_ms, before.ms)
        by_kind[gap.channel, why] = Unseen(why, first, high, ms + high - low, gap.channel)
    return list(by_kind.values())


def _fed(live: Session | None, channel_id: str | None) -> list[tuple[str, int]]:
    """(channel, time up to which it has text) of the channels that are being fed."""
    channels = () if live is None else tuple(live.channels.values())
    return [
        (channel.id, channel.coverage.covered_to_ms)
        for channel in channels
        if channel.connection is not None
        and channel.coverage.origin_ms is not None
        and channel_id in (None, channel.id)
    ]
