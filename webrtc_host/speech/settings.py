"""The speech room's settings, side by side, as the config file's section `speech` holds them.

Each core keeps its own frozen dataclass; this only puts them together. Knows no file.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from webrtc_host.speech.endpointing import EndpointingConfig
from webrtc_host.speech.language import LanguageConfig
from webrtc_host.speech.segments import SegmentsConfig
from webrtc_host.speech.vad import VadConfig
from webrtc_host.speech.windowing import WindowingConfig


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    batch_ms: int = 100  # audio taken at a time from a channel's queue; less costs more thread hops
    backlog_ms_max: int = 10_000  # audio waiting in front of the VAD; more is refused and counted as shed
    behind_after_ms: int = 5000  # a final unanswered for so long makes the channel `behind`
    final_deadline_ms: int = 120_000  # then a final is given up: window.failed
    interim_deadline_ms: int = 5000
    interims_in_flight_max: int = 2  # asked and not answered; further ones are not asked
    close_timeout_ms: int = 5000  # given to the last finals when a channel closes
    history_words: int = 0  # final words of the utterance given to the next window as its prompt; 0: none
    # 20 made base skip speech that follows: deletions 35 -> 61 of 937 words, short windows (2026-11-29).

    def __post_init__(self) -> None:
        for name, low, high in (
            ("batch_ms", 20, 1000),
            ("backlog_ms_max", 1000, 60_000),
            ("behind_after_ms", 500, 60_000),
            ("final_deadline_ms", 1000, 600_000),
            ("interim_deadline_ms", 500, 60_000),
            ("interims_in_flight_max", 0, 8),
            ("close_timeout_ms", 100, 60_000),
            ("history_words", 0, 60),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}; it lies between {low} and {high}")


class SpeechConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    vad: VadConfig = VadConfig()
    endpointing: EndpointingConfig = EndpointingConfig()
    windowing: WindowingConfig = WindowingConfig()
    segments: SegmentsConfig = SegmentsConfig()
    language: LanguageConfig = LanguageConfig()
    pipeline: PipelineConfig = PipelineConfig()
