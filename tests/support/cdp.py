"""Chromium over its own protocol (CDP), for what Playwright prevents: a page in a tab that is really hidden.

Playwright tells every page that it is visible and has the focus. Here a second tab in front of the page hides
it, as when an operator works in another tab.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import tempfile
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from tests.browser.chromium import ARGS, EXECUTABLE

REPLY_S = 90.0


class CdpError(RuntimeError):
    """What Chromium or the page reported."""


class Chromium:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0

    async def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        reply = self._waiting[self._number] = asyncio.get_running_loop().create_future()
        message = {"id": self._number, "method": method, "params": parameters}
        await self._socket.send_json(message if session is None else {**message, "sessionId": session})
        found = await asyncio.wait_for(reply, REPLY_S)
        if "error" in found:
            raise CdpError(f"{method}: {found['error']}")
        result: dict[str, Any] = found["result"]
        return result

    async def read(self) -> None:
        async for message in self._socket:
            found = json.loads(message.data)
            if (reply := self._waiting.pop(found.get("id", 0), None)) is not None and not reply.done():
                reply.set_result(found)

    async def open(self, url: str, *, script: str = "") -> Tab:
        """A page in a new tab, in front of all others. script: runs before the page's own scripts."""
        target = (await self.call("Target.createTarget", url="about:blank"))["targetId"]
        attached = await self.call("Target.attachToTarget", targetId=target, flatten=True)
        tab = Tab(self, target, attached["sessionId"])
        if script:
            await self.call("Page.enable", tab.session)
            await self.call("Page.addScriptToEvaluateOnNewDocument", tab.session, source=script)
        await self.call("Page.navigate", tab.session, url=url)
        return tab


class Tab:
    def __init__(self, chromium: Chromium, target: str, session: str) -> None:
        self._chromium = chromium
        self._target = target
        self.session = session

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, or of its promise. It counts as a press of the user."""
        found = await self._chromium.call(
            "Runtime.evaluate",
            self.session,
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        if "exceptionDetails" in found:
            raise CdpError(str(found["exceptionDetails"].get("exception", found["exceptionDetails"])))
        return found["result"].get("value")

    async def hide(self) -> None:
        """Put another tab in front of it."""
        await self._chromium.open("about:blank")


@contextlib.asynccontextmanager
async def chromium_with_tabs() -> AsyncIterator[Chromium]:
    with tempfile.TemporaryDirectory() as profile:
        process = await asyncio.create_subprocess_exec(
            *(EXECUTABLE, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}"),
            *(*ARGS, "about:blank"),
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        try:
            address = None
            async with asyncio.timeout(REPLY_S):
                while address is None:
                    address = re.search(rb"ws://\S+", await process.stderr.readline())
            draining = asyncio.create_task(process.stderr.read())
            async with (
                aiohttp.ClientSession() as client,
                client.ws_connect(address[0].decode(), max_msg_size=0) as socket,
            ):
                chromium = Chromium(socket)
                reading = asyncio.create_task(chromium.read())
                yield chromium
                reading.cancel()
            draining.cancel()
        finally:
            process.terminate()
            await process.wait()
