"""The facts of a run: the run collects them, and the report is made from them.

Only data. Both `run` and `report` import this module, so neither needs the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from host_stt_cli.loadtest.measures import Spoken
from host_stt_cli.loadtest.plan import Load, Part
from host_stt_cli.loadtest.probing import Samples
from host_stt_cli.loadtest.sounds import Clip


@dataclass(slots=True)
class Facts:
    """All facts that a run passes to the report."""

    load: Load
    language: str
    parts: Sequence[Part]
    clips: Sequence[Clip]
    ready: dict[str, Any] = field(default_factory=dict)
    alone: Sequence[str] = ()  # the text of each clip decoded without load; empty: not known
    spoken: list[Spoken] = field(default_factory=list)
    from_ms: float = 0.0
    to_ms: float = 0.0
    before: tuple[Samples, Samples] = field(default_factory=lambda: ({}, {}))  # of 8082, of 8081
    after: tuple[Samples, Samples] = field(default_factory=lambda: ({}, {}))
    t0_s: float = 0.0  # of the session, on the loop's clock
    broken: str = ""

    @property
    def begin_s(self) -> float:
        """When the first packet was due, on the loop's clock."""
        return self.t0_s + self.from_ms / 1000
