"""One source of a connection: its channels, their feeds, and the reader that decodes its audio.

The conversation opens a source, passes bytes to it, and closes it. Invariant: after `close` or `detach` its
channels are free, and after `close` no task or thread of it is left.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from host_stt.contract import AUTO
from webrtc_host.doors.socket_audio import AudioReader
from webrtc_host.doors.socket_feed import FeedConfig, SocketFeed
from webrtc_host.errors import RequestError
from webrtc_host.media.encodings import AudioFormat, Encoding
from webrtc_host.media.stream_time import StreamTime
from webrtc_host.seams import SAMPLES_PER_MS, ms_of
from webrtc_host.session.channel import Channel, ChannelSpec
from webrtc_host.wires.messages import Open, StreamClock, StreamSpec
from webrtc_host.wires.source_audio import make_source_reader, slices

logger = logging.getLogger(__name__)

FINISH_S = 2.0
"""For decoding the rest when a connection ends without saying that it is done."""

FeedConfigOf = Callable[[str], FeedConfig]
"""The configuration of the feed of a channel, such as C01."""


def channel_spec(spec: StreamSpec) -> ChannelSpec:
    """The request of a stream to the registry.

    A channel that the client did not name may have settings of an earlier client, so it gets new ones.
    """
    if spec.channel is not None:
        return ChannelSpec(spec.channel, spec.label, spec.language, spec.terms, spec.misheard)
    return ChannelSpec(None, spec.label, spec.language or AUTO, spec.terms or (), spec.misheard)


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream with its channel and its feed."""

    name: str
    channel: Channel
    feed: SocketFeed

    @property
    def time(self) -> StreamTime:
        return self.feed.time

    def clock(self) -> StreamClock:
        received = self.feed.samples
        live = self.feed.time.count_at(self.channel.session.now_sample())
        pipeline = self.channel.pipeline
        pause_ms = 0 if pipeline is None else pipeline.pause_ms
        return StreamClock(ms_of(received), ms_of(max(received, live)), pause_ms)


class Source:
    def __init__(self, name: str, audio: AudioFormat, streams: tuple[Stream, ...]) -> None:
        """Raises RequestError 422 when the encoding does not fit the number of streams."""
        self.name = name
        self.streams = streams
        self._audio = audio
        self._reader: AudioReader = make_source_reader(audio, [stream.feed for stream in streams])
        self.is_closed = False

    @classmethod
    def opened(cls, request: Open, channels: tuple[Channel, ...], feed_config: FeedConfigOf) -> Source:
        """Open the channels, which the connection holds already."""
        for channel in channels:
            channel.open()
        streams = tuple(
            Stream(
                spec.name,
                channel,
                SocketFeed(channel, feed_config(channel.id), start_sample=request.start_sample),
            )
            for spec, channel in zip(request.streams, channels, strict=True)
        )
        return cls(request.source, request.format, streams)

    @property
    def is_byte_stream(self) -> bool:
        """Whether its audio may be cut anywhere: everything but Opus packets."""
        return self._audio.encoding is not Encoding.OPUS

    @property
    def is_detached(self) -> bool:
        return any(stream.feed.is_detached for stream in self.streams)

    @property
    def audio_ms(self) -> int:
        return sum(stream.feed.samples for stream in self.streams) // SAMPLES_PER_MS

    @property
    def waits(self) -> int:
        return sum(stream.feed.waits for stream in self.streams)

    async def write(self, data: bytes) -> None:
        """Decode a frame and pass it on; waits while the source is faster than real time."""
        await self.streams[0].feed.admit()
        if data:  # some senders mark a pause, or test the connection, with an empty frame
            for part in slices(self._audio, data):
                await self._reader.write(part)

    async def finish(self) -> None:
        """End of the frames: decode what is left."""
        await self._reader.finish()

    def on_tick(self) -> None:
        for stream in self.streams:
            stream.feed.on_tick()

    def hurry(self) -> None:
        for stream in self.streams:
            stream.feed.hurry()

    async def force_end(self, stream: Stream) -> None:
        """End the running utterance of a stream; returns when its finals are in the log."""
        stream.feed.flush()  # audio whose place is not decided yet
        if stream.channel.pipeline is not None and not stream.feed.is_detached:
            await stream.channel.pipeline.force_end()

    async def drain(self, *, is_readable: bool) -> None:
        """Decode what was received and not decoded yet, and close the decoder.

        is_readable: False after an error of the audio itself.
        """
        self.hurry()
        try:
            if is_readable:
                await asyncio.wait_for(self._reader.finish(), FINISH_S)
        except (RequestError, TimeoutError) as error:
            logger.info("the end of a socket's audio was not decoded: %s", error)
        except Exception:
            logger.exception("the end of a socket's audio could not be passed on")
        try:
            await self._reader.close()
            for stream in self.streams:
                stream.feed.flush()
        except Exception:
            logger.exception("the decoder of a socket could not be closed")

    async def close(self, reason: str) -> int | None:
        """Close the channels after their last words. Returns the seq of the last event; None if detached."""
        self.is_closed = True
        if self.is_detached:
            return None
        for stream in self.streams:
            stream.feed.detach()
        return max(await asyncio.gather(*(stream.channel.close(reason) for stream in self.streams)))

    def detach(self, reason: str) -> None:
        """Free the channels at once; their last windows are transcribed in the background."""
        for stream in self.streams:
            if not stream.feed.is_detached:
                stream.feed.detach()
                stream.channel.detach(reason)
