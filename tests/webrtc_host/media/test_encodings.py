"""The container is recognised by its first bytes, and decoded as far as FFmpeg can."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from tests.support.peers import tone_bursts
from webrtc_host.media.container import FORMATS, StreamDecoder
from webrtc_host.media.encodings import SNIFF_BYTES, Container, sniffed

SOUND = tone_bursts(500, (0.2,), 0.6)
MADE = {  # container -> FFmpeg's format and codec
    Container.WEBM: ("webm", "libopus"),
    Container.OGG: ("ogg", "libopus"),
    Container.WAV: ("wav", "pcm_s16le"),
    Container.FLAC: ("flac", "flac"),
    Container.MP3: ("mp3", "libmp3lame"),
    Container.MP4: ("mp4", "aac"),
    Container.AAC: ("adts", "aac"),
}


def file_of(form: str, codec: str) -> bytes:
    out = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov"} if form == "mp4" else {}
    with av.open(out, "w", format=form, options=options) as container:
        stream = container.add_stream(codec, rate=48_000)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(SOUND[np.newaxis, :], format="s16", layout="mono")
        frame.sample_rate = 48_000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return out.getvalue()


@pytest.mark.parametrize("container", MADE)
async def test_a_container_is_recognised_and_decoded(container: Container) -> None:
    data = file_of(*MADE[container])
    assert sniffed(data[:SNIFF_BYTES]) is container
    decoder = StreamDecoder(container.value)
    for at in range(0, len(data), 1000):
        await decoder.write(data[at : at + 1000])
    decoder.end_input()
    samples = 0
    while pieces := await decoder.pieces():
        samples += sum(len(piece.samples) for piece in pieces)
    await decoder.close()
    assert samples == pytest.approx(0.6 * 16_000, abs=1600)


def test_other_bytes_are_no_container() -> None:
    for head in (b"", b"RIFF....AVI ", b"#EXTM3U\n....", b"\x00" * SNIFF_BYTES, b"<html>......"):
        assert sniffed(head) is None
    assert {container.value for container in Container} - {"any"} == set(FORMATS)
