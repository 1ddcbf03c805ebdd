"""A recording of any kind that FFmpeg reads becomes blocks of 16 kHz mono, a little at a time.

Blocking: runs in a thread. The same for both ports, so that they take and refuse the same files. Owns
containers and codecs, gaps in timestamps (silence, so that times stay true), what is refused, and whether the
recording is whole. Play lists are refused by name: they make FFmpeg open other files and addresses.
Invariant: never more than `seconds_max` comes out, and never more than a few seconds are held.
"""

from __future__ import annotations

import contextlib
import io
import logging
import mmap
from collections.abc import Iterator
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from numpy.typing import NDArray

from host_stt_common.audio_facts import AudioFacts
from host_stt_common.audio_packets import SAMPLE_RATE, LastPacket, ToMono
from host_stt_common.container_facts import ContainerFacts, facts_of
from host_stt_common.frames import FrameError

logger = logging.getLogger(__name__)

Float32Array = NDArray[np.float32]
DEMUXERS = (
    "aac,ac3,eac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dts,flac,flv,gsm,matroska,webm,mov,mp4,m4a,3gp,3g2,"
    "mp3,mpeg,mpegts,ogg,opus,rm,sbc,spdif,tak,tta,voc,w64,wav,wv"
)
"""Containers of audio and film. Not among them: hls, dash, concat, image2 and the like, which name others."""
HEADERLESS = {
    ".ulaw": "mulaw",
    ".mulaw": "mulaw",
    ".ul": "mulaw",
    ".pcmu": "mulaw",
    ".alaw": "alaw",
    ".al": "alaw",
    ".pcma": "alaw",
}
"""Telephony without a header, 8 kHz mono, known by the file's name alone."""
RATE_MIN, RATE_MAX = 4_000, 384_000
VALUES_PER_S_MAX = 384_000
"""Sample rate times channels: 48 kHz x 8 or 192 kHz x 2. More unpacks a small file into a billion values."""
_OPTIONS = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file"}
_EXACT_LENGTHS = frozenset({"flac", "ape", "tta", "tak", "wv"})
"""Their headers count samples, and nothing else in the file tells that its end is missing."""
_LENGTH_SLACK_S = 0.25  # of codecs that begin or end with a part of a frame
_GAP_SAMPLES = SAMPLE_RATE // 5
"""Timestamps jitter by a frame; 200 ms without any is a hole in the recording."""
_BLOCK_SAMPLES = SAMPLE_RATE
_MICROSECONDS = 1_000_000


class AudioFileError(Exception):
    """A file that cannot be used: a stable `code`, a sentence for people, an HTTP status."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def tracks_of(source: Path | bytes, *, name: str = "") -> int:
    """How many audio tracks a recording has. Raises AudioFileError: 415 it is none, 422 it is empty."""
    with contextlib.ExitStack() as stack:
        file, _ = _opened(source, stack)
        return len(stack.enter_context(_container(file, name)).streams.audio)


class AudioFile:
    """One track of a recording, opened; iterate once for its blocks: (n,) float32 in [-1, 1], a second each.

    Raises AudioFileError: 413 longer than seconds_max, 415 nothing that FFmpeg reads, 422 without audio,
    without this track, or of a rate that is not taken.
    """

    def __init__(self, source: Path | bytes, seconds_max: int, *, name: str = "", track: int = 0) -> None:
        """source: the file, or its bytes. name: as the caller named it; tells headerless kinds apart. track:
        which audio track, from 0.
        """
        self._seconds_max = seconds_max
        self._samples_max = seconds_max * SAMPLE_RATE
        self._read_samples = 0
        self._ends_damaged = False
        self.track = track
        with contextlib.ExitStack() as stack:
            file, self._facts = _opened(source, stack)
            self._container = stack.enter_context(_container(file, name))
            self.tracks = len(self._container.streams.audio)
            self._stream = self._chosen()
            self._check_length()
            self._open = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def announced_s(self) -> float | None:
        """How long the header says the recording is; None where it does not know."""
        if self._facts.announced_s is not None:
            return self._facts.announced_s
        if not self._facts.has_length and self._container.format.name not in _EXACT_LENGTHS:
            return None
        duration = self._container.duration
        return duration / _MICROSECONDS if duration and duration > 0 else None

    @property
    def facts(self) -> AudioFacts:
        """After the last block."""
        read_s, announced_s = self._read_samples / SAMPLE_RATE, self.announced_s
        is_short = (
            self._container.format.name in _EXACT_LENGTHS
            and announced_s is not None
            and read_s < announced_s - _LENGTH_SLACK_S
        )
        is_cut = self._facts.is_cut or self._ends_damaged or is_short
        return AudioFacts(read_s, announced_s, not is_cut, self.track, self.tracks)

    def __iter__(self) -> Iterator[Float32Array]:
        held: list[Float32Array] = []
        held_samples = 0
        for samples in self._pieces():
            self._read_samples += len(samples)
            if self._read_samples > self._samples_max:
                raise self._too_long()
            held.append(samples)
            held_samples += len(samples)
            if held_samples >= _BLOCK_SAMPLES:
                yield np.concatenate(held)
                held, held_samples = [], 0
        if not self._read_samples:
            raise AudioFileError("empty_audio", "the file holds no audio", 422)
        if held:
            yield np.concatenate(held)

    def _chosen(self) -> Any:
        if not self.tracks:
            raise AudioFileError("empty_audio", "the file holds no audio", 422)
        if not 0 <= self.track < self.tracks:
            which = (
                "one audio track, number 0" if self.tracks == 1 else f"audio tracks 0 to {self.tracks - 1}"
            )
            raise AudioFileError("unknown_track", f"the file has {which}; {self.track} is none of them", 422)
        stream = self._container.streams.audio[self.track]
        if stream.codec_context is None:
            raise AudioFileError("wrong_type", "the file's audio is of a kind that cannot be read", 415)
        _check_form(stream.codec_context.sample_rate, stream.codec_context.channels)
        return stream

    def _check_length(self) -> None:
        """Refuse by the header what is surely too long, before anything is decoded."""
        announced_s = self.announced_s
        if announced_s is not None and announced_s > self._seconds_max and not self._facts.is_cut:
            raise self._too_long()

    def _too_long(self) -> AudioFileError:
        text = f"the recording is longer than {self._seconds_max} s; send it in parts"
        return AudioFileError("too_long", text, 413)

    def _pieces(self) -> Iterator[Float32Array]:
        """As decoded, with silence where timestamps leap."""
        converter, form, at = None, None, 0
        for frame in self._frames():
            shape = (frame.format.name, frame.layout.name, frame.sample_rate)
            if form != shape or converter is None:
                if converter is not None:
                    for samples in converter.flush():
                        at += len(samples)
                        yield samples
                _check_form(frame.sample_rate, frame.layout.nb_channels)
                converter, form = ToMono(frame.sample_rate), shape
            for silence in self._hole_before(frame, at):
                at += len(silence)
                yield silence
            for samples in _fed(converter, frame):
                at += len(samples)
                yield samples
        if converter is not None:
            yield from converter.flush()

    def _hole_before(self, frame: Any, at: int) -> Iterator[Float32Array]:
        """Zeros up to where the frame belongs. A leap past the limit is a broken clock: left out."""
        if frame.pts is None or frame.time_base is None:
            return
        begin_s = (self._container.start_time or 0) / _MICROSECONDS
        missing = round((float(frame.pts * frame.time_base) - begin_s) * SAMPLE_RATE) - at
        if not _GAP_SAMPLES < missing <= self._samples_max - at:
            return
        for first in range(0, missing, _BLOCK_SAMPLES):
            yield np.zeros(min(_BLOCK_SAMPLES, missing - first), np.float32)

    def _frames(self) -> Iterator[Any]:
        """Damaged packets are left out, as players do; a file of nothing else has no audio."""
        damaged = 0
        last = LastPacket()
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except (av.FFmpegError, ValueError):
                    damaged += 1
                    last.note(packet, is_damaged=True)
                    continue
                last.note(packet, is_damaged=False)
                yield from frames
        except (av.FFmpegError, ValueError) as error:
            self._ends_damaged = True
            logger.warning("a recording breaks off: %s", _reason(error))
        self._ends_damaged = self._ends_damaged or last.is_torn(self._container.format.name)
        if damaged:
            logger.warning("%d damaged packets of a recording were left out", damaged)


def _opened(source: Path | bytes, stack: contextlib.ExitStack) -> tuple[Any, ContainerFacts]:
    """An open file, not its name: FFmpeg then has no folder to look for others in."""
    is_empty = not source if isinstance(source, bytes) else not source.stat().st_size
    if is_empty:
        raise AudioFileError("empty_audio", "the file is empty", 422)
    if isinstance(source, bytes):
        return io.BytesIO(source), facts_of(source)
    file = stack.enter_context(source.open("rb"))
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        return file, facts_of(mapped)


def _container(file: Any, name: str) -> Any:
    headerless = HEADERLESS.get(PurePath(name).suffix.lower())
    try:
        if headerless is not None and not _has_header(file):
            options = {"format_whitelist": headerless, "protocol_whitelist": "file", "sample_rate": "8000"}
            return av.open(file, "r", format=headerless, options=options)
        return av.open(file, "r", options=dict(_OPTIONS), metadata_errors="ignore")
    except (av.FFmpegError, ValueError, OverflowError) as error:
        text = (
            f"the file is no recording that can be read: {_reason(error)}. Audio without a header is taken "
            "when its name ends in .ulaw or .alaw (8 kHz mono)"
        )
        raise AudioFileError("wrong_type", text, 415) from error


def _has_header(file: Any) -> bool:
    """A WAV stays one, whatever it is called."""
    head = file.read(12)
    file.seek(0)
    return (
        head[:4] in (b"RIFF", b"RF64", b"OggS", b"fLaC", b".snd", b"\x1a\x45\xdf\xa3") or head[4:8] == b"ftyp"
    )


def _check_form(rate: int, channels: int) -> None:
    """Raises AudioFileError 422 for a rate or a number of channels that nobody records speech with."""
    if rate and not RATE_MIN <= rate <= RATE_MAX:
        text = f"the sample rate is {rate} Hz; {RATE_MIN} to {RATE_MAX} Hz can be read"
        raise AudioFileError("bad_audio", text, 422)
    if rate * channels > VALUES_PER_S_MAX:
        text = (
            f"{rate} Hz with {channels} channels are over the limit of {VALUES_PER_S_MAX} values a second "
            "(48 kHz with 8 channels); save the recording with a lower rate"
        )
        raise AudioFileError("bad_audio", text, 422)


def _fed(converter: ToMono, frame: av.AudioFrame) -> Iterator[Float32Array]:
    try:
        yield from converter.feed(frame)
    except FrameError as error:
        raise AudioFileError("bad_audio", f"the recording cannot be used: {error}", 422) from error


def _reason(error: Exception) -> str:
    """FFmpeg's words for it; never Python's."""
    text = getattr(error, "strerror", None) if isinstance(error, av.FFmpegError) else None
    return str(text)[:120] if text else "it is damaged"
