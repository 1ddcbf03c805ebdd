"""Stereo through the real inputs of a running server: the words of both sides, and the coverage.

Some cases for each input; every rate, level and phase is tested at the decoders:
`test_stereo_is_decoded_whole_at_every_door.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av.packet import Packet

from host_stt.contract import Float32Array
from tests.scenarios.voices import SocketWatcher, said, wer
from tests.support.audio_files import encoded
from tests.support.peers import FRAME, Client
from tests.support.polling import until
from tests.support.server import Server, run
from tests.support.socket_audio import interleaved
from tests.support.stereo import CLIP_TEXT, hum, sides, speech, stereo_packets

pytestmark = [pytest.mark.net, pytest.mark.peer, pytest.mark.model]

WER_MAX = 0.15
"""One word of seven, as the clip itself is read at times."""
TEXT_S = 60.0
"""For the last word on a busy machine; alone it takes a second."""
TWICE = f"{CLIP_TEXT} {CLIP_TEXT}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Server(tmp_path_factory.mktemp("stereo")) as running:
        running.wait_ready()
        yield running


@pytest.fixture
async def http(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url) as client:
        yield client


def turns(rate: int, right_db: float) -> Float32Array:
    """Left, then right; at most two speeches, so that the text is short."""
    planes, spoken = sides("turns", rate, right_db)
    return planes[:, : spoken[2].start]


def opposite(rate: int) -> Float32Array:
    return np.stack([speech(rate), -speech(rate)])


def beside_hum(rate: int) -> Float32Array:
    side = speech(rate) * np.float32(0.3)
    return np.stack([hum(len(side), rate), side])


class Desk:
    """A watcher of a separate session that receives audio."""

    def __init__(self, http: aiohttp.ClientSession, server: Server) -> None:
        self._http = http
        self._server = server
        self.session = ""
        self.watcher = SocketWatcher()

    async def __aenter__(self) -> Desk:
        async with self._http.post("/sessions/create", json={}) as response:
            self.session = (await response.json())["session_id"]
        await self.watcher.open(self._http, self._server.url, session=self.session)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.watcher.leave()

    async def text(self) -> str:
        """The text of the channel, after it has closed."""
        await until(lambda: self.closed, TEXT_S, "the end of the channel")
        return said(self.watcher.events)

    @property
    def closed(self) -> bool:
        return any(event["type"] == "channel.closed" for event in self.watcher.events)

    async def feed(self, start: dict[str, Any], frames: Sequence[bytes], frame_s: float) -> str:
        """Send the frames over the socket in real time; returns the text."""
        async with self._http.ws_connect("/ws/pcm/C01") as socket:
            await socket.send_json({**start, "session": self.session, "language": "en"})
            assert (await socket.receive_json())["type"] == "started"
            for frame in frames:
                await socket.send_bytes(frame)  # the close waits, because the server reads in real time
            await socket.send_json({"type": "stop"})
            assert json.loads((await socket.receive()).data)["type"] == "stopped"
        return await self.text()


@pytest.mark.parametrize(
    ("planes", "rate", "text"),
    [
        (opposite(8_000), 8_000, CLIP_TEXT),
        (turns(8_000, -20), 8_000, TWICE),
        (beside_hum(16_000), 16_000, CLIP_TEXT),
    ],
    ids=["opposite", "turns", "hum"],
)
async def test_uploads(
    http: aiohttp.ClientSession, server: Server, planes: Float32Array, rate: int, text: str
) -> None:
    async with Desk(http, server) as desk:
        form = aiohttp.FormData()
        fields = {"session_id": desk.session, "channel_id": "C01", "start_ts": "0", "lang": "en"}
        for name, value in fields.items():
            form.add_field(name, value)
        form.add_field("audio", encoded(planes, rate), filename="call.wav")
        async with http.post("/push", data=form) as response:
            body = await response.json()
            assert response.status == 200, body
    assert wer(text, " ".join(segment["text"] for segment in body["segments"])) <= WER_MAX


@pytest.mark.parametrize(
    ("planes", "text"),
    [
        pytest.param(opposite(48_000), CLIP_TEXT, id="opposite"),
        pytest.param(turns(48_000, -10), TWICE, marks=pytest.mark.long, id="turns"),
    ],
)
async def test_opus_packets(
    http: aiohttp.ClientSession, server: Server, planes: Float32Array, text: str
) -> None:
    async with Desk(http, server) as desk:
        heard = await desk.feed({"encoding": "opus"}, stereo_packets(planes), 0.02)
    assert wer(text, heard) <= WER_MAX
    assert spoken_ms(desk) > 2_000, "the speech is not reported as silence"


async def test_a_container(http: aiohttp.ClientSession, server: Server) -> None:
    data = encoded(turns(48_000, -20), 48_000, "webm", "libopus")
    frames = [data[at : at + 2_000] for at in range(0, len(data), 2_000)]
    async with Desk(http, server) as desk:
        assert wer(TWICE, await desk.feed({"encoding": "webm"}, frames, 0.05)) <= WER_MAX


@pytest.mark.parametrize("encoding", ["pcm_s16le", pytest.param("alaw", marks=pytest.mark.long)])
async def test_raw_samples(http: aiohttp.ClientSession, server: Server, encoding: str) -> None:
    data = interleaved(opposite(8_000), encoding)
    frames = [data[at : at + 1_601] for at in range(0, len(data), 1_601)]
    async with Desk(http, server) as desk:
        start = {"encoding": encoding, "sample_rate": 8_000, "channels": 2}
        assert wer(CLIP_TEXT, await desk.feed(start, frames, 0.05)) <= WER_MAX


class StereoTrack(MediaStreamTrack):
    """Sends its packets once, in real time, then ends."""

    kind = "audio"

    def __init__(self, packets: Sequence[bytes]) -> None:
        super().__init__()
        self._packets = packets
        self._sent = 0
        self.is_said = asyncio.Event()
        self._began_s: float | None = None

    async def recv(self) -> Packet[Any]:
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        self._began_s = self._began_s or loop.time()
        await asyncio.sleep(max(0.0, self._began_s + self._sent * 0.02 - loop.time()))
        if self._sent == len(self._packets):
            self.is_said.set()
        packet: Packet[Any] = Packet(self._packets[min(self._sent, len(self._packets) - 1)])
        packet.pts, packet.time_base = self._sent * FRAME, Fraction(1, 48_000)
        self._sent += 1
        return packet


@pytest.mark.parametrize("door", ["offer", pytest.param("whip", marks=pytest.mark.long)])
async def test_webrtc(http: aiohttp.ClientSession, server: Server, door: str) -> None:
    quiet = np.zeros((2, 9_600), np.float32)
    track = StereoTrack(stereo_packets(np.concatenate([opposite(48_000), quiet], axis=1)))
    client = Client([track], data_channel=None)
    async with Desk(http, server) as desk:
        try:
            end = await join(http, client, door, desk.session)
            await asyncio.wait_for(track.is_said.wait(), TEXT_S)
            async with http.delete(end) as response:
                assert response.status == 200
            heard = await desk.text()
        finally:
            await client.close()
    assert wer(CLIP_TEXT, heard) <= WER_MAX
    assert spoken_ms(desk) > 2_000


async def join(http: aiohttp.ClientSession, client: Client, door: str, session: str) -> str:
    """Connect; returns the address that closes the connection."""
    offer = await client.offer()
    if door == "offer":
        body = {**offer, "session": session, "channels": [{"language": "en"}]}
        async with http.post("/offer", json=body) as response:
            answer = await response.json()
            assert response.status == 200, answer
        sdp, end = answer["sdp"], f"/offer/{answer['connection']}"
    else:
        address = f"/whip/C01?session={session}&language=en"
        headers = {"Content-Type": "application/sdp"}
        async with http.post(address, data=offer["sdp"], headers=headers) as response:
            sdp = await response.text()
            assert response.status == 201, sdp
            end = response.headers["Location"]
    await client.pc.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
    return end


def spoken_ms(desk: Desk) -> int:
    """The transcribed time in ms according to the coverage, where later events replace earlier ones."""
    runs = [event for event in desk.watcher.events if event["type"] == "coverage"]
    return sum(run["to_ms"] - run["from_ms"] for run in runs if run["state"] == "transcribed")


@pytest.mark.parametrize("planes", [opposite(16_000), beside_hum(16_000)], ids=["opposite", "hum"])
def test_the_command_reads_recordings(tmp_path: Path, planes: Float32Array) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(encoded(planes, 16_000))
    done = run("transcribe", str(path), "--language", "en", "--set", "engine.model=starter", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert wer(CLIP_TEXT, done.stdout) <= WER_MAX
