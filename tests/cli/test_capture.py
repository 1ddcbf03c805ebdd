"""`host-stt capture` against a running server: a file, a stream over http, a broken network, refusals."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from host_stt.contract import Float32Array
from host_stt_cli.capture.backlog import RATE, Backlog, SoundBlock
from host_stt_cli.capture.inputs import MediaInput
from host_stt_cli.capture.line import RESEND_S, Line, LineRefused, LineTimes
from host_stt_cli.capture.run import CaptureOptions, run_capture
from host_stt_cli.engine_process import Backoff
from host_stt_cli.job_client import ServerOptions
from tests.support.audio_files import wav_header
from tests.support.desk import SilentPipeline, a_config, running_desk
from tests.support.polling import until
from tests.support.recordings import wav, write_wav
from tests.support.relay import Relay
from tests.support.web_server import serving
from webrtc_host.seams import BlockKind
from webrtc_host.session.channel import Channel

QUICK = LineTimes(ping_s=0.1, pong_s_max=0.6, backoff=Backoff(first_s=0.1, max_s=0.2))
TONE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)


@dataclass
class Heard:
    """What the channels of a desk received."""

    pipelines: list[SilentPipeline] = field(default_factory=list)

    def pipeline(self, _: Channel) -> SilentPipeline:
        self.pipelines.append(Kept())
        return self.pipelines[-1]

    def samples(self) -> Float32Array:
        blocks = [b.samples for p in self.pipelines for b in p.blocks if b.kind is BlockKind.AUDIO]
        return np.concatenate([np.empty(0, np.float32), *blocks])

    def positions(self) -> list[tuple[int, int]]:
        return [
            (b.start_sample, b.end_sample)
            for p in self.pipelines
            for b in p.blocks
            if b.kind is BlockKind.AUDIO
        ]


class Kept(SilentPipeline):
    """Keeps its blocks when the channel opens it again."""

    def start(self) -> None:
        return None


def the_options(desk_url: str, *sources: str, token: str = "") -> CaptureOptions:
    media = tuple(MediaInput(f"C{n:02d}", source) for n, source in enumerate(sources, start=1))
    return CaptureOptions(ServerOptions(desk_url, token), media)


async def test_a_file_is_played_once_at_the_speed_of_speech(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heard = Heard()
    path = write_wav(tmp_path / "radio.wav", TONE)
    async with running_desk(a_config(tmp_path / "data"), make_pipeline=heard.pipeline) as desk:
        began_s = asyncio.get_running_loop().time()
        assert await run_capture(the_options(desk.url, str(path)), asyncio.Event())
        assert asyncio.get_running_loop().time() - began_s > 0.8
        received = heard.samples()
    assert len(received) == pytest.approx(RATE, abs=10)
    assert np.abs(received[:RATE] - TONE[: len(received)]).max() < 1e-3
    said = capsys.readouterr().err
    assert said.index("C01 is connected") < said.index("C01 sends")
    assert f"C01 plays {path}" in said and "C01 ended" in said and "1 ended; nothing lost" in said


async def test_a_stream_that_breaks_off_is_opened_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first connection ends after half a second; the second one goes on until the command is stopped."""
    opened: list[str] = []
    data = (TONE * 32767).astype("<i2").tobytes()

    async def station(request: web.Request) -> web.StreamResponse:
        opened.append(request.path)
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(wav_header(0xFFFFFFFF))  # a length that no one knows, as of a live stream
        for at in range(0, len(data) // 2 if len(opened) == 1 else 40 * len(data), 3200):
            await response.write(data[at % len(data) :][:3200])
            await asyncio.sleep(0.05)
        return response

    app = web.Application()
    app.router.add_get("/live.wav", station)
    heard = Heard()
    async with (
        serving(app) as url,
        running_desk(a_config(tmp_path), make_pipeline=heard.pipeline) as desk,
    ):
        stop = asyncio.Event()
        source = url.replace("://", "://me:secret@") + "/live.wav?key=secret"
        running = asyncio.create_task(run_capture(the_options(desk.url, source), stop))
        await until(lambda: len(opened) >= 2 and len(heard.samples()) > RATE)
        stop.set()
        assert await running
    said = capsys.readouterr().err
    assert "waits for its source http://127.0.0.1:" in said and "the source ended" in said
    assert "secret" not in said


async def test_a_source_that_never_answers_is_not_said_to_send(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, release = asyncio.Event(), asyncio.Event()

    async def silent(_: web.Request) -> web.Response:
        asked.set()
        await release.wait()
        raise web.HTTPGone

    app = web.Application()
    app.router.add_get("/live.wav", silent)
    said: list[str] = []

    def is_connected() -> bool:
        said.append(capsys.readouterr().err)
        return "C01 is connected" in "".join(said)

    async with (
        serving(app) as url,
        running_desk(a_config(tmp_path)) as desk,
    ):
        stop = asyncio.Event()
        running = asyncio.create_task(run_capture(the_options(desk.url, url + "/live.wav"), stop))
        await until(lambda: is_connected() and asked.is_set())
        stop.set()
        release.set()
        assert await running
    assert "C01 sends" not in "".join([*said, capsys.readouterr().err])


async def test_a_recording_over_http_ends_and_a_missing_one_is_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[int] = []

    async def recording(_: web.Request) -> web.StreamResponse:
        asked.append(1)
        if len(asked) == 1:
            raise web.HTTPNotFound
        return web.Response(body=wav(TONE[: RATE // 2]), content_type="audio/wav")

    app = web.Application()
    app.router.add_get("/a.wav", recording)
    heard = Heard()
    async with (
        serving(app) as url,
        running_desk(a_config(tmp_path), make_pipeline=heard.pipeline) as desk,
    ):
        assert await run_capture(the_options(desk.url, url + "/a.wav"), asyncio.Event())
    assert len(heard.samples()) == pytest.approx(RATE // 2, abs=10)
    assert "404" in capsys.readouterr().err


async def test_what_was_recorded_while_the_network_was_cut_arrives_at_its_time(tmp_path: Path) -> None:
    """A cable is unplugged for a second and a half: nothing is lost, and nothing is there twice."""
    heard = Heard()
    sound = (np.arange(5 * RATE) / (5 * RATE)).astype(np.float32)  # each sample tells its position
    async with running_desk(a_config(tmp_path), make_pipeline=heard.pipeline) as desk:
        with Relay(int(desk.url.rpartition(":")[2])) as relay:
            backlog, told = Backlog(RESEND_S), list[str]()
            async with aiohttp.ClientSession() as http:
                line = Line(http, relay.url, {}, "C01", backlog, told.append, times=QUICK)
                running = asyncio.create_task(line.run())
                await line.opened()
                speaking = asyncio.create_task(speak(backlog, sound))
                await until(lambda: len(heard.samples()) > RATE)
                with relay.cut():
                    await until(lambda: line.breaks and backlog.taken_s > 3.0)
                await speaking
                await running
    received = heard.samples()
    assert backlog.lost_s == 0
    assert line.breaks
    assert len(received) == pytest.approx(len(sound), abs=0.02 * RATE)
    steps = np.diff(received) * len(sound)
    assert steps.min() > -0.02 * RATE, "samples came twice"
    assert steps.max() < 0.02 * RATE, "samples are missing"
    ends = heard.positions()
    assert all(before[1] <= after[0] for before, after in zip(ends, ends[1:], strict=False))


async def speak(backlog: Backlog, sound: Float32Array) -> None:
    """Record the sound as a microphone does."""
    loop = asyncio.get_running_loop()
    began_s, size = loop.time(), RATE // 10
    for at in range(0, len(sound), size):
        end_s = began_s + (at + size) / RATE
        await asyncio.sleep(max(0.0, end_s - loop.time()))
        data = np.round(sound[at : at + size] * 32767).astype("<i2").tobytes()
        backlog.put(SoundBlock(data, end_s))
    backlog.finish()


async def test_a_wrong_token_ends_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_wav(tmp_path / "radio.wav", TONE)
    async with running_desk(a_config(tmp_path / "data", token="right-token-of-the-test")) as desk:
        assert not await run_capture(the_options(desk.url, str(path), token="wrong"), asyncio.Event())
    assert "C01 is refused: " in capsys.readouterr().err


async def test_a_bad_file_does_not_stop_the_other_channel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.wav").write_bytes(b"this is a letter")
    path = write_wav(tmp_path / "radio.wav", TONE[: RATE // 4])
    heard = Heard()
    async with running_desk(a_config(tmp_path / "data"), make_pipeline=heard.pipeline) as desk:
        options = the_options(desk.url, str(tmp_path / "bad.wav"), str(path))
        assert not await run_capture(options, asyncio.Event())
    assert len(heard.samples()) == pytest.approx(RATE // 4, abs=10)
    assert "C01 cannot read its source: the file cannot be read as a recording" in capsys.readouterr().err


async def test_the_line_waits_for_a_server_that_is_not_there(tmp_path: Path) -> None:
    told: list[str] = []
    backlog = Backlog(RESEND_S)
    async with aiohttp.ClientSession() as http:
        line = Line(http, "http://127.0.0.1:9", {}, "C01", backlog, told.append, times=QUICK)
        running = asyncio.create_task(line.run())
        await until(lambda: line.breaks >= 2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert told == ["waits for the server: connection refused"], "the same reason is told once"


async def test_a_session_that_ended_is_refused_when_it_was_named(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk, aiohttp.ClientSession() as http:
        fields: dict[str, Any] = {"session": "s_none"}
        line = Line(http, desk.url, fields, "C01", Backlog(RESEND_S), lambda _: None, times=QUICK)
        with pytest.raises(LineRefused, match="s_none"):
            await line.run()
