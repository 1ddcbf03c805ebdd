"""Chromium's own odd offers: lines that receive, stopped transceivers, and a camera that knows AV1 alone.

Real Chromium against the real application in this process, without an engine: what arrives is counted.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from bench.offer_fuzz import server_under_test
from tests.browser.chromium import FAKE_MICROPHONE, chromium, page_engine
from tests.support.desk import a_config
from tests.support.polling import until
from webrtc_host.session.registry import SessionRegistry

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

OFFER = """
async (connection) => {
  await pc.setLocalDescription();
  await new Promise((done) => {
    if (pc.iceGatheringState === "complete") done();
    pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && done();
    setTimeout(done, 5_000);
  });
  const answer = await fetch("/offer", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ sdp: pc.localDescription.sdp, type: "offer", ...(connection && { connection }) }),
  });
  const body = await answer.json();
  if (!answer.ok) return { refused: body, offer: pc.localDescription.sdp };
  await pc.setRemoteDescription({ type: "answer", sdp: body.sdp });
  const until = performance.now() + 20_000;
  while (pc.connectionState !== "connected" && performance.now() < until) {
    await new Promise((go) => setTimeout(go, 50));
  }
  return {
    state: pc.connectionState,
    offer: pc.localDescription.sdp,
    answer: body.sdp,
    connection: body.connection,
    channels: body.channels.map(({ channel }) => channel),
    directions: pc.getTransceivers().map((one) => one.currentDirection),
  };
}
"""
BEGIN = """
async ({ policy, isVideoFirst }) => {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  window.track = stream.getTracks()[0];
  window.pc = new RTCPeerConnection({ bundlePolicy: policy });
  const camera = () => {
    const known = RTCRtpSender.getCapabilities("video").codecs;
    pc.addTransceiver("video", { direction: "sendonly" })
      .setCodecPreferences(known.filter(({ mimeType }) => /av1/i.test(mimeType)));
  };
  if (isVideoFirst) camera();
  pc.addTransceiver(track, { direction: "sendonly", streams: [stream] });
  pc.addTransceiver("audio", { direction: "recvonly" });
  window.spare = pc.addTransceiver("audio", { direction: "inactive" });
  if (!isVideoFirst) camera();
  pc.createDataChannel("transcript");
}
"""


@pytest.fixture
async def page_and_registry(tmp_path: Path) -> AsyncIterator[tuple[Page, SessionRegistry]]:
    async with (
        server_under_test(a_config(tmp_path)) as (url, registry),
        chromium(*FAKE_MICROPHONE, executable=page_engine()) as browser,
    ):
        context = await browser.new_context(permissions=["microphone"])
        page = await context.new_page()
        await page.goto(f"{url}/health")
        yield page, registry
        await context.close()


async def offer(page: Page, connection: str | None = None) -> dict[str, Any]:
    told: dict[str, Any] = await page.evaluate(OFFER, connection)
    assert told.get("state") == "connected", told
    ports = [re.findall(r"(?m)^m=(\w+) (\d+)", told[side]) for side in ("offer", "answer")]
    assert [kind for kind, _ in ports[0]] == [kind for kind, _ in ports[1]]
    return told


@pytest.mark.parametrize(
    ("policy", "is_video_first"), [("balanced", True), ("max-compat", False), ("max-bundle", True)]
)
async def test_a_microphone_among_lines_that_cannot_be_used_is_heard(
    page_and_registry: tuple[Page, SessionRegistry], policy: str, is_video_first: bool
) -> None:
    page, registry = page_and_registry
    await page.evaluate(BEGIN, {"policy": policy, "isVideoFirst": is_video_first})
    first = await offer(page)
    (channel_id,) = first["channels"]
    sending = 1 if is_video_first else 0
    assert [one == "sendonly" for one in first["directions"]] == [n == sending for n in range(4)]
    channel = registry.channel(registry.current(), channel_id)
    begun = channel.end_sample
    await until(lambda: channel.end_sample > begun + 8_000, 20.0)
    await page.evaluate("spare.stop()")
    stopped = await offer(page, first["connection"])
    assert re.search(r"(?m)^m=audio 0 ", stopped["offer"]), "a line with port 0 and nothing in it"
    assert stopped["channels"] == [channel_id]
    await page.evaluate("pc.addTransceiver(track.clone(), { direction: 'sendonly' })")
    again = await offer(page, first["connection"])
    assert len(re.findall("(?m)^m=", again["offer"])) == len(re.findall("(?m)^m=", first["offer"])), (
        "in its place"
    )
    assert len(again["channels"]) == 2 and channel_id in again["channels"]
    before = {one: registry.channel(registry.current(), one).end_sample for one in again["channels"]}
    await until(
        lambda: all(
            registry.channel(registry.current(), n).end_sample > at + 8_000 for n, at in before.items()
        ),
        20.0,
    )
