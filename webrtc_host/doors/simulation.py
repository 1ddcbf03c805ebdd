"""`/api/simulation`: simulated channels in a session of their own, to try the desk without radios.

This module connects the simulated voices to channels, feeds them in real time, and ends them after a given
time. Their audio takes the same way as any other: coverage, archive, engine and record. At most one
simulation runs at a time. Invariant: real channels are not changed, because the simulation has its own
session.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from pydantic import Field

from host_stt.contract import SAMPLE_RATE
from webrtc_host.doors.simulated_voices import SimulatedVoice, load_clips
from webrtc_host.errors import RequestError
from webrtc_host.http.audit import note_feed, token_name
from webrtc_host.http.requests import Body, read_body
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.seams import Block
from webrtc_host.session.channel import Channel, ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.connection import Connection
from webrtc_host.session.registry import SessionRegistry

logger = logging.getLogger(__name__)

PATH = "/api/simulation"
NAME = "Simulation"
CHANNELS_MAX = 16
BLOCK_SAMPLES = SAMPLE_RATE // 10
LABELS = (
    *("Tower", "North gate", "South gate", "Medic", "Engine", "Ladder", "Security", "Patrol"),
    *("Stage", "Lobby", "Car park", "Camera", "Lights", "Dispatch", "Command", "Control room"),
)


class SimulationStart(Body):
    channels: int = Field(CHANNELS_MAX, ge=1, le=CHANNELS_MAX, description="simulated channels")
    talk: float = Field(0.25, ge=0.05, le=0.8, description="share of time with speech on each channel")
    seconds: int = Field(600, ge=1, le=3600, description="after this time the simulation ends")


class SimulationResponse(Response):
    is_running: bool
    session: str | None = Field(None, description="the session of the simulated channels")
    channels: int = 0
    languages: list[str] = Field([], description="that the simulated voices speak")
    ends_in_s: float = 0.0


@dataclass(slots=True)
class _Running:
    connection: Connection
    languages: list[str]
    ends_s: float  # of the event loop's clock
    task: asyncio.Task[None]


class SimulationDoor:
    def __init__(self, registry: SessionRegistry, own_clips: Path | None = None) -> None:
        """own_clips: a folder with clips in place of the bundled ones, see `load_clips`."""
        self._registry = registry
        self._own_clips = own_clips
        self._running: _Running | None = None
        self._starting = asyncio.Lock()

    async def stop(self) -> None:
        """End the simulation, if one runs, and its session."""
        if self._running is not None:
            await self._registry.end(self._running.connection.session, "simulation_ended")

    @Route("GET", PATH, Role.VIEWER, "Whether simulated channels run", response=SimulationResponse)
    async def show(self, request: web.Request) -> web.Response:
        return json_response(self._state())

    @Route(
        "POST",
        PATH,
        Role.OPERATOR,
        "Start simulated channels in a session of their own",
        body=SimulationStart,
        response=SimulationResponse,
        errors=(422, 429),
    )
    async def start(self, request: web.Request) -> web.Response:
        """When a simulation runs already, the response names that one and nothing is started."""
        wanted = await read_body(request, SimulationStart)
        async with self._starting:
            if self._running is None:
                self._running = await self._begin(request, wanted)
        return json_response(self._state())

    @Route(
        "DELETE", PATH, Role.OPERATOR, "End the simulated channels", audit="ended simulation", errors=(404,)
    )
    async def end(self, request: web.Request) -> web.Response:
        """Ends the session of the simulation. Its text stays in the record, as of every session."""
        if self._running is None:
            raise RequestError("no_simulation", "no simulation is running", 404)
        await self.stop()
        return json_response(self._state())

    async def _begin(self, request: web.Request, wanted: SimulationStart) -> _Running:
        clips = await asyncio.to_thread(load_clips, self._own_clips)
        languages = sorted({clip.language for clip in clips})
        spoken = [languages[number % len(languages)] for number in range(wanted.channels)]
        session = self._registry.create(NAME)
        specs = [
            ChannelSpec(label=label, language=language)
            for label, language in zip(LABELS, spoken, strict=False)
        ]
        try:
            connection = self._registry.connect(
                session, DoorKind.SIMULATION, specs, self._end_feeds, by=token_name(request)
            )
        except RequestError:
            await self._registry.end(session, "refused")
            raise
        for channel in connection.channels:
            channel.open()
        ids = [channel.id for channel in connection.channels]
        note_feed(request, "fed", session.id, ids, f"simulation {connection.id}")
        voices = [
            SimulatedVoice([clip for clip in clips if clip.language == language], wanted.talk, seed)
            for seed, language in enumerate(spoken)
        ]
        ends_s = asyncio.get_running_loop().time() + wanted.seconds
        feeding = asyncio.create_task(self._feed(connection.channels, voices, ends_s), name="simulation")
        return _Running(connection, languages, ends_s, feeding)

    async def _feed(
        self, channels: Sequence[Channel], voices: Sequence[SimulatedVoice], ends_s: float
    ) -> None:
        """Feed all channels in real time until `ends_s`, then end the session."""
        loop = asyncio.get_running_loop()
        session = channels[0].session
        at = session.now_sample()
        while loop.time() < ends_s:
            # Audio of a block exists only after its end, as at a microphone.
            await asyncio.sleep(max(0.0, (at + BLOCK_SAMPLES - session.now_sample()) / SAMPLE_RATE))
            for channel, voice in zip(channels, voices, strict=True):
                channel.feed(Block(at, voice.next(BLOCK_SAMPLES)))
            at += BLOCK_SAMPLES
        # A task of its own, because ending the session cancels this one.
        asyncio.create_task(self.stop(), name="end simulation").add_done_callback(_log_failure)

    async def _end_feeds(self, reason: str) -> int:
        """Called by the registry: stop the audio, transcribe the last words, free the channels."""
        running = self._running
        if running is None:
            return 0
        running.task.cancel()
        await asyncio.wait({running.task})
        seqs = await asyncio.gather(*(channel.close(reason) for channel in running.connection.channels))
        self._registry.disconnect(running.connection)
        self._running = None
        return max(seqs)

    def _state(self) -> dict[str, object]:
        running = self._running
        if running is None:
            return SimulationResponse(is_running=False).model_dump()
        left_s = running.ends_s - asyncio.get_running_loop().time()
        return SimulationResponse(
            is_running=True,
            session=running.connection.session.id,
            channels=len(running.connection.channels),
            languages=running.languages,
            ends_in_s=round(max(0.0, left_s), 1),
        ).model_dump()


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("the simulation could not be ended", exc_info=error)
