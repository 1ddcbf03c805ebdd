"""Reception: what the tracks of this process received, lost and repaired, for `/metrics`.

Owns the sums over tracks that are gone and the list of those that live. Like Prometheus's own registry there
is one per process, `RECEPTION`: a track is made deep inside a door that knows nothing of figures.
Invariant: a counter never falls, also when tracks, channels and sessions are forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol


@dataclass(slots=True)
class Counts:
    """Since a track began; packets but where the name says otherwise."""

    packets: int = 0
    lost: int = 0
    late: int = 0
    duplicates: int = 0
    reordered: int = 0
    repaired: int = 0
    undecodable: int = 0
    ignored: int = 0  # events, comfort noise, single packets of strangers
    refused: int = 0  # beyond what one track may send
    unread: int = 0  # of tracks nobody reads
    failed: int = 0  # an exception of ours each
    concealed_ms: int = 0
    silence_ms: int = 0  # lost for good
    paused_ms: int = 0
    trimmed_ms: int = 0
    pauses: int = 0
    bursts: int = 0
    restarts: int = 0

    def add(self, other: Counts) -> None:
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


@dataclass(frozen=True, slots=True)
class Standing:
    """How a track is doing now."""

    jitter_ms: float = 0.0
    lag_ms: float = 0.0  # from a sound's place on the timeline to its arrival, the usual one
    wait_ms: float = 0.0  # for a missing packet
    drift_ppm: float | None = None  # None: not yet known


class Source(Protocol):
    """A track that is being read."""

    def counts(self) -> Counts: ...

    def standing(self) -> Standing: ...


class Reception:
    def __init__(self) -> None:
        self._sources: set[Source] = set()
        self._gone = Counts()

    def add(self, source: Source) -> None:
        self._sources.add(source)

    def remove(self, source: Source) -> None:
        """Keep what it counted, forget the rest. Twice is harmless."""
        if source in self._sources:
            self._sources.remove(source)
            self._gone.add(source.counts())

    def statistics(self) -> dict[str, float]:
        """Counters over all tracks that ever were; of the figures of now the worst."""
        total = Counts()
        total.add(self._gone)
        standings = []
        for source in self._sources:
            total.add(source.counts())
            standings.append(source.standing())
        counters = {one.name: float(getattr(total, one.name)) for one in fields(total)}
        return counters | {
            "tracks": float(len(self._sources)),
            "jitter_ms_max": max((s.jitter_ms for s in standings), default=0.0),
            "lag_ms_max": max((s.lag_ms for s in standings), default=0.0),
            "wait_ms_max": max((s.wait_ms for s in standings), default=0.0),
            "drift_ppm_max": max((abs(s.drift_ppm or 0.0) for s in standings), default=0.0),
        }


RECEPTION = Reception()
