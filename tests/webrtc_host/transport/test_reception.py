"""The figures of tracks are summed, and a counter never decreases when a track ends."""

from __future__ import annotations

from webrtc_host.transport.reception import Counts, Reception, TrackCondition


class Track:
    def __init__(
        self, counts: Counts, condition: TrackCondition, place: tuple[str, str] | None = None
    ) -> None:
        self._counts, self._standing, self.place = counts, condition, place

    def counts(self) -> Counts:
        return self._counts

    def condition(self) -> TrackCondition:
        return self._standing


def test_counters_are_summed_and_the_worst_current_condition_is_shown() -> None:
    reception = Reception()
    calm = Track(Counts(packets=100, lost=1), TrackCondition(jitter_ms=2.0, lag_ms=5.0, drift_ppm=None))
    wild = Track(Counts(packets=50, repaired=3), TrackCondition(jitter_ms=40.0, lag_ms=1.0, drift_ppm=-120.0))
    reception.add(calm)
    reception.add(wild)
    figures = reception.statistics()
    assert (figures["packets"], figures["lost"], figures["repaired"], figures["tracks"]) == (150, 1, 3, 2)
    assert (figures["jitter_ms_max"], figures["lag_ms_max"], figures["drift_ppm_max"]) == (40, 5, 120)


def test_an_ended_track_keeps_its_counts_and_nothing_else() -> None:
    reception = Reception()
    track = Track(Counts(packets=7), TrackCondition(jitter_ms=9.0))
    reception.add(track)
    reception.remove(track)
    reception.remove(track)
    figures = reception.statistics()
    assert (figures["packets"], figures["tracks"], figures["jitter_ms_max"]) == (7, 0, 0)


def test_the_tracks_of_a_session_are_listed_by_channel() -> None:
    reception = Reception()
    for counts, place in (
        (Counts(packets=100, lost=4), ("one", "C05")),
        (Counts(packets=9), ("other", "C05")),
        (Counts(packets=8), None),
    ):
        reception.add(Track(counts, TrackCondition(jitter_ms=2.04), place))
    assert reception.by_channel("one") == {"C05": {"packets": 100, "lost": 4, "jitter_ms": 2.0}}
    assert reception.by_channel("none") == {}
