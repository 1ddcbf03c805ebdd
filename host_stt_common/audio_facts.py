"""What a caller is told of its recording besides the text: was it whole, how long, which track."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """What is known of a recording after it was read."""

    seconds: float  # that were read
    announced_seconds: float | None  # that its header promises; many do not
    is_complete: bool  # False: the file ends before its own end
    track: int  # which audio track was read, from 0
    tracks: int  # of how many

    def body(self) -> dict[str, Any]:
        """The fields of an answer, the same at every door."""
        announced = self.announced_seconds
        return {
            "is_complete": self.is_complete,
            "seconds": round(self.seconds, 3),
            "announced_seconds": None if announced is None else round(announced, 3),
            "track": self.track,
            "tracks": self.tracks,
        }

    def warning(self) -> str | None:
        """A sentence where something is missing."""
        if self.is_complete:
            return None
        announced = self.announced_seconds
        of = f" of the {announced:.1f} s that it announces" if announced is not None else ""
        return f"the file ends before its own end; {self.seconds:.1f} s{of} were read"
