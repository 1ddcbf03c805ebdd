"""A report as a run makes it, with what a test wants otherwise."""

from __future__ import annotations

import copy
from typing import Any

GOOD: dict[str, Any] = {
    "version": 1,
    "when": "2026-11-21T12:00:00+00:00",
    "command": "host-stt loadtest",
    "machine": {"processor": "a processor", "cores": 2, "cpu_percent_mean": 40.0},
    "server": {"model": "starter", "device": "cpu"},
    "load": {
        "channels": 16,
        "seconds": 60.0,
        "talk": 0.5,
        "loss": 0.0,
        "jitter_ms": 0,
        "reconnects": 0,
        "door": "webrtc",
    },
    "given": {"speech_s": 480.0, "talk": 0.5, "language": "en", "clips": 48},
    "measures": {
        "utterances": 160,
        "missed": 0,
        "ttfs_ms": {"n": 160, "p50": 700.0, "p95": 900.0, "p99": 1000.0, "max": 1200.0},
        "first_text_ms": {"n": 160, "p50": 900.0, "p95": 1200.0, "p99": 1300.0, "max": 1500.0},
        "interim_age_ms": {"n": 0},
        "erasure": 0.1,
        "accuracy": {"kind": "WER", "rate": 0.05, "n": 900},
        "alone": {"kind": "WER", "rate": 0.04, "n": 300},
        "start_error_ms": {"n": 160, "p50": 30.0, "p95": 60.0, "p99": 80.0, "max": 90.0},
        "end_error_ms": {"n": 160, "p50": 30.0, "p95": 60.0, "p99": 80.0, "max": 90.0},
        "windows_failed": 0,
        "interims_shed": 3,
        "audio_shed_s": 0.0,
        "finals_refused": 0,
        "engine_busy": 0.62,
        "rtf": 0.08,
        "final_wait_ms": {"n": 200, "p50": 10.0, "p95": 50.0, "p99": 100.0},
        "interim_wait_ms": {"n": 900, "p50": 10.0, "p95": 50.0, "p99": 100.0},
        "coverage_s": {"unknown": 0.0, "transcribed": 480.0, "silence": 480.0},
        "loop_lag_ms": {"n": 600, "p50": 1.0, "p95": 5.0, "p99": 10.0},
        "growth": {"ttfs_ms_per_hour": {"n": 160, "slope": 100.0, "standard_error": 400.0}},
    },
    "processes": {
        "8082": {
            "cpu_percent_mean": 30.0,
            "cpu_percent_p95": 40.0,
            "rss_mb_max": 200.0,
            "threads_max": 15.0,
            "fds_max": 60.0,
        }
    },
    "generator": {"late_ms": {"n": 9000, "p50": 0.2, "p95": 2.0}, "frames": 48000, "broken": ""},
    "distribution": [500.0, 700.0, 900.0],
    "series": {"ttfs_ms": [[1.0, 700.0], [2.0, 900.0]], "8082 cpu_percent": [[1.0, 30.0]]},
}


def report(**changes: Any) -> dict[str, Any]:
    """GOOD with `measures__missed=3` put at its path."""
    made = copy.deepcopy(GOOD)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = made
        for parent in parents:
            place = place[parent]
        place[last] = value
    return made
