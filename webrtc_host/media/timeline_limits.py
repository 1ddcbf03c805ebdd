"""The limits by which a timeline decides."""

from __future__ import annotations

from dataclasses import dataclass

from host_stt.contract import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class TimelineConfig:
    """Limits that separate pauses, bursts, restarts and outages. Samples are at 16 kHz."""

    clock_rate: int = 48_000  # ticks of RTP time per second; for Opus always this (RFC 7587)
    receive_delay_samples: int = 0  # how long the receiver holds the first piece back before `feed`
    stall_samples: int = 300 * 16  # a piece that is later than usual by more: pause of the sender, or burst
    decide_packets: int = 10  # pieces for that decision and for the anchor; 3 were wrong on a busy machine
    decide_samples: int = 400 * 16  # the longest time that a decision may take, after the first message
    message_samples_max: int = 5 * SAMPLE_RATE  # of a longer message, the rest is not waited for
    jump_samples: int = 30 * SAMPLE_RATE  # a longer step of RTP time forward is a restart of the sender
    back_samples: int = SAMPLE_RATE  # a longer step back is a restart too; a shorter one is an overlap
    # A piece placed this far ahead of its arrival is a restart too. What the sender's clock may have gained
    # since the stream began, at `drift_ppm_max`, is allowed on top.
    lead_samples: int = SAMPLE_RATE
    drift_ppm_max: int = 1000
    quiet_samples: int = 3 * SAMPLE_RATE  # without packets for so long, `on_tick` begins to fill as `lost`
    quiet_margin_samples: int = SAMPLE_RATE // 2  # the fill stays this far behind the present
    # Only this much is filled at first. It ends the utterance; delayed packets may still arrive and be used.
    quiet_tail_samples: int = SAMPLE_RATE
    outage_samples: int = 12 * SAMPLE_RATE  # without packets for so long, all of the time is filled
    tick_samples_max: int = SAMPLE_RATE  # more time between two ticks means that this process was blocked
    envelope_samples: int = 30 * SAMPLE_RATE  # the usual lag is the smallest of one to two such spans
