"""Decode a recording in any format that FFmpeg reads into blocks of 16 kHz mono.

Blocking: run it in a thread. Both ports use it, so they accept and refuse the same files. Handles containers
and codecs, fills gaps in timestamps with silence (so that times stay right), and reports whether the
recording is complete. Play lists are refused: they make FFmpeg open other files and addresses.
Invariant: at most `seconds_max` of audio comes out, and at most a few seconds are in memory.
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
    "mp3,mpeg,mpegts,ogg,opus,rm,sbc,spdif,tak,tta,voc,w64,wav,wv,"
    "aa,act,dhav,dsf,dss,dtshd,dv,gxf,iff,ilbc,ircam,lc3,loas,mlp,mmf,mpc,mpc8,mxf,nistsphere,nsv,nut,oma,"
    "pva,pvf,qcp,shn,sox,truehd,ty,wtv,wve,xwma"
)
"""Containers of audio and film; the second half are rarer ones of dictation machines, broadcast and speech
corpora. Formats that refer to other files (hls, dash, concat, image2) and those of games are left out.
"""
HEADERLESS = {
    ".ulaw": "mulaw",
    ".mulaw": "mulaw",
    ".ul": "mulaw",
    ".pcmu": "mulaw",
    ".alaw": "alaw",
    ".al": "alaw",
    ".pcma": "alaw",
    ".g722": "g722",
    ".sln": "sln",
}
"""Telephony audio without a header, mono: 8 kHz, and G.722 16 kHz. Only the file's name shows the format."""
NO_HEADER = (
    "Audio without a header is accepted if its name ends in .ulaw, .alaw or .sln (8 kHz mono), or in .g722"
)
RATE_MIN, RATE_MAX = 4_000, 384_000
VALUES_PER_S_MAX = 384_000
"""Sample rate times channels: 48 kHz x 8 or 192 kHz x 2. With a higher limit a small file could decode to a
billion values.
"""
_OPTIONS = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file"}
_EXACT_LENGTHS = frozenset({"flac", "ape", "tta", "tak", "wv"})
"""The headers of these formats count samples; nothing else in the file shows that its end is missing."""
_LENGTH_SLACK_S = 0.25  # some codecs begin or end with part of a frame
_GAP_SAMPLES = SAMPLE_RATE // 5
"""Timestamps vary by a frame. From 200 ms without audio on, the recording has a gap."""
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
    """How many audio tracks a recording has. Raises AudioFileError: 415 not a recording, 422 empty."""
    with contextlib.ExitStack() as stack:
        file, facts = _opened(source, stack)
        return len(stack.enter_context(_container(file, name, facts)).streams.audio)


class AudioFile:
    """One track of a recording. Iterate once for its blocks: (n,) float32 in [-1, 1], one second each.

    Raises AudioFileError: 413 longer than seconds_max, 415 not readable by FFmpeg, 422 without audio, without
    this track, or with a sample rate that is not accepted.
    """

    def __init__(
        self,
        source: Path | bytes,
        seconds_max: int,
        *,
        name: str = "",
        track: int = 0,
        side: int | None = None,
    ) -> None:
        """source: the file, or its bytes. name: the file name from the caller; its ending shows headerless
        formats. track: which audio track, from 0. side: which channel of the track, from 0; None: all, mixed.
        """
        self._seconds_max = seconds_max
        self._samples_max = seconds_max * SAMPLE_RATE
        self._read_samples = 0
        self._ends_damaged = False
        self._damaged = 0  # packets that could not be decoded
        self.track = track
        self._side = side
        with contextlib.ExitStack() as stack:
            file, self._facts = _opened(source, stack)
            self._container = stack.enter_context(_container(file, name, self._facts))
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
        """The length of the recording by its header; None if the header does not have it."""
        if self._facts.announced_s is not None:
            return self._facts.announced_s
        if not self._facts.has_length and self._container.format.name not in _EXACT_LENGTHS:
            return None
        duration = self._container.duration
        return duration / _MICROSECONDS if duration and duration > 0 else None

    @property
    def sides(self) -> int:
        """Channels of the track: 2 for stereo."""
        return int(self._stream.codec_context.channels)

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
            text = "the file holds no audio"
            if self._damaged:
                text = "none of the file's audio can be decoded: it is damaged"
            raise AudioFileError("empty_audio", text, 422)
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
        """Refuse a recording whose header says that it is too long, before anything is decoded."""
        announced_s = self.announced_s
        if announced_s is not None and announced_s > self._seconds_max and not self._facts.is_cut:
            raise self._too_long()

    def _too_long(self) -> AudioFileError:
        text = f"the recording is longer than {self._seconds_max} s; send it in parts"
        return AudioFileError("too_long", text, 413)

    def _pieces(self) -> Iterator[Float32Array]:
        """The decoded audio, with silence where the timestamps jump."""
        converter, form, at = None, None, 0
        for frame in self._frames():
            shape = (frame.format.name, frame.layout.name, frame.sample_rate)
            if form != shape or converter is None:
                if converter is not None:
                    for samples in converter.flush():
                        at += len(samples)
                        yield samples
                _check_form(frame.sample_rate, frame.layout.nb_channels)
                converter, form = ToMono(frame.sample_rate, self._side), shape
            for silence in self._hole_before(frame, at):
                at += len(silence)
                yield silence
            for samples in _fed(converter, frame):
                at += len(samples)
                yield samples
        if converter is not None:
            yield from converter.flush()

    def _hole_before(self, frame: Any, at: int) -> Iterator[Float32Array]:
        """Zeros up to the frame's timestamp. A jump past the limit is a broken clock and is ignored."""
        if frame.pts is None or frame.time_base is None:
            return
        begin_s = (self._container.start_time or 0) / _MICROSECONDS
        missing = round((float(frame.pts * frame.time_base) - begin_s) * SAMPLE_RATE) - at
        if not _GAP_SAMPLES < missing <= self._samples_max - at:
            return
        for first in range(0, missing, _BLOCK_SAMPLES):
            yield np.zeros(min(_BLOCK_SAMPLES, missing - first), np.float32)

    def _frames(self) -> Iterator[Any]:
        """The decoded frames. Damaged packets are left out, as players do."""
        last = LastPacket()
        try:
            for packet in self._container.demux(self._stream):
                if packet.has_sidedata("encryption_info"):  # now and then, one decodes to noise
                    raise AudioFileError(
                        "empty_audio", "the file's audio is encrypted; decrypt it first", 422
                    )
                try:
                    frames = packet.decode()
                except (av.FFmpegError, ValueError):
                    self._damaged += 1
                    last.note(packet, is_damaged=True)
                    continue
                last.note(packet, is_damaged=False)
                yield from frames
        except (av.FFmpegError, ValueError) as error:
            self._ends_damaged = True
            logger.warning("a recording ends early because of a read error: %s", _reason(error))
        self._ends_damaged = self._ends_damaged or last.is_incomplete(self._container.format.name)
        if self._damaged:
            logger.warning("%d damaged packets of a recording were left out", self._damaged)


def _opened(source: Path | bytes, stack: contextlib.ExitStack) -> tuple[Any, ContainerFacts]:
    """An open file instead of its name, so FFmpeg has no folder in which it could open other files."""
    is_empty = not source if isinstance(source, bytes) else not source.stat().st_size
    if is_empty:
        raise AudioFileError("empty_audio", "the file is empty", 422)
    if isinstance(source, bytes):
        return io.BytesIO(source), facts_of(source)
    file = stack.enter_context(source.open("rb"))
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        return file, facts_of(mapped)


def _container(file: Any, name: str, facts: ContainerFacts) -> Any:
    headerless = HEADERLESS.get(PurePath(name).suffix.lower())
    try:
        if headerless is not None and not _has_header(file):
            options = {"format_whitelist": headerless, "protocol_whitelist": "file", "sample_rate": "8000"}
            return av.open(file, "r", format=headerless, options=options)
        return av.open(file, "r", options=dict(_OPTIONS), metadata_errors="ignore")
    except (av.FFmpegError, ValueError, OverflowError) as error:
        reason = f"{_reason(error)}. {NO_HEADER}"
        if facts.lacks_index:
            reason = "its index (moov) is missing, as when a recorder or a copy was broken off"
        elif facts.is_cut:
            reason = "the file is cut off, and what is there cannot be read alone"
        text = f"the file cannot be read as a recording: {reason}"
        raise AudioFileError("wrong_type", text, 415) from error


def _has_header(file: Any) -> bool:
    """True if the first bytes are those of a container, whatever the file's name says."""
    head = file.read(12)
    file.seek(0)
    return (
        head[:4] in (b"RIFF", b"RF64", b"OggS", b"fLaC", b".snd", b"\x1a\x45\xdf\xa3") or head[4:8] == b"ftyp"
    )


def _check_form(rate: int, channels: int) -> None:
    """Raises AudioFileError 422 for a rate or a number of channels outside what speech recordings have."""
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
    """FFmpeg's own sentence for an error; never the text of a Python exception."""
    text = getattr(error, "strerror", None) if isinstance(error, av.FFmpegError) else None
    return str(text)[:120] if text else "it is damaged"
