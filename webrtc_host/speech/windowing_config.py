"""The settings of windowing: lengths of windows, of pauses and of context, in milliseconds. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from host_stt_common.number_limits import check_ranges


@dataclass(frozen=True, slots=True)
class WindowingConfig:
    window_ms_min: int = 5000  # shortest window that is cut inside speech
    window_ms_max: int = 10_000  # longest one; longer speech becomes final in parts
    pause_ms: int = 300  # a pause of this length is a place to cut without overlap
    pause_after_ms: int = 5000  # if at least so much speech waits before the pause
    overlap_percent_min: int = 20  # part of a window that the next one repeats
    overlap_percent_max: int = 30
    first_interim_ms: int = 700  # speech needed for the first interim
    interim_interval_ms: int = 700  # speech between two interims; half of it doubles the decoding
    interim_back_ms: int = 200  # an interim begins this much before the commit point
    context_ms: int = 3000  # speech before a window that is decoded once more, as context
    context_gap_ms: int = 1500  # an utterance that begins sooner after the last one gets it as context
    early_final_ms: int = 250  # silence after which the last final is decoded ahead of its time; 0: never
    trailing_ms: int = 300  # audio after the end of speech that the window contains
    short_ms: int = 1200  # a shorter final window is extended with the audio around it

    def __post_init__(self) -> None:
        ranges = (
            ("window_ms_min", 1000, 25_000),
            ("window_ms_max", 1000, 25_000),
            ("pause_ms", 100, 5000),
            ("pause_after_ms", 1000, 25_000),
            ("overlap_percent_min", 5, 45),
            ("overlap_percent_max", 5, 45),
            ("first_interim_ms", 200, 10_000),
            ("interim_interval_ms", 200, 10_000),
            ("interim_back_ms", 0, 2000),
            ("context_ms", 0, 10_000),
            ("context_gap_ms", 0, 10_000),
            ("early_final_ms", 0, 5000),
            ("trailing_ms", 0, 2000),
            ("short_ms", 0, 5000),
        )
        check_ranges(self, ranges)
        if self.window_ms_min > self.window_ms_max:
            raise ValueError(f"window_ms_min {self.window_ms_min} is over window_ms_max {self.window_ms_max}")
        if self.overlap_percent_min > self.overlap_percent_max:
            raise ValueError("overlap_percent_min is over overlap_percent_max")
