"""A sound card as an input of `host-stt capture`. The module `sounddevice` is replaced: no card is needed."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from host_stt_cli.capture.backlog import Backlog
from host_stt_cli.capture.inputs import CardInput
from host_stt_cli.capture.run import CaptureOptions, run_capture
from host_stt_cli.capture.sound_card import SoundCard
from host_stt_cli.engine_process import Backoff
from host_stt_cli.errors import StartError
from host_stt_cli.job_client import ServerOptions
from host_stt_cli.main import main
from tests.support.desk import SilentPipeline, a_config, running_desk
from tests.support.polling import until
from webrtc_host.session.channel import Channel

CARD_RATE = 48_000
BLOCK = CARD_RATE // 10
DEVICES = [
    {"name": "HDMI", "max_input_channels": 0, "default_samplerate": 48000.0},
    {"name": "USB Audio: 16 in", "max_input_channels": 16, "default_samplerate": 48000.0},
]


@dataclass
class FakeStream:
    library: FakeSoundDevice
    options: dict[str, Any]
    is_closed: bool = False

    def start(self) -> None:
        if self.library.is_broken:
            raise self.library.PortAudioError("Device unavailable")
        self.library.streams.append(self)

    def close(self) -> None:
        self.is_closed = True

    def deliver(self, *, overflow: bool = False) -> None:
        """Call back as PortAudio does: from another thread, with a buffer that is used again."""
        channels = self.options["channels"]
        levels = (np.arange(channels) + 1) / 100  # input 1 has 0.01, input 2 has 0.02, ...
        buffer = np.repeat(levels[np.newaxis, :], BLOCK, axis=0).astype(np.float32)
        call: Callable[..., None] = self.options["callback"]
        arguments = (buffer, BLOCK, None, SimpleNamespace(input_overflow=overflow))
        thread = threading.Thread(target=call, args=arguments)
        thread.start()
        thread.join()
        buffer[:] = 0


@dataclass
class FakeSoundDevice:
    """The part of `sounddevice` that capture uses."""

    is_broken: bool = False
    streams: list[FakeStream] = field(default_factory=list)
    starts: int = 1

    class PortAudioError(Exception):
        pass

    def query_devices(self, device: int | str | None = None, kind: str = "") -> Any:
        if not kind:
            return DEVICES
        if device in (None, 1) or (isinstance(device, str) and device in "USB Audio: 16 in"):
            return DEVICES[1]
        raise ValueError(f"No input device matching {device!r}")

    def InputStream(self, **options: Any) -> FakeStream:  # the name in sounddevice
        return FakeStream(self, options)

    def _terminate(self) -> None:
        self.starts -= 1

    def _initialize(self) -> None:
        self.starts += 1


def a_card(
    library: FakeSoundDevice, inputs: dict[int, Backlog], told: list[str], device: str = ""
) -> SoundCard:
    backoff = Backoff(first_s=0.01, max_s=0.01)
    return SoundCard(library, device, inputs, told.append, silent_s_max=0.3, backoff=backoff)


async def levels_of(backlog: Backlog) -> float:
    """The level at the end of the newest block that waits."""
    block = await backlog.get()
    assert block is not None
    return float(np.frombuffer(block.data, "<i2")[-1]) / 32767


async def test_each_input_of_the_card_goes_to_its_own_channel() -> None:
    library, third, sixteenth, told = FakeSoundDevice(), Backlog(9), Backlog(9), list[str]()
    card = a_card(library, {16: sixteenth, 3: third}, told, "USB")
    card.check()
    running = asyncio.create_task(card.run())
    stream = await until(lambda: library.streams[-1] if library.streams else None)
    stream.deliver()
    stream.deliver(overflow=True)
    await until(lambda: third.taken_s > 0.15 and sixteenth.taken_s > 0.15 and len(told) > 1)
    assert await levels_of(third) == pytest.approx(0.03, abs=0.001)
    assert await levels_of(sixteenth) == pytest.approx(0.16, abs=0.001)
    assert (stream.options["channels"], stream.options["samplerate"]) == (16, CARD_RATE)
    assert told[0] == "records USB Audio: 16 in" and told[1].startswith(
        "lost audio of the sound card, 1 times"
    )
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert stream.is_closed


async def test_a_card_that_stops_delivering_is_opened_again() -> None:
    library, told = FakeSoundDevice(), list[str]()
    running = asyncio.create_task(a_card(library, {1: Backlog(9)}, told).run())
    await until(lambda: len(library.streams) == 1)
    library.is_broken = True
    await until(lambda: "waits for the sound card: Device unavailable" in told)
    library.is_broken = False
    await until(lambda: len(library.streams) == 2)
    assert library.streams[0].is_closed and library.starts == 1
    assert told[1] == "waits for the sound card: it delivers nothing"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_wrong_device_and_too_few_inputs_are_named() -> None:
    with pytest.raises(StartError, match="No input device matching 'Nagra'.*--list` shows the devices"):
        a_card(FakeSoundDevice(), {1: Backlog(9)}, [], "Nagra").check()
    with pytest.raises(StartError, match="--map names input 17; USB Audio: 16 in has 16"):
        a_card(FakeSoundDevice(), {17: Backlog(9)}, []).check()


async def test_the_inputs_of_a_card_reach_the_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library, heard = FakeSoundDevice(), dict[str, SilentPipeline]()

    def pipeline(channel: Channel) -> SilentPipeline:
        return heard.setdefault(channel.id, SilentPipeline())

    async with running_desk(a_config(tmp_path), make_pipeline=pipeline) as desk:
        server, stop = ServerOptions(desk.url, ""), asyncio.Event()
        card = (CardInput("C03", 1), CardInput("C04", 2))
        options = CaptureOptions(server, (), card, "USB", library=library)
        running = asyncio.create_task(run_capture(options, stop))

        def is_heard() -> bool:
            for stream in library.streams:
                stream.deliver()
            return sum(bool(one.blocks) for one in heard.values()) == 2

        await until(is_heard)
        stop.set()
        assert await running
    assert heard["C03"].blocks[-1].samples[0] == pytest.approx(0.01, abs=0.002)
    assert heard["C04"].blocks[-1].samples[0] == pytest.approx(0.02, abs=0.002)
    assert "C03, C04 records USB Audio" in capsys.readouterr().err


def test_list_shows_the_devices_with_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice())
    done = CliRunner().invoke(main, ["capture", "--list"])
    assert (done.exit_code, done.output) == (0, "1  USB Audio: 16 in  (16 inputs, 48000 Hz)\n")


def test_a_missing_package_and_a_missing_library_are_said_with_the_command_that_installs_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    done = CliRunner().invoke(main, ["capture", "--map", "1=C01"])
    assert (done.exit_code, "[capture]'" in done.stderr) == (2, True), done.stderr
    monkeypatch.delitem(sys.modules, "sounddevice")
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    done = CliRunner().invoke(main, ["capture", "--list"])
    assert (done.exit_code, "apt install libportaudio2" in done.stderr) == (2, True), done.stderr


def test_a_device_needs_a_map() -> None:
    done = CliRunner().invoke(main, ["capture", "--device", "USB"])
    assert (done.exit_code, "--device needs --map" in done.stderr) == (2, True)
