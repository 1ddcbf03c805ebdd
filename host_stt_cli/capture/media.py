"""Read a file or a URL as blocks of 16 kHz mono.

Blocking: the generators run in a thread. A file is read like an uploaded recording. A URL is opened by FFmpeg
with the protocols of networks only, so a play list of a server cannot name a file of this machine.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from host_stt_cli.capture.inputs import MediaInput
from host_stt_common.audio_file import AudioFile, AudioFileError
from host_stt_common.audio_packets import SAMPLE_RATE, Float32Array, ToMono
from host_stt_common.frames import FrameError

BLOCK_SAMPLES = SAMPLE_RATE // 10
FILE_SECONDS_MAX = 7 * 24 * 3600
OPEN_S, READ_S = 15.0, 10.0
"""Time limits for the connection to a URL, and for each read."""
RATE_MIN, RATE_MAX = 4_000, 384_000
PROTOCOLS = "http,https,httpproxy,tcp,tls,udp,rtp,rtsp,srt,rtmp,rtmps,rtmpt,crypto,hls"
OPTIONS = {"protocol_whitelist": PROTOCOLS, "rtsp_flags": "prefer_tcp"}


class SourceError(Exception):
    """The source cannot be read. is_final: another attempt does not help."""

    def __init__(self, message: str, *, is_final: bool) -> None:
        super().__init__(message)
        self.is_final = is_final


class MediaReader:
    """One opening of an input. Raises SourceError, from the constructor too."""

    def __init__(self, source: MediaInput) -> None:
        self.is_live = False
        """True for a source without an end, which delivers at its own speed."""
        self._container: Any = None
        if source.is_url:
            self._container = _opened(source.source)
            # A recording has a length; a camera and a radio station have none.
            self.is_live = not (self._container.duration or 0) > 0
            self._blocks = _cut(_url_audio(self._container))
        else:
            self._blocks = _cut(_file_audio(Path(source.source)))

    def read(self) -> bytes | None:
        """The next 100 ms (the last block is shorter), 16-bit little-endian. None: the end."""
        samples = next(self._blocks, None)
        if samples is None:
            return None
        return np.round(samples * 32767).astype("<i2").tobytes()

    def close(self) -> None:
        self._blocks.close()
        if self._container is not None:
            self._container.close()


def _file_audio(path: Path) -> Iterator[Float32Array]:
    try:
        with AudioFile(path, FILE_SECONDS_MAX, name=path.name) as recording:
            yield from recording
    except AudioFileError as error:
        raise SourceError(error.message, is_final=True) from error
    except OSError as error:
        raise SourceError(error.strerror or "the file cannot be read", is_final=True) from error


def _opened(url: str) -> Any:
    try:
        container = av.open(
            url, "r", options=dict(OPTIONS), timeout=(OPEN_S, READ_S), metadata_errors="ignore"
        )
    except (av.FFmpegError, ValueError, OverflowError, OSError) as error:
        raise SourceError(_reason(error), is_final=False) from error
    if not container.streams.audio:
        container.close()
        raise SourceError("there is no audio in it", is_final=False)
    return container


def _url_audio(container: Any) -> Iterator[Float32Array]:
    converter, form = None, None
    try:
        for packet in container.demux(container.streams.audio[0]):
            for frame in _frames(packet):
                shape = (frame.format.name, frame.layout.name, frame.sample_rate)
                if converter is None or shape != form:
                    if converter is not None:
                        yield from converter.flush()
                    converter, form = _converter(frame.sample_rate), shape
                yield from converter.feed(frame)
    except FrameError as error:
        raise SourceError(str(error), is_final=False) from error
    except (av.FFmpegError, ValueError, OSError) as error:
        raise SourceError(_reason(error), is_final=False) from error
    if converter is not None:
        yield from converter.flush()


def _converter(rate: int) -> ToMono:
    if not RATE_MIN <= rate <= RATE_MAX:
        text = f"its sample rate is {rate} Hz; {RATE_MIN} to {RATE_MAX} Hz can be read"
        raise SourceError(text, is_final=False)
    return ToMono(rate)


def _frames(packet: Any) -> Iterable[Any]:
    """The frames of a packet; none of a damaged one, as players do."""
    try:
        return list(packet.decode())
    except (av.FFmpegError, ValueError):
        return ()


def _cut(pieces: Iterable[Float32Array]) -> Generator[Float32Array, None, None]:
    """Blocks of 100 ms; the last one may be shorter."""
    rest: Float32Array = np.empty(0, np.float32)
    for piece in pieces:
        rest = np.concatenate((rest, piece))
        whole = len(rest) // BLOCK_SAMPLES * BLOCK_SAMPLES
        for at in range(0, whole, BLOCK_SAMPLES):
            yield rest[at : at + BLOCK_SAMPLES]
        rest = rest[whole:]
    if len(rest):
        yield rest


def _reason(error: Exception) -> str:
    """FFmpeg's own sentence, which has no URL in it."""
    if isinstance(error, av.error.ExitError):
        return "it does not answer"
    text = getattr(error, "strerror", None)
    return str(text)[:120] if text else "it cannot be read"
