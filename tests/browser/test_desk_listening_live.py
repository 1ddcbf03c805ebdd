"""Live audio on the desk with the real server and Chromium, also in a tab that is hidden."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.browser.live import LiveServer
from tests.support.cdp import Tab, chromium_with_tabs
from tests.support.polling import until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.net,
    pytest.mark.model,
    pytest.mark.asyncio(loop_scope="session"),
]

BUSY_BOX_S = 60.0
KEEP_PEERS = """
  window.peers = [];
  const Plain = RTCPeerConnection;
  window.RTCPeerConnection = class extends Plain {
    constructor(options) { super(options); peers.push(this); }
  };
  const plain = fetch;
  window.fetch = async (url, options) => {
    const response = await plain(url, options);
    if (String(url).endsWith("/api/listening")) window.listener = (await response.clone().json()).listener;
    return response;
  };
"""
RECEIVED = """(async () => {
  const found = [];
  for (const peer of peers) for (const one of (await peer.getStats()).values())
    if (one.type === "inbound-rtp" && one.packetsReceived) found.push(one.packetsReceived);
  return found;
})()"""
PEAK = """(async () => {
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 8192 });
  const stream = document.querySelector("#live-audio").srcObject;
  new MediaStreamAudioSourceNode(context, { mediaStream: stream }).connect(analyser);
  await new Promise((done) => setTimeout(done, 300));
  const samples = new Float32Array(8192);
  analyser.getFloatTimeDomainData(samples);
  await context.close();
  return Math.max(...samples.map(Math.abs));
})()"""
PLAYED_S = "document.querySelector('#live-audio').currentTime"


async def is_loud(tab: Tab) -> bool:
    return bool(await tab.evaluate(PEAK) > 0.01)


async def test_channels_are_heard_also_while_the_tab_is_hidden(live_server: LiveServer) -> None:
    async with aiohttp.ClientSession() as http:
        body: dict[str, Any] = {"channels": 4, "talk": 0.4, "seconds": 60}
        async with http.post(f"{live_server.url}/api/simulation", json=body) as response:
            session = (await response.json())["session"]
        try:
            async with chromium_with_tabs() as chromium:
                tab = await chromium.open(f"{live_server.url}/desk?session={session}", script=KEEP_PEERS)
                await until(
                    lambda: tab.evaluate("document.documentElement?.dataset.ready === ''"), BUSY_BOX_S
                )
                await until(lambda: tab.evaluate("document.querySelectorAll('.tile .name').length >= 16"))
                await tab.evaluate("document.querySelector('#listen').click()")

                async def has_all_lines() -> bool:
                    return len(await tab.evaluate(RECEIVED)) == 4

                await until(has_all_lines, BUSY_BOX_S)
                await until(lambda: is_loud(tab), BUSY_BOX_S)
                await tab.hide()
                await until(lambda: tab.evaluate("document.hidden"))
                before, played_s = sum(await tab.evaluate(RECEIVED)), await tab.evaluate(PLAYED_S)

                async def goes_on() -> bool:
                    return bool(
                        await tab.evaluate(PLAYED_S) > played_s + 2
                        and sum(await tab.evaluate(RECEIVED)) > before + 300
                    )

                await until(goes_on, BUSY_BOX_S)
                await until(lambda: is_loud(tab), BUSY_BOX_S)
                assert await tab.evaluate("document.hidden")
                # A connection that ends, as after a restart of the server, is made again.
                former = await tab.evaluate("listener")
                async with http.delete(f"{live_server.url}/api/listening/{former}") as response:
                    assert response.status == 200
                await until(lambda: tab.evaluate(f"listener !== '{former}'"), BUSY_BOX_S)
                await until(lambda: is_loud(tab), BUSY_BOX_S)
                await tab.evaluate("peers.splice(0, peers.length - 1)")
                await until(has_all_lines, BUSY_BOX_S)
                # Muted channels are not sent: only the one that is still wanted gets packets.
                await tab.evaluate("document.querySelector('#live-hold').click()")

                async def one_line_grows() -> bool:
                    earlier: list[int] = await tab.evaluate(RECEIVED)
                    await tab.evaluate("new Promise((done) => setTimeout(done, 1000))")
                    later: list[int] = await tab.evaluate(RECEIVED)
                    return sum(a != b for a, b in zip(earlier, later, strict=True)) == 1

                await until(one_line_grows, BUSY_BOX_S)
        finally:
            await http.delete(f"{live_server.url}/api/simulation")
