"""Record inputs of one sound card into the backlogs of their channels, through `sounddevice` (PortAudio).

`sounddevice` is optional, and needs the PortAudio library of the system. PortAudio calls `_called` in a
thread of its own; everything else runs in the event loop. A card that stops delivering is opened again.
"""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

import av
import numpy as np

from host_stt_cli.capture.backlog import RATE, SAMPLE_BYTES, Backlog, SoundBlock
from host_stt_cli.capture.source_time import SourceTime
from host_stt_cli.engine_process import Backoff
from host_stt_cli.errors import StartError
from host_stt_common.audio_packets import Float32Array, ToMono
from host_stt_common.extras import install_command

BLOCKS_PER_S = 10
BLOCKS_MAX = 10 * BLOCKS_PER_S
"""Blocks that wait while the event loop is busy."""
SILENT_S_MAX = 3.0
"""A card that delivers nothing for this time is opened again; it may have been unplugged."""


def load_library() -> Any:
    """The module `sounddevice`. Raises StartError with the command that installs what is missing."""
    try:
        return import_module("sounddevice")
    except ImportError as error:
        raise StartError(
            "sound cards need the package sounddevice; install it with: " + install_command("capture")
        ) from error
    except OSError as error:
        raise StartError(
            "sound cards need the PortAudio library; install it with: sudo apt install libportaudio2"
        ) from error


def device_lines(library: Any) -> Iterator[str]:
    """A line for each device that has inputs."""
    for number, device in enumerate(library.query_devices()):
        if inputs := device["max_input_channels"]:
            count = "1 input" if inputs == 1 else f"{inputs} inputs"
            yield f"{number}  {device['name']}  ({count}, {device['default_samplerate']:g} Hz)"


class SoundCard:
    def __init__(
        self,
        library: Any,
        device: str,
        inputs: Mapping[int, Backlog],
        tell: Callable[[str], None],
        *,
        silent_s_max: float = SILENT_S_MAX,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """library: the module `sounddevice`. device: a number, or a part of its name; empty: the default one.

        inputs: the backlog of each input, by its number from 1. clock: the one of the lines.
        """
        self._library = library
        self._device: int | str | None = int(device) if device.isdigit() else device or None
        self._inputs = dict(inputs)
        self._tell = tell
        self._silent_s_max = silent_s_max
        self._backoff = backoff or Backoff(first_s=1.0, max_s=30.0)
        self._clock = clock
        self._blocks: queue.Queue[tuple[Float32Array, float]] = queue.Queue(BLOCKS_MAX)
        self._has_blocks = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._overflows = self._overflows_told = 0

    def check(self) -> None:
        """Raises StartError when there is no such device, or it has too few inputs."""
        facts = self._facts()
        if max(self._inputs) > facts["max_input_channels"]:
            raise StartError(
                f"--map names input {max(self._inputs)}; {facts['name']} has {facts['max_input_channels']}."
            )

    async def run(self) -> None:
        """Record until the task is cancelled."""
        wait_s, told = 0.0, ""
        while True:
            began_s = self._clock()
            try:
                await self._record()
                reason = "it delivers nothing"
            except (self._library.PortAudioError, StartError, ValueError) as error:
                reason = str(error)
            wait_s = self._backoff.after(wait_s, self._clock() - began_s)
            if reason != told:
                self._tell(f"waits for the sound card: {reason}")
            told = reason
            await asyncio.sleep(wait_s)
            await asyncio.to_thread(self._look_again)

    def _facts(self) -> Any:
        try:
            return self._library.query_devices(self._device, "input")
        except (ValueError, self._library.PortAudioError) as error:
            raise StartError(f"--device: {error}. `host-stt capture --list` shows the devices.") from error

    def _look_again(self) -> None:
        """PortAudio lists devices only when it starts: without this, a card that returns is not found."""
        self._library._terminate()
        self._library._initialize()

    async def _record(self) -> None:
        """Record until the card delivers nothing any more."""
        facts = await asyncio.to_thread(self._facts)
        rate = round(facts["default_samplerate"])
        channels = [CardChannel(rate, backlog) for backlog in self._inputs.values()]
        stream = self._library.InputStream(
            device=self._device,
            channels=max(self._inputs),
            samplerate=rate,
            blocksize=rate // BLOCKS_PER_S,
            dtype="float32",
            callback=self._called,
        )
        try:
            await asyncio.to_thread(stream.start)
            self._tell(f"records {facts['name']}")
            while await self._wait():
                self._take(channels)
        finally:
            await asyncio.shield(asyncio.to_thread(stream.close))

    async def _wait(self) -> bool:
        """Wait for blocks. False: none came for too long."""
        try:
            async with asyncio.timeout(self._silent_s_max):
                await self._has_blocks.wait()
        except TimeoutError:
            return False
        self._has_blocks.clear()
        return True

    def _take(self, channels: Sequence[CardChannel]) -> None:
        columns = [number - 1 for number in self._inputs]
        while not self._blocks.empty():
            samples, now_s = self._blocks.get_nowait()
            for column, channel in zip(columns, channels, strict=True):
                channel.put(samples[:, column], now_s)
        if self._overflows > self._overflows_told:
            self._overflows_told = self._overflows
            self._tell(
                f"lost audio of the sound card, {self._overflows} times so far: the machine is too busy"
            )

    def _called(self, samples: Any, _frames: int, _time: Any, status: Any) -> None:
        """PortAudio's thread: take a copy of (n, channels) float32 and return at once."""
        if status.input_overflow:
            self._overflows += 1
        try:
            self._blocks.put_nowait((samples.copy(), self._clock()))
        except queue.Full:
            self._overflows += 1
        self._loop.call_soon_threadsafe(self._has_blocks.set)


class CardChannel:
    """One input of an open card: its samples at 16 kHz, with their time."""

    def __init__(self, rate: int, backlog: Backlog) -> None:
        self._rate = rate
        self._backlog = backlog
        self._to_mono = ToMono(rate)
        self._times = SourceTime()

    def put(self, samples: Float32Array, now_s: float) -> None:
        """samples: (n,) float32 at the rate of the card, of which the last was recorded at `now_s`."""
        plane = np.ascontiguousarray(samples)[np.newaxis, :]
        frame = av.AudioFrame.from_ndarray(plane, format="fltp", layout="mono")
        frame.sample_rate = self._rate
        for made in self._to_mono.feed(frame):
            data = np.round(made * 32767).astype("<i2").tobytes()
            end_s = self._times.place(len(data) / SAMPLE_BYTES / RATE, now_s)
            self._backlog.put(SoundBlock(data, min(end_s, now_s)))
