"""A WHIP client of another project with the real server: FFmpeg's muxer."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.desk import SilentPipeline, a_config, running_desk
from tests.support.peers import onsets_of, pitch_of
from tests.support.server import ROOT
from webrtc_host.seams import BlockKind
from webrtc_host.session.channel import Channel

pytestmark = [pytest.mark.peer, pytest.mark.net]

TOKEN = "a-token-for-ffmpeg"
ONSETS = (0.4, 1.0, 1.7)
SECONDS = 2.4


async def test_ffmpeg_publishes_its_audio_arrives_and_it_deletes_its_session(tmp_path: Path) -> None:
    pipelines: list[SilentPipeline] = []

    def keeping(_: Channel) -> SilentPipeline:
        pipelines.append(SilentPipeline())
        return pipelines[-1]

    async with running_desk(a_config(tmp_path, token=TOKEN), make_pipeline=keeping) as desk:
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.whip_publisher"),
            *(f"{desk.url}/whip/C07", str(tmp_path), TOKEN, "500", str(SECONDS), *map(str, ONSETS)),
            cwd=ROOT,
        )
        assert await asyncio.wait_for(program.wait(), 60) == 0
        assert not desk.registry.connections, "it sent DELETE when it ended"
    blocks = pipelines[0].blocks
    sound = np.concatenate([block.samples for block in blocks])
    assert abs(len(sound) / 16_000 - SECONDS) < 0.3
    assert sum(len(block.samples) for block in blocks if block.kind is not BlockKind.AUDIO) == 0
    heard = onsets_of(sound)
    assert len(heard) == len(ONSETS)
    for onset, truth in zip(heard, ONSETS, strict=True):
        assert abs((onset - heard[0]) - (truth - ONSETS[0])) < 0.020
    assert abs(pitch_of(sound) - 500) < 5
