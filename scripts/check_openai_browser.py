"""Check OpenAI's browser SDK against this server: `@openai/agents-realtime` in Chromium, by WebRTC.

`python -m scripts.check_openai_browser`. npm fetches the package (12 MB), whose hash is checked; a page of
another origin then makes a call with a client secret, and a phrase is spoken into its microphone. The engine
is the tests' stand-in. Needs npm, Chromium and espeak-ng.
"""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import tarfile
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.browser.chromium import chromium, microphone_plays, write_capture
from tests.support.polling import until
from tests.support.speech import padded, say
from tests.support.web_server import serving
from tests.support.wires import LONG, hearing_desk

PACKAGE = "@openai/agents-realtime@0.20.0"
SHA512 = (
    "28adf0f64f6b92abf9982db9bf29164deff520870e32cab026cf66074697f59d"
    "94b38f3bc4676e660aabf84344ced86365b42f4e2ffea94bffb5fa1978dfe9ff"
)
BUNDLE = "package/dist/bundle/"
TOKEN = "a-token-for-a-page"
TRANSCRIPTION = "conversation.item.input_audio_transcription"
WITHIN_S = 60.0
PAGE = b"""<!doctype html><meta charset="utf-8"><title>SDK</title><script type="module">
import { OpenAIRealtimeWebRTC } from "./openai-realtime-agents.mjs";
const events = [];
window.said = events;
window.talk = async (url, key) => {
  const transport = new OpenAIRealtimeWebRTC();
  window.transport = transport;
  transport.on("*", (event) => events.push(event));
  await transport.connect({ apiKey: key, url, model: "gpt-realtime" });
  return transport.callId;
};
document.documentElement.dataset.ready = "";
</script>
"""


def fetch(folder: Path) -> None:
    """The files of the package's bundle. Raises RuntimeError for another hash than the known one."""
    subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, capture_output=True)
    (archive,) = folder.glob("*.tgz")
    if hashlib.sha512(archive.read_bytes()).hexdigest() != SHA512:
        raise RuntimeError(f"{PACKAGE} has another SHA-512 than the one that was checked")
    with tarfile.open(archive) as files:
        for member in files:
            if member.isfile() and member.name.startswith(BUNDLE) and member.name.endswith(".mjs"):
                content = files.extractfile(member)
                assert content is not None
                (folder / Path(member.name).name).write_bytes(content.read())
    (folder / "page.html").write_bytes(PAGE)


@asynccontextmanager
async def another_origin(folder: Path) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_static("/", folder)
    async with serving(app) as url:
        yield url


async def check(folder: Path) -> list[dict[str, Any]]:
    """The events of a call in which a phrase was spoken, up to its transcript."""
    wav = write_capture(folder / "phrase.wav", [padded(say(LONG), 2.0, 1.0)])
    async with another_origin(folder) as origin, chromium(*microphone_plays(wav)) as browser:
        media = {"allowed_origins": (origin,)}
        async with hearing_desk(folder / "data", token=TOKEN, media=media) as desk:
            body = {"session": {"type": "transcription"}}
            url, headers = f"{desk.url}/v1/realtime", {"Authorization": f"Bearer {TOKEN}"}
            async with desk.client.post(f"{url}/client_secrets", json=body, headers=headers) as response:
                secret = (await response.json())["value"]
            page = await (await browser.new_context(permissions=["microphone"])).new_page()
            page.on("console", lambda message: print("console:", message.text[:300]))
            await page.goto(f"{origin}/page.html")
            await page.wait_for_selector("html[data-ready]", state="attached")
            call: str = await page.evaluate("([url, key]) => talk(url, key)", [f"{url}/calls", secret])
            assert call.startswith("rtc_"), call
            said: list[dict[str, Any]] = []
            async with asyncio.timeout(WITHIN_S):
                while not any(one["type"] == f"{TRANSCRIPTION}.completed" for one in said):
                    await asyncio.sleep(0.2)
                    said = await page.evaluate("() => said.filter((one) => one.type)")
            await page.evaluate("() => transport.close()")
            await until(lambda: not desk.registry.connections, within_s=WITHIN_S)
            return said


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fetch(folder)
        said = asyncio.run(check(folder))
    completed = next(one for one in said if one["type"] == f"{TRANSCRIPTION}.completed")
    item = completed["item_id"]
    deltas = [
        one["delta"] for one in said if one["type"] == f"{TRANSCRIPTION}.delta" and one["item_id"] == item
    ]
    assert "".join(deltas) == completed["transcript"] != "", said
    assert not any(one["type"] == "error" for one in said), said
    print(f"{PACKAGE}: {len(deltas)} deltas, together: {completed['transcript']!r}")


if __name__ == "__main__":
    main()
