"""Archives the audio of a job's channel, so that it can be played like that of a live channel.

Invariant: blocks go to the archive in whole packets of 20 ms, one behind the other, so that the encoder makes
no seam between two stretches.
"""

from __future__ import annotations

import asyncio

import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array
from webrtc_host.archive.archive import Archive
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.seams import Block

PACKET_SAMPLES = SAMPLE_RATE // 50
SPACE_WAIT_S = 20.0
EVER = 2**62


class AudioKeeper:
    """One per channel of a job. archived_sample: up to here the archive has the audio."""

    def __init__(self, archive: Archive | None, key: ChannelKey, archived_sample: int = 0) -> None:
        """archive: None: no audio is archived."""
        self._archive, self._key = archive, key
        self._at = archived_sample
        self._rest: Float32Array = np.zeros(0, np.float32)  # audio from `_at` on, less than a packet

    async def keep(self, start_sample: int, samples: Float32Array) -> None:
        """Archive the samples, without what is archived already. Waits for space; gives up when the archive
        cannot write: text is worth more than audio.
        """
        archive, end = self._archive, self._at + len(self._rest)
        if archive is None or start_sample + len(samples) <= end:
            return
        if start_sample > end:  # audio between was given up
            self._at, self._rest, end = start_sample, self._rest[:0], start_sample
        held = np.concatenate((self._rest, samples[end - start_sample :]))
        whole = len(held) // PACKET_SAMPLES * PACKET_SAMPLES
        self._rest = held[whole:].copy()
        await self._put(archive, held[:whole])

    async def finish(self) -> None:
        """Archive the rest, filled with silence to a whole packet."""
        if self._archive is not None and len(self._rest):
            rest, self._rest = self._rest, self._rest[:0]
            await self._put(self._archive, np.pad(rest, (0, PACKET_SAMPLES - len(rest))))

    async def _put(self, archive: Archive, samples: Float32Array) -> None:
        start, self._at = self._at, self._at + len(samples)
        if not len(samples):
            return
        while archive.trouble is None:
            space = await archive.uploads.reserve(len(samples), SPACE_WAIT_S)
            if space is not None:
                space.keep(self._key.session, self._key.channel, Block(start, samples))
                return


async def archived_upto(archive: Archive | None, key: ChannelKey) -> int:
    """End of the channel's audio in the archive, in whole packets; without an archive: everything."""
    if archive is None:
        return EVER
    end = await asyncio.to_thread(archive.end_before, key, EVER)
    return end // PACKET_SAMPLES * PACKET_SAMPLES
