"""The channels of a job while it runs: each with its reader, its place in the recording, and its keeper.

Invariant: stretches come in the order of time over all channels, so the text of a recording with several
speakers appears as they spoke.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from host_stt_common.audio_facts import AudioFacts
from host_stt_common.read_rests import rest_s
from webrtc_host.jobs.keeping import AudioKeeper
from webrtc_host.jobs.probing import PlannedChannel
from webrtc_host.jobs.reading import ChannelReader, Stretch, Turn, reader
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.session.channel import Channel
from webrtc_host.session.channel_seams import DoorKind


@dataclass(frozen=True, slots=True)
class JobHolder:
    """What holds the channels of a job. Implements `session.channel_seams.Holder`.

    It is no connection of the registry: jobs must not use up the places of live channels.
    """

    id: str
    by: str | None
    door: DoorKind = DoorKind.JOB


@dataclass(slots=True)
class Progress:
    """One channel in the column `progress`. done_sample: up to here everything is saved."""

    planned: PlannedChannel
    done_sample: int = 0

    def reach(self, sample: int) -> None:
        self.done_sample = sample

    def as_json(self) -> dict[str, Any]:
        planned = self.planned
        return {
            "channel": planned.channel,
            "label": planned.label,
            "track": planned.track,
            "side": planned.side,
            "done_sample": self.done_sample,
        }


def progress_from(stored: Sequence[dict[str, Any]], text_ends: dict[str, int]) -> list[Progress]:
    """text_ends: end of the last final of each channel, in milliseconds.

    Text and progress are saved together. Where the record had to split them, text may be further.
    """
    return [
        Progress(
            PlannedChannel(one["channel"], one["label"], one["track"], one["side"]),
            max(int(one["done_sample"]), text_ends.get(one["channel"], 0) * SAMPLES_PER_MS),
        )
        for one in stored
    ]


@dataclass(slots=True, eq=False)
class JobChannel:
    """A channel that is being read."""

    progress: Progress
    channel: Channel
    reader: ChannelReader
    keeper: AudioKeeper
    is_live: Callable[[], bool]  # whether there is speech on a live channel now
    facts: AudioFacts | None = None
    """Set when the whole channel was read."""

    async def next(self) -> Stretch | None:
        """The next stretch; None: the end. Raises AudioFileError."""
        loop = asyncio.get_running_loop()
        while True:
            begin_s = loop.time()
            # Shielded: a thread cannot be cancelled, and the file must stay open while the thread uses it.
            reading = loop.run_in_executor(reader(), self.reader.next)
            try:
                found = await asyncio.shield(reading)
            except asyncio.CancelledError:
                await asyncio.gather(reading, return_exceptions=True)
                raise
            if isinstance(found, AudioFacts):
                self.facts = found
                return None
            if not isinstance(found, Turn):
                return found
            if self.is_live():
                await asyncio.sleep(rest_s(loop.time() - begin_s))


async def in_order(channels: Sequence[JobChannel]) -> AsyncGenerator[tuple[JobChannel, Stretch], None]:
    """The stretches of all channels, by their start."""
    heads: list[tuple[JobChannel, Stretch]] = []
    for one in channels:
        if (stretch := await one.next()) is not None:
            heads.append((one, stretch))
    while heads:
        first = min(range(len(heads)), key=lambda at: heads[at][1].start_sample)
        one, stretch = heads.pop(first)
        yield one, stretch
        if (following := await one.next()) is not None:
            heads.append((one, following))
