"""Reception: sums of what the tracks of this process received, lost and repaired, for `/metrics`.

This module keeps the list of running tracks and the sums of ended ones. There is one object per process,
`RECEPTION`, like the registry of Prometheus: a track is made deep inside an input that has no metrics.
Invariant: a counter never falls, even when tracks, channels and sessions are removed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol


@dataclass(slots=True)
class Counts:
    """Counters since the start of a track. Packets, unless the name has another unit."""

    packets: int = 0
    lost: int = 0
    late: int = 0
    duplicates: int = 0
    reordered: int = 0
    repaired: int = 0
    undecodable: int = 0
    ignored: int = 0  # telephone events, comfort noise, single packets of other senders
    refused: int = 0  # over the limit of one track
    unread: int = 0  # of tracks whose channel is detached or closed
    failed: int = 0  # packets that raised an exception in the server
    concealed_ms: int = 0
    silence_ms: int = 0  # lost and not repaired
    paused_ms: int = 0
    trimmed_ms: int = 0
    pauses: int = 0
    bursts: int = 0
    restarts: int = 0

    def add(self, other: Counts) -> None:
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


@dataclass(frozen=True, slots=True)
class TrackCondition:
    """Measurements of a track at this moment."""

    jitter_ms: float = 0.0
    lag_ms: float = 0.0  # usual time from the end of audio on the timeline to its arrival
    wait_ms: float = 0.0  # for a missing packet
    drift_ppm: float | None = None  # None: not yet known


class Source(Protocol):
    """A track that is read now."""

    @property
    def place(self) -> tuple[str, str] | None:
        """(session, channel) that it feeds; None: it feeds no channel any more."""

    def counts(self) -> Counts: ...

    def condition(self) -> TrackCondition: ...


class Reception:
    def __init__(self) -> None:
        self._sources: set[Source] = set()
        self._ended = Counts()

    def add(self, source: Source) -> None:
        self._sources.add(source)

    def remove(self, source: Source) -> None:
        """Add its counters to the sums of ended tracks. Calling it twice changes nothing."""
        if source in self._sources:
            self._sources.remove(source)
            self._ended.add(source.counts())

    def by_channel(self, session: str) -> dict[str, dict[str, float]]:
        """Of the tracks that feed the channels of a session now, by channel id.

        packets and lost: of the track so far; jitter_ms: the present interarrival jitter in milliseconds.
        """
        found = {}
        for source in self._sources:
            if source.place is not None and source.place[0] == session:
                counts, jitter_ms = source.counts(), source.condition().jitter_ms
                figures = {"packets": counts.packets, "lost": counts.lost, "jitter_ms": round(jitter_ms, 1)}
                found[source.place[1]] = figures
        return found

    def statistics(self) -> dict[str, float]:
        """Counters of all tracks since the start; of the present measurements the worst track."""
        total = Counts()
        total.add(self._ended)
        conditions = []
        for source in self._sources:
            total.add(source.counts())
            conditions.append(source.condition())
        counters = {one.name: float(getattr(total, one.name)) for one in fields(total)}
        return counters | {
            "tracks": float(len(self._sources)),
            "jitter_ms_max": max((s.jitter_ms for s in conditions), default=0.0),
            "lag_ms_max": max((s.lag_ms for s in conditions), default=0.0),
            "wait_ms_max": max((s.wait_ms for s in conditions), default=0.0),
            "drift_ppm_max": max((abs(s.drift_ppm or 0.0) for s in conditions), default=0.0),
        }


RECEPTION = Reception()
