"""Whether a desk in a hidden tab plays every call: tones in, a recording of the media element out.

Each channel in turn has a call of 0.6 s, one call a second over all channels, with a tone of its own. The
page records the stream of its media element; the calls are then searched in the recording.
"""

from __future__ import annotations

import asyncio
import base64
import io
import multiprocessing
import os
from dataclasses import dataclass

import av
import numpy as np

from bench.listening import PACKET_S, Microphones, PayloadOf, run_server
from host_stt.contract import Float32Array
from tests.support.cdp import Tab, chromium_with_tabs
from tests.support.polling import until
from tests.support.rtp import encode

RATE = 16_000
EVERY_S = 1.0
CALL_S = 0.6
LOWEST_HZ, STEP_HZ = 400.0, 150.0
LEVEL = 0.2
BACK_S = 0.3
"""A call may be heard this much before its usual place in the recording, and this much after it."""
RECORD = """(() => {
  window.pieces = [];
  window.recorder = new MediaRecorder(document.querySelector("#live-audio").srcObject);
  recorder.ondataavailable = ({ data }) => pieces.push(data);
  recorder.start(1000);
})()"""
TAKE = """(async () => {
  await new Promise((done) => { recorder.onstop = done; recorder.stop(); });
  const bytes = new Uint8Array(await new Blob(pieces).arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) {
    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return btoa(text);
})()"""


KEEP_PEERS = """
  window.peers = [];
  const Plain = RTCPeerConnection;
  window.RTCPeerConnection = class extends Plain {
    constructor(options) { super(options); peers.push(this); }
  };
"""
RECEIVED = """(async () => {
  let [packets, lost] = [0, 0];
  for (const peer of peers) for (const one of (await peer.getStats()).values())
    if (one.type === "inbound-rtp") [packets, lost] = [packets + one.packetsReceived, lost + one.packetsLost];
  return [packets, lost];
})()"""


@dataclass(frozen=True, slots=True)
class Heard:
    calls: int
    missed: int  # less than half of the call was played
    shortest_s: float  # of the calls as they were played
    is_hidden_at_end: bool
    packets: int  # that the browser received
    packets_lost: int  # on their way, in the browser's socket too
    load_before: float

    def __str__(self) -> str:
        hidden = "hidden until the end" if self.is_hidden_at_end else "NOT hidden at the end"
        return (
            f"{self.calls} calls of {CALL_S} s, {self.missed} missed, the shortest {self.shortest_s:.2f} s; "
            f"the tab was {hidden}; "
            f"{self.packets} packets received, {self.packets_lost} lost; load {self.load_before:.1f}"
        )


async def heard_in_a_hidden_tab(channels: int, minutes: float) -> Heard:
    load_before = os.getloadavg()[0]
    spawn = multiprocessing.get_context("spawn")
    pipe, theirs = spawn.Pipe()
    server = spawn.Process(target=run_server, args=(theirs,), daemon=True)
    server.start()
    theirs.close()
    port = int(await asyncio.to_thread(pipe.recv))
    calls = round(minutes * 60 / EVERY_S)
    microphones = await Microphones.connected(port, channels)
    sending = asyncio.create_task(microphones.send(_packets(calls + 6), _call_payloads(channels)))
    try:
        async with chromium_with_tabs() as chromium:
            tab = await chromium.open(f"http://127.0.0.1:{port}/desk", script=KEEP_PEERS)
            await until(lambda: tab.evaluate("document.documentElement?.dataset.ready === ''"))
            await asyncio.sleep(1.0)
            await tab.evaluate("document.querySelector('#listen').click()")
            await until(lambda: tab.evaluate("document.querySelector('#live-now').dataset.state === 'live'"))
            await tab.hide()
            await until(lambda: tab.evaluate("document.hidden"))
            await tab.evaluate(RECORD)
            await sending
            await asyncio.sleep(1.0)  # the last call is played
            is_hidden = bool(await tab.evaluate("document.hidden"))
            packets, lost = await tab.evaluate(RECEIVED)
            sound = await _taken(tab)
    finally:
        sending.cancel()
        await microphones.close()
        pipe.send("end")
        await asyncio.to_thread(server.join, 30)
    played_s = _played(sound, channels)
    missed = sum(one < CALL_S / 2 for one in played_s)
    return Heard(len(played_s), missed, min(played_s), is_hidden, packets, lost, load_before)


def _packets(calls: int) -> int:
    return round(calls * EVERY_S / PACKET_S)


def _call_payloads(channels: int) -> PayloadOf:
    quiet = encode(np.random.default_rng(1).normal(0, 3e-4, RATE).astype(np.float32))
    tones = [encode(_tone(channel)) for channel in range(channels)]
    per_call, length = round(EVERY_S / PACKET_S), round(CALL_S / PACKET_S)

    def payload(channel: int, number: int) -> bytes:
        call, at = divmod(number, per_call)
        is_calling = call % channels == channel and at < length
        return tones[channel][at] if is_calling else quiet[number % len(quiet)]

    return payload


def _hertz(channel: int) -> float:
    return LOWEST_HZ + STEP_HZ * channel


def _tone(channel: int) -> Float32Array:
    t = np.arange(round(CALL_S * RATE)) / RATE
    return (LEVEL * np.sin(2 * np.pi * _hertz(channel) * t)).astype(np.float32)


async def _taken(tab: Tab) -> Float32Array:
    """The recording, (n,) float32 at 16 kHz."""
    data = base64.b64decode(await tab.evaluate(TAKE))
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    pieces: list[Float32Array] = []
    with av.open(io.BytesIO(data), mode="r") as recording:
        for frame in recording.decode(audio=0):
            pieces += [out.to_ndarray()[0] for out in resampler.resample(frame)]
    return np.concatenate(pieces)


def _played(sound: Float32Array, channels: int) -> list[float]:
    """Seconds that each call was heard, from the first call to the last one that the recording has."""
    window = RATE // 20
    pieces = sound[: len(sound) // window * window].reshape(-1, window)
    spectra = np.abs(np.fft.rfft(pieces * np.hanning(window), axis=1))
    bins = [round(_hertz(channel) * window / RATE) for channel in range(channels)]
    strengths = spectra[:, bins]  # [window, channel]
    loud = strengths > 0.25 * np.percentile(strengths, 99, axis=0)
    is_calling = loud & (strengths >= strengths.max(axis=1, keepdims=True))
    onsets = [(int(w), int(c)) for w, c in np.argwhere(is_calling)]
    at, channel = onsets[0]
    per_call, back = round(EVERY_S * RATE / window), round(BACK_S * RATE / window)
    length = round(CALL_S * RATE / window)
    played_s: list[float] = []
    while at + per_call <= onsets[-1][0]:
        begin, end = max(0, at - back), at + length + back
        heard = np.flatnonzero(is_calling[begin:end, channel])
        played_s.append(len(heard) * window / RATE)
        # A busy browser may play a little faster or slower, so the next call is expected from this one.
        at = per_call + (begin + int(heard[0]) if len(heard) > length / 2 else at)
        channel = (channel + 1) % channels
    return played_s
