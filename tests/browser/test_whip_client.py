"""npm's whip-whep publishes from a page of another origin in Chromium: trickle, a restart, the end.

It sends its offer without a single candidate, all of them come by PATCH; it closes its connection before it
sends DELETE. Where it is from: whip_whep/README.md.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web

from tests.browser.chromium import chromium, microphone_plays, page_engine, write_capture
from tests.support.desk import SilentPipeline, a_config, running_desk
from tests.support.peers import onsets_of, pitch_of, tone_bursts
from tests.support.polling import until
from tests.support.web_server import serving
from webrtc_host.keys import WHIP
from webrtc_host.session.channel import Channel

pytestmark = [
    pytest.mark.browser,
    pytest.mark.net,
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="session"),
]

FILES = Path(__file__).with_name("whip_whep")
TOKEN = "a-token-for-a-page"
BUSY_BOX_S = 60.0
HERTZ = 600.0


@asynccontextmanager
async def another_origin() -> AsyncIterator[str]:
    """A web server with the page and the client alone."""
    app = web.Application()
    app.router.add_static("/", FILES)
    async with serving(app) as url:
        yield url


async def test_a_page_publishes_with_whip_whep(tmp_path: Path) -> None:
    tone = tone_bursts(HERTZ, np.arange(0.5, 30, 1.0).tolist(), 30.0)
    wav = write_capture(tmp_path / "tone.wav", [(tone[::3] / 32768).astype(np.float32)])
    pipelines: list[SilentPipeline] = []

    def keeping(_: Channel) -> SilentPipeline:
        pipelines.append(SilentPipeline())
        return pipelines[-1]

    async with (
        another_origin() as origin,
        chromium(*microphone_plays(wav), executable=page_engine()) as browser,
    ):
        config = a_config(tmp_path / "data", token=TOKEN, media={"allowed_origins": (origin,)})
        async with running_desk(config, make_pipeline=keeping) as desk:
            context = await browser.new_context(permissions=["microphone"])
            page = await context.new_page()
            await page.goto(f"{origin}/page.html")
            await page.wait_for_selector("html[data-ready]", state="attached")
            url = f"{desk.url}/whip/C03"
            resource: str = await page.evaluate("([url, token]) => publish(url, token)", [url, TOKEN])
            assert resource.startswith(f"{url}/")
            await page.wait_for_function("pc.connectionState === 'connected'", timeout=BUSY_BOX_S * 1000)
            figures = desk.app[WHIP].statistics()
            assert (figures["published"], figures["refused"]) == (1, 0)
            assert figures["trickled"] >= 1 and figures["candidates"] >= 1

            await until(lambda: samples_of(pipelines) > 3 * 16_000, BUSY_BOX_S)
            refusal = await page.evaluate(
                "client.restart().then(() => 'restarted', (error) => error.message)"
            )
            assert "422" in refusal
            before = samples_of(pipelines)
            await until(lambda: samples_of(pipelines) > before + 3 * 16_000, BUSY_BOX_S)
            assert await page.evaluate("pc.connectionState") == "connected", "the call goes on"

            await page.evaluate("client.stop()")
            await until(lambda: not desk.registry.connections, BUSY_BOX_S)
            await context.close()
    sound = np.concatenate([block.samples for block in pipelines[0].blocks])
    onsets = onsets_of(sound)[1:]  # the first burst may have begun before the audio did
    assert len(onsets) >= 5
    assert np.abs(np.diff(onsets) - 1.0).max() < 0.020
    assert abs(pitch_of(sound) - HERTZ) < 5


def samples_of(pipelines: list[SilentPipeline]) -> int:
    return sum(len(block.samples) for pipeline in pipelines for block in pipeline.blocks)
