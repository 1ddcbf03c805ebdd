"""What a response says about a recording besides the text: is it complete, how long, which track."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """The facts about a recording after all of it was decoded."""

    seconds: float  # decoded
    announced_seconds: float | None  # the length in its header; None: the header has none
    is_complete: bool  # False: the end of the file is missing
    track: int  # number of the decoded audio track, from 0
    tracks: int  # number of audio tracks in the file

    def body(self) -> dict[str, Any]:
        """The fields of a response, the same for every endpoint."""
        announced = self.announced_seconds
        return {
            "is_complete": self.is_complete,
            "seconds": round(self.seconds, 3),
            "announced_seconds": None if announced is None else round(announced, 3),
            "track": self.track,
            "tracks": self.tracks,
        }

    def warning(self) -> str | None:
        """A sentence for the user if the recording is incomplete, else None."""
        if self.is_complete:
            return None
        announced = self.announced_seconds
        of = f" of the {announced:.1f} s that it announces" if announced is not None else ""
        return f"the file ends before its own end; {self.seconds:.1f} s{of} were read"
