"""Chromium's own player on the audio routes: it plays, knows the length, and seeks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from tests.support.desk import a_config, running_desk
from tests.support.opus_packets import encoded
from tests.support.polling import until
from tests.support.speech import say
from webrtc_host.keys import ARCHIVE
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

START = 16_000
PLAY = """async (url) => {
  const audio = new Audio(url);
  const heard = (event) => new Promise((resolve, reject) => {
    audio.addEventListener(event, resolve, {once: true});
    audio.addEventListener('error', () => reject(new Error(audio.error.message)), {once: true});
  });
  audio.muted = true;
  const ready = heard('canplaythrough');
  audio.load();
  await ready;
  const duration = audio.duration;
  const sought = heard('seeked');
  audio.currentTime = duration / 2;
  await sought;
  const at = audio.currentTime;
  const over = heard('ended');
  await audio.play();
  await over;
  return {duration, at, end: audio.currentTime};
}"""


async def nothing(reason: str) -> int:
    return 0


async def test_chromium_plays_a_range_with_a_hole_in_it(browser: Browser, tmp_path: Path) -> None:
    said = say("alpha one")
    async with running_desk(a_config(tmp_path)) as desk:
        desk.registry.connect(desk.session, DoorKind.SOCKET, [ChannelSpec("C01")], nothing)
        channel = desk.registry.channel(desk.session, "C01")
        channel.open()
        for packet in (*encoded(said, START), *encoded(said, START + 48_000)):
            channel.archive_packet(packet)
        archive = desk.app[ARCHIVE].archive
        assert archive is not None
        rounds = archive.writer.statistics().rounds
        await until(lambda: archive.writer.statistics().rounds >= rounds + 2)
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(desk.url + "/watch")
        path = f"/api/sessions/{desk.session.id}/channels/C01/audio?from_ms=900&to_ms=5000"
        played: Any = await page.evaluate(PLAY, path)
        await context.close()
    # Chromium counts the 80 ms that it decodes in front and does not play.
    assert abs(played["duration"] - 4.1) < 0.1
    assert abs(played["at"] - played["duration"] / 2) < 0.05
    assert abs(played["end"] - 4.1) < 0.2
