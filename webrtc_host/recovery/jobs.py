"""Jobs: each is one piece of past audio that has to be read, with a note in the record.

This module has the keys and values of the notes (rows of the table `meta`). A note is still there after a
crash, so that the next start finds the job again. Invariant: a note changes only when all finals of the job
are saved.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.events import Talker
from webrtc_host.recovery.audio import PastAudio
from webrtc_host.recovery.known import Range
from webrtc_host.recovery.plan import Plan
from webrtc_host.seams import Source
from webrtc_host.session.channel import Channel
from webrtc_host.transcript.meta import delete_meta, meta_with_prefix, put_meta

FEED_READ = "recovered:{session}:{channel}:{opened_seq}"
"""This feed was read after a crash; the value is `done`. Each feed has its own note, because the jobs of
feeds end in any order.
"""
GAPS_TO_READ = "backfill:{session}:{channel}:{start}"
"""These gaps have to be read. `start`: first sample of the first gap; the value is the JSON list of the
gaps, in samples.
"""
GAP_NOTES = "backfill:"


@dataclass(frozen=True, slots=True)
class Job:
    """Past audio of one channel that has to be read.

    what: for log lines, for example "a gap of 4.2 s". source: of its finals. ranges: the time that the job is
    for, as far as it is known before the job begins. plan: makes the plan. It is called when the job begins,
    because the record may have more text by then. note_done: writes to the record that the next start need
    not find the job again. is_awaited: a client waits for the text. talkers: the radios that were heard, in
    the order in which they began.
    """

    channel: Channel
    what: str
    source: Source
    audio: PastAudio
    plan: Callable[[], Awaitable[Plan]]
    ranges: tuple[Range, ...] = ()
    note_done: Callable[[Connection], None] | None = None
    is_awaited: bool = False
    talkers: tuple[Talker, ...] = ()

    @property
    def channel_key(self) -> ChannelKey:
        return channel_key_of(self.channel)

    def reads(self, channel_key: ChannelKey, sample: int) -> bool:
        return self.channel_key == channel_key and any(start <= sample < end for start, end in self.ranges)


def channel_key_of(channel: Channel) -> ChannelKey:
    return ChannelKey(channel.session.id, channel.id)


def note_feed_read(channel_key: ChannelKey, opened_seq: int) -> Callable[[Connection], None]:
    """A write to the record: this feed is done."""
    key = FEED_READ.format(session=channel_key.session, channel=channel_key.channel, opened_seq=opened_seq)
    return partial(put_meta, values={key: "done"})


def feeds_read(connection: Connection, channel_key: ChannelKey) -> set[int]:
    """opened_seq of the channel's feeds that are done."""
    prefix = FEED_READ.format(session=channel_key.session, channel=channel_key.channel, opened_seq="")
    return {int(key.removeprefix(prefix)) for key in meta_with_prefix(connection, prefix)}


def note_gaps(channel_key: ChannelKey, gaps: Sequence[Range]) -> Callable[[Connection], None]:
    """A write to the record: these gaps have to be read."""
    return partial(put_meta, values={gaps_key(channel_key, gaps): json.dumps(gaps)})


def remove_gaps_note(key: str) -> Callable[[Connection], None]:
    """A write to the record: the gaps of this note are done."""
    return partial(delete_meta, key=key)


def gaps_key(channel_key: ChannelKey, gaps: Sequence[Range]) -> str:
    return GAPS_TO_READ.format(
        session=channel_key.session, channel=channel_key.channel, start=gaps[0].start_sample
    )


def noted_gaps(connection: Connection) -> Iterable[tuple[str, ChannelKey, list[Range]]]:
    """(key, channel_key, gaps) of every note about gaps."""
    found = []
    for key, value in meta_with_prefix(connection, GAP_NOTES).items():
        _, session, channel, _ = key.split(":")
        gaps = [Range(int(start), int(end)) for start, end in json.loads(value)]
        found.append((key, ChannelKey(session, channel), gaps))
    return found
