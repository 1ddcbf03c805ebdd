"""Windows for tests: a test gives only the fields that it needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from host_stt.contract import AUTO, SAMPLE_RATE, Priority, Samples, Task, Window

_SECOND = np.zeros(SAMPLE_RATE, np.int16)


def window(
    window_id: str = "w1",
    *,
    channel: str = "C01",
    samples: Samples = _SECOND,
    start_sample: int = 0,
    priority: Priority = Priority.FINAL,
    language: str = AUTO,
    terms: Sequence[str] = (),
    history: str = "",
    deadline_ms: int = 15_000,
    start_within_ms: int = 0,
    is_second_decode: bool = False,
    is_careful: bool = False,
    may_change_language: bool = False,
    is_noisy: bool = False,
    known_text: str = "",
    task: Task = Task.TRANSCRIBE,
) -> Window:
    return Window(
        id=window_id,
        channel=channel,
        samples=samples,
        start_sample=start_sample,
        priority=priority,
        language=language,
        terms=tuple(terms),
        history=history,
        deadline_ms=deadline_ms,
        start_within_ms=start_within_ms,
        is_second_decode=is_second_decode,
        is_careful=is_careful,
        may_change_language=may_change_language,
        is_noisy=is_noisy,
        known_text=known_text,
        task=task,
    )
