"""pipecat's JavaScript client in Chromium, unmodified: `@pipecat-ai/small-webrtc-transport` at `/api/offer`.

npm fetches the two packages and esbuild into a temporary folder, and esbuild makes one file of them. The
page is at an address of the server under check, but Chromium gets it from here, so no other origin has to
be allowed. Its microphone speaks the talk. The transport has two ways to the microphone; the one here loads
nothing from other servers. Needs npm and Chromium.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Page, Route

from bench.clients.place import Outcome, Place, words_outcome
from tests.browser.chromium import chromium, microphone_plays, write_capture

CLIENT, TRANSPORT = "@pipecat-ai/client-js@1.13.1", "@pipecat-ai/small-webrtc-transport@1.10.8"
BUNDLER = "esbuild@0.25.12"
WITHIN_S = 30.0
PAGE = "/pipecat-check"
HTML = f"""<!doctype html><meta charset="utf-8"><title>pipecat</title>
<script type="module" src="{PAGE}.js"></script>"""
SCRIPT = """
import { PipecatClient } from "@pipecat-ai/client-js";
import { SmallWebRTCTransport, WavMediaManager } from "@pipecat-ai/small-webrtc-transport";
const said = [];
window.said = said;
window.talk = async (endpoint, key) => {
  const note = (type) => (data) => said.push({ type, data: data ?? null });
  const callbacks = {
    onBotReady: note("bot-ready"),
    onUserStartedSpeaking: note("started"),
    onUserStoppedSpeaking: note("stopped"),
    onUserTranscript: note("transcript"),
    onError: note("error"),
    onDisconnected: note("disconnected"),
  };
  const transport = new SmallWebRTCTransport({ mediaManager: new WavMediaManager() });
  const client = new PipecatClient({ transport, enableMic: true, callbacks });
  window.client = client;
  const headers = new Headers({ Authorization: `Bearer ${key}` });
  await client.connect({ webrtcRequestParams: { endpoint, headers } });
};
document.documentElement.dataset.ready = "";
"""


def bundle(folder: Path) -> str:
    """The page's script with both packages in it."""
    (folder / "page.js").write_text(SCRIPT, encoding="utf-8")
    (folder / "package.json").write_text('{"private": true}', encoding="utf-8")
    _run(folder, "npm", "install", "--silent", "--no-audit", "--ignore-scripts", CLIENT, TRANSPORT, BUNDLER)
    _run(folder, "npx", "esbuild", "page.js", "--bundle", "--format=esm", "--outfile=out.js")
    return (folder / "out.js").read_text(encoding="utf-8")


def _run(folder: Path, *arguments: str) -> None:
    subprocess.run(arguments, cwd=folder, check=True, capture_output=True, timeout=300)


async def check(place: Place) -> list[Outcome]:
    with tempfile.TemporaryDirectory(prefix="check-pipecat-") as name:
        folder = Path(name)
        script = await asyncio.to_thread(bundle, folder)
        wav = write_capture(folder / "talk.wav", [place.talk.samples])
        async with chromium(*microphone_plays(wav)) as browser:
            page = await (await browser.new_context(permissions=["microphone"])).new_page()
            said = await _said(page, script, place)
    texts = [one["data"]["text"] for one in said if one["type"] == "transcript" and one["data"]["final"]]
    kinds = [one["type"] for one in said]
    interims = kinds.count("transcript") - len(texts)
    what = f"{TRANSPORT.removeprefix('@')}, {len(texts)} finals, {interims} interims"
    outcome = words_outcome(CLIENT.removeprefix("@"), what, place, " ".join(texts))
    is_good = outcome.is_good and "error" not in kinds and kinds.count("started") == kinds.count("stopped")
    return [Outcome(outcome.client, what, is_good, outcome.figure + _errors(said))]


async def _said(page: Page, script: str, place: Place) -> list[dict[str, Any]]:
    """What the client was told until all of the talk had its text."""

    async def serve(route: Route) -> None:
        is_script = route.request.url.endswith(".js")
        body, kind = (script, "text/javascript") if is_script else (HTML, "text/html")
        await route.fulfill(body=body, content_type=f"{kind}; charset=utf-8")

    await page.route(f"**{PAGE}*", serve)
    await page.goto(place.url + PAGE)
    await page.wait_for_selector("html[data-ready]", state="attached")
    await page.evaluate("([url, key]) => talk(url, key)", [f"{place.url}/api/offer", place.key])
    await asyncio.sleep(place.talk.seconds + 1.0)  # the microphone speaks in real time
    said: list[dict[str, Any]] = []
    async with asyncio.timeout(WITHIN_S):
        while True:
            now = await page.evaluate("() => said")
            if now == said and any(one["type"] == "transcript" for one in now):
                break
            said = now
            await asyncio.sleep(2.0)
    await page.evaluate("() => client.disconnect()")
    return said


def _errors(said: list[dict[str, Any]]) -> str:
    errors = [json.dumps(one["data"]) for one in said if one["type"] == "error"]
    return "".join(f"; {error[:200]}" for error in errors)
