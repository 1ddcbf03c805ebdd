"""The settings of the section `speech` in the configuration file, put together from those of each stage."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from host_stt_common.number_limits import check_ranges
from webrtc_host.speech.endpointing import EndpointingConfig
from webrtc_host.speech.language import LanguageConfig
from webrtc_host.speech.segments import SegmentsConfig
from webrtc_host.speech.vad import VadConfig
from webrtc_host.speech.windowing_config import WindowingConfig


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """Limits and times of a channel's pipeline."""

    batch_ms: int = 100  # audio taken from a channel's queue at a time; less means more calls of the thread
    backlog_ms_max: int = 10_000  # audio that may wait for the VAD; more is dropped and counted as shed
    live_lag_ms_max: int = 8000  # a final that waits longer is decoded later from the archive; 0: never
    behind_after_ms: int = 5000  # a final without a result for so long makes the channel `behind`
    final_deadline_ms: int = 120_000  # a final without a result for so long becomes window.failed
    interim_deadline_ms: int = 5000
    interims_in_flight_max: int = 2  # further interims are not sent
    early_finals_busy_max: int = 2  # no early final while more finals of all channels wait for the engine
    close_timeout_ms: int = 5000  # time for the last finals when a channel closes
    # Final words of the utterance in the prompt of the next window; 0: none. With 20, base skipped speech
    # that followed: deletions 35 -> 61 of 937 words, short windows (2026-11-29).
    history_words: int = 0

    def __post_init__(self) -> None:
        ranges = (
            ("batch_ms", 20, 1000),
            ("backlog_ms_max", 1000, 60_000),
            ("live_lag_ms_max", 0, 600_000),
            ("behind_after_ms", 500, 60_000),
            ("final_deadline_ms", 1000, 600_000),
            ("interim_deadline_ms", 500, 60_000),
            ("interims_in_flight_max", 0, 8),
            ("early_finals_busy_max", 0, 1000),
            ("close_timeout_ms", 100, 60_000),
            ("history_words", 0, 60),
        )
        check_ranges(self, ranges)


class SpeechConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    vad: VadConfig = VadConfig()
    endpointing: EndpointingConfig = EndpointingConfig()
    windowing: WindowingConfig = WindowingConfig()
    segments: SegmentsConfig = SegmentsConfig()
    language: LanguageConfig = LanguageConfig()
    pipeline: PipelineConfig = PipelineConfig()
