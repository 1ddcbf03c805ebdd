"""What live audio for desks costs the server, and how long a packet takes from a microphone to a desk.

    .venv/bin/python -m scripts.bench_listening [--channels 16] [--desks 0,1,4,16] [--seconds 20]
    .venv/bin/python -m scripts.bench_listening --hidden 10     ten minutes of calls in a hidden tab

The server runs in its own process, without an engine: its figures are for the audio path alone. One process
sends a packet of speech every 20 ms on each channel, over WebRTC, the channels evenly spread over the 20 ms.
Other processes hold the desks; each desk listens to all channels. Delay is from just before the microphone's
packet is sent to the arrival of the forwarded packet in the desk's process, both on this machine's monotonic
clock, for the first desk, which has a process of its own. It includes the scheduling of three processes, so
it is an upper bound of the delay in the server.
--hidden: Chromium shows the desk in a tab behind another one, and records what its media element plays. Each
channel in turn has a call with a tone of its own; a call whose tone is not in the recording is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.hidden_tab import heard_in_a_hidden_tab  # noqa: E402
from bench.listening import PACKET_S, run_desks, run_microphones, run_server  # noqa: E402

WARM_UP_S = 3.0
"""Left out of the figures: the server decides the anchor of each channel in its first packets."""
DESKS_PER_PROCESS = 8


@dataclass(frozen=True, slots=True)
class Figures:
    channels: int
    desks: int
    seconds: float
    packets_in: int
    packets_out: int  # received by the desks
    missing: int  # of packets in x desks
    delay_p50_ms: float | None
    delay_p95_ms: float | None
    delay_p99_ms: float | None
    server_cpu: float  # of one core
    dropped: int  # packets that the server did not send
    load_before: float  # load average of the last minute, before this measurement


def measure(channels: int, desks: int, seconds: float) -> Figures:
    """Start everything, measure, end everything."""
    load_before = os.getloadavg()[0]
    spawn = multiprocessing.get_context("spawn")

    def started(target: Any, *arguments: Any) -> tuple[Any, Connection]:
        near, far = spawn.Pipe()
        process = spawn.Process(target=target, args=(*arguments, far), daemon=True)
        process.start()
        far.close()  # then the pipe ends when the process ends
        return process, near

    server, server_pipe = started(run_server)
    port = int(server_pipe.recv())
    # The first desk has a process of its own: only its delays count, and no other desk is in its way.
    rest = range(1, desks, DESKS_PER_PROCESS)
    share = [1, *(min(DESKS_PER_PROCESS, desks - first) for first in rest)] if desks else []
    listeners = [started(run_desks, port, channels, count) for count in share]
    for _, pipe in listeners:
        pipe.recv()  # all desks are connected
    sender, sender_pipe = started(run_microphones, port, channels, WARM_UP_S + seconds)
    sender_pipe.recv()  # it begins to send
    time.sleep(WARM_UP_S)
    server_pipe.send("cpu")
    before_s = float(server_pipe.recv())
    sent_s: list[list[float]] = sender_pipe.recv()
    server_pipe.send("cpu")
    cpu_s = float(server_pipe.recv()) - before_s
    time.sleep(0.5)  # the last packets arrive
    heard: list[dict[int, list[tuple[int, float]]]] = []
    for _, pipe in listeners:
        pipe.send("end")
        heard += pipe.recv()
    server_pipe.send("end")
    dropped = int(server_pipe.recv())
    for process in (sender, server, *(process for process, _ in listeners)):
        process.join(30)
    return _figures(channels, desks, seconds, sent_s, heard, cpu_s, dropped, load_before)


def _figures(
    channels: int,
    desks: int,
    seconds: float,
    sent_s: list[list[float]],
    heard: list[dict[int, list[tuple[int, float]]]],
    cpu_s: float,
    dropped: int,
    load_before: float,
) -> Figures:
    """sent_s: [channel][packet] -> time; heard: for each desk, channel -> [(RTP time, time of arrival)]."""
    skipped = round(WARM_UP_S / PACKET_S)
    delays: list[float] = []
    packets_out = sum(len(packets) for desk in heard for packets in desk.values())
    for channel, packets in (heard[0] if heard else {}).items():
        numbers = _numbers(packets, sent_s[channel])
        for number, (_, at_s) in zip(numbers, packets, strict=True):
            if number >= skipped:
                delays.append((at_s - sent_s[channel][number]) * 1000)
    packets_in = sum(len(packets) for packets in sent_s)
    p50, p95, p99 = (
        [round(float(one), 1) for one in np.percentile(delays, [50, 95, 99])] if delays else [None] * 3
    )
    return Figures(
        channels=channels,
        desks=desks,
        seconds=seconds,
        packets_in=packets_in,
        packets_out=packets_out,
        missing=packets_in * desks - packets_out,
        delay_p50_ms=p50,
        delay_p95_ms=p95,
        delay_p99_ms=p99,
        server_cpu=round(cpu_s / seconds, 3),
        dropped=dropped,
        load_before=round(load_before, 1),
    )


def _numbers(packets: list[tuple[int, float]], sent_s: list[float]) -> list[int]:
    """Which packet of the microphone each forwarded packet is: RTP time counts 20 ms for each.

    Where it begins is not known, because the first packets may be lost: at the latest place that leaves one
    packet under 20 ms, and the last packets within those that were sent.
    """
    first = packets[0][0]
    # Positions of the timeline are whole samples at 16 kHz, so RTP time is exact to 3 ticks.
    steps = [round(((timestamp - first) % 2**32) / (48_000 * PACKET_S)) for timestamp, _ in packets]
    spare = len(sent_s) - 1 - steps[-1]
    fastest_s = min(at_s - sent_s[n] for n, (_, at_s) in zip(steps, packets, strict=True) if n < len(sent_s))
    begin = max(0, min(spare, int(fastest_s / PACKET_S)))
    return [begin + n for n in steps]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--desks", default="0,1,4,16")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--hidden", type=float, metavar="MINUTES")
    options = parser.parse_args()
    if options.hidden:
        print(asyncio.run(heard_in_a_hidden_tab(options.channels, options.hidden)))
        return
    print(f"{platform.platform()}, {os.cpu_count()} cores")
    print("| desks | server CPU | delay p50 | p95 | p99 | packets to desks | missing | load before |")
    print("|" + "---|" * 8)
    found = []
    for desks in (int(one) for one in options.desks.split(",")):
        one = measure(options.channels, desks, options.seconds)
        found.append(one)
        delays = (
            f"{d:.1f} ms" if d is not None else "-"
            for d in (one.delay_p50_ms, one.delay_p95_ms, one.delay_p99_ms)
        )
        cells = [str(desks), f"{100 * one.server_cpu:.1f} % of a core", *delays]
        cells += [str(one.packets_out), str(one.missing), str(one.load_before)]
        print("| " + " | ".join(cells) + " |", flush=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in found], indent=1))


if __name__ == "__main__":
    main()
