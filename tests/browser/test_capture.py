"""The page /capture with the real server: a stereo input as two channels, breaks, and a remembered setup."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.browser.chromium import CAPTURE_RATE, FAKE_MICROPHONE, chromium, page_engine
from tests.support.desk import Desk, SilentPipeline, a_config, running_desk
from tests.support.polling import until
from webrtc_host.session.channel import Channel

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LEFT_HZ, RIGHT_HZ = 440.0, 1000.0
WAIT_MS = 30_000
UNPLUG = """() => {
    const devices = navigator.mediaDevices, real = devices.getUserMedia.bind(devices);
    window.unplug = () => { window.isGone = true; window.track.dispatchEvent(new Event("ended")); };
    window.plugIn = () => { window.isGone = false; devices.dispatchEvent(new Event("devicechange")); };
    devices.getUserMedia = async (wanted) => {
        if (window.isGone) throw new DOMException("it is not there", "NotFoundError");
        const stream = await real(wanted);
        window.track = stream.getAudioTracks()[0];
        return stream;
    };
}"""


def write_tones(wav: Path) -> Path:
    """Two seconds in stereo, which the fake microphone repeats: another tone on each side."""
    at = np.arange(2 * CAPTURE_RATE) / CAPTURE_RATE
    sides = np.stack([np.sin(2 * np.pi * hz * at) for hz in (LEFT_HZ, RIGHT_HZ)], axis=1)
    with wave.open(str(wav), "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(CAPTURE_RATE)
        out.writeframes((sides * 0.3 * 32767).astype("<i2").tobytes())
    return wav


class Heard:
    """The audio of each channel."""

    def __init__(self) -> None:
        self.pipelines: dict[str, SilentPipeline] = {}

    def make(self, channel: Channel) -> SilentPipeline:
        return self.pipelines.setdefault(channel.id, SilentPipeline())

    def tone(self, channel: str) -> float | None:
        """The loudest frequency of the newest 0.5 s in Hz; None: there is no such audio."""
        blocks = self.pipelines[channel].blocks if channel in self.pipelines else []
        if not blocks:
            return None
        samples = np.concatenate([block.samples for block in blocks[-200:]])[-8000:]
        if len(samples) < 8000 or np.abs(samples).max() < 0.05:
            return None
        return float(np.argmax(np.abs(np.fft.rfft(samples)))) * 2

    def has_tones(self) -> bool:
        tones = [self.tone("C03"), self.tone("C01")]
        return all(
            tone is not None and abs(tone - hz) < 5
            for tone, hz in zip(tones, (LEFT_HZ, RIGHT_HZ), strict=True)
        )

    def forget(self) -> None:
        for pipeline in self.pipelines.values():
            pipeline.blocks.clear()


async def has_no_findings(page: Page) -> None:
    found = await Axe().run(page)
    assert found.response["violations"] == [], found.generate_report()


async def are_live(page: Page) -> None:
    for strip, channel in ((0, "C03"), (1, "C01")):
        place = page.locator(".strip").nth(strip).locator(".place")
        await expect(place).to_have_text(f"{channel}Sent", timeout=WAIT_MS)


async def break_connections(desk: Desk) -> None:
    for connection in list(desk.registry.connections.values()):
        await desk.registry.end_connection(connection, "broken")


async def test_a_stereo_input_is_two_channels_that_survive_every_break(tmp_path: Path) -> None:
    heard = Heard()
    tones = write_tones(tmp_path / "tones.wav")
    flags = (*FAKE_MICROPHONE, f"--use-file-for-fake-audio-capture={tones}")
    async with (
        running_desk(a_config(tmp_path), make_pipeline=heard.make) as desk,
        chromium(*flags, executable=page_engine()) as browser,
    ):
        context = await browser.new_context(
            permissions=["microphone"], locale="ko-KR", viewport={"width": 390, "height": 844}
        )
        page = await context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.add_init_script(f"({UNPLUG})()")
        await page.goto(f"{desk.url}/capture")
        await page.wait_for_selector("html[data-ready]", state="attached")
        await expect(page.locator("#summary")).to_have_text("보내는 입력 없음")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        await has_no_findings(page)

        await page.set_viewport_size({"width": 1366, "height": 768})
        await page.locator("#language").press("Enter")
        await page.locator(".split").press("Space")
        await page.get_by_label("Name (Left)").fill("Tower")
        await page.get_by_label("Name (Right)").fill("Gate")
        await page.get_by_label("Place on the desk").first.select_option("C03")
        await page.locator("#all").press("Enter")
        await are_live(page)
        await expect(page.locator("#summary")).to_have_text("2 of 2 channels are sent")
        await until(heard.has_tones)
        assert [desk.session.channels[channel].label for channel in ("C03", "C01")] == ["Tower", "Gate"]
        await has_no_findings(page)

        await break_connections(desk)
        heard.forget()
        await until(heard.has_tones)
        await are_live(page)

        await page.evaluate("unplug()")
        await expect(page.locator("capture-card > header .state")).to_have_text("No device", timeout=WAIT_MS)
        heard.forget()
        await page.evaluate("plugIn()")
        await until(heard.has_tones)

        await page.reload()
        await are_live(page)
        await expect(page.get_by_label("Name (Right)")).to_have_value("Gate")
        heard.forget()
        await until(heard.has_tones)
        await page.locator("#all").press("Enter")
        await expect(page.locator("#summary")).to_have_text("Nothing is sent", timeout=WAIT_MS)
        assert desk.registry.connections == {}
        await context.close()
        assert errors == []
