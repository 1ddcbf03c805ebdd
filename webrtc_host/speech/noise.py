"""The noise of a channel: whether its newest finals were read better with less noise. Pure."""

from __future__ import annotations

from collections import deque

from host_stt.contract import Transcript

FINALS = 3
"""A channel is noisy if one of so many finals was. Not each final of a noisy channel is read better with less
noise: loud and clear sentences need it less.
"""


class ChannelNoise:
    """Tells the engine which interims to read with less noise. Finals are read both ways, interims once."""

    def __init__(self) -> None:
        self._finals: deque[bool] = deque(maxlen=FINALS)

    @property
    def is_noisy(self) -> bool:
        return any(self._finals)

    def feed(self, transcript: Transcript) -> None:
        """Take the result of a final; one without words says nothing about the noise."""
        if transcript.text:
            self._finals.append(transcript.has_less_noise)
