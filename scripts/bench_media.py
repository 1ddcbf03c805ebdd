"""Compare the media path with aiortc's own in the same run: lost audio, delay and cost.

    .venv/bin/python -m scripts.bench_media                      the table of networks (a minute)
    .venv/bin/python -m scripts.bench_media --words 100          word errors of the starter model against loss
    .venv/bin/python -m scripts.bench_media --cost 16,200        CPU of a server process with these numbers of
    channels .venv/bin/python -m scripts.bench_media --fuzz 100000        mutated RTP packets

Deterministic for a `--seed`, except for the times of `--cost`. The figures of `docs/benchmarks/media.md` and
`docs/explanation/loss.md` come from here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from bench.loss_figure import Line, draw  # noqa: E402
from bench.network import PACKET, TABLE  # noqa: E402
from bench.replay import compare  # noqa: E402
from tests.support.speech import say, silence  # noqa: E402
from webrtc_host.media.libopus import OpusEncoder  # noqa: E402

PHRASES = (
    "alpha one proceed to gate seven over",
    "bravo two hold at checkpoint three",
    "echo six hold at gate nine",
    "medic four proceed to runway two",
)
FIGURE = ROOT / "docs" / "images" / "loss.svg"


def speech(seconds: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Repeated phrases with pauses, and a little noise so that no two packets are equal."""
    once = np.concatenate([piece for text in PHRASES for piece in (say(text), silence(1.0))])
    n = round(seconds * 16_000)
    whole = np.tile(once, -(-n // len(once)))[:n]
    return (whole + np.random.default_rng(1).normal(0, 1e-4, n)).astype(np.float32)


def packets(seconds: float, *, with_dtx: bool = False) -> list[bytes]:
    encoder = OpusEncoder(with_repair=True, expected_loss_percent=10, with_dtx=with_dtx)
    sound = speech(seconds)
    return [encoder.encode(piece) for piece in sound[: len(sound) // PACKET * PACKET].reshape(-1, PACKET)]


def table(seconds: float, seed: int) -> list[dict[str, object]]:
    plain, dtx = packets(seconds), packets(seconds, with_dtx=True)
    print(
        "| network | lost on the way | ours: audio lost | above 200 ms | lag p50/p95 | time error "
        "| aiortc: audio lost | above 200 ms | lag p50/p95 | time error |"
    )
    print("|" + "---|" * 10)
    rows: list[dict[str, object]] = []
    for network in TABLE:
        lost, ours, stock = compare(dtx if network.dtx else plain, network, seed)
        cells = [network.name, f"{100 * lost:.1f} %"]
        row: dict[str, object] = {"network": network.name, "packets_lost": lost}
        for name, one in (("ours", ours), ("aiortc", stock)):
            cells += [
                f"{100 * one.lost:.1f} %",
                f"{one.above_target_s:.1f} s",
                f"{one.lag_p50_ms:.0f}/{one.lag_p95_ms:.0f} ms",
                f"{one.error_ms:,.0f} ms",
            ]
            row[name] = {key: value for key, value in asdict(one).items() if key != "blocks"}
        print("| " + " | ".join(cells) + " |", flush=True)
        rows.append(row)
    return rows


def words(count: int, model: Path) -> list[dict[str, object]]:
    from bench import media_words
    from bench.media_words import BURST, DEFAULT, NO_REPAIR, WIDEBAND

    reader, spoken = media_words.Reader(model), media_words.phrases(count)
    rows: list[dict[str, object]] = []
    print("| coding | losses | packets lost | ours, words wrong | aiortc, words wrong |")
    print("|---|---|---|---|---|")
    for coding, burst in ((DEFAULT, 1.0), (DEFAULT, BURST), (WIDEBAND, 1.0), (NO_REPAIR, 1.0)):
        with_stock = coding is DEFAULT
        losses = "single" if burst == 1 else f"bursts of {burst:g}"
        for point in media_words.measure(
            reader, spoken, coding, media_words.networks(burst), with_stock=with_stock
        ):
            stock = str(point.stock) if with_stock else ""
            print(
                f"| {coding.name} | {losses} | {100 * point.loss:g} % | {point.ours} | {stock} |", flush=True
            )
            row: dict[str, object] = {"coding": coding.name, "losses": losses, "loss": point.loss}
            rows.append(row | {"ours": asdict(point.ours), "aiortc": asdict(point.stock)})
    FIGURE.write_text(figure_of(rows), encoding="utf-8")
    return rows


def figure_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """Curves of both receivers and both kinds of loss, with the sender's usual coding."""
    curves: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in rows:
        for name in ("ours", "aiortc"):
            if row["coding"] == rows[0]["coding"] and row[name]["total"]:
                wrong = 100 * row[name]["errors"] / row[name]["total"]
                curves.setdefault((name, row["losses"]), []).append((100 * row["loss"], wrong))
    colors = {"ours": "#1464a5", "aiortc": "#c0392b"}
    lines = [
        Line(f"{name}, {losses}", colors[name], losses != "single", tuple(points))
        for (name, losses), points in curves.items()
    ]
    return draw(lines, "Words wrong against packets lost")


RECEIVERS = {"ours": ("ours", False), "aiortc": ("stock", False), "ours, sound kept": ("ours", True)}
"""Which code receives the tracks, and whether the audio is also written to disk."""


async def cost(channels: list[int], names: list[str], seconds: float) -> list[dict[str, object]]:
    from bench.media_cost import measure

    payloads = packets(20)
    rows: list[dict[str, object]] = []
    print(
        "| receiver | channels | ms CPU per audio s | of one core | received, of sent | loop lag p50/p99/max "
        "| memory | load |"
    )
    print("|" + "---|" * 8)
    for count in channels:
        for name in names:
            receiver, with_archive = RECEIVERS[name]
            one = await measure(receiver, count, seconds, payloads, with_archive=with_archive)
            lags = f"{one.lag_p50_ms:.0f}/{one.lag_p99_ms:.0f}/{one.lag_max_ms:.0f} ms"
            print(
                f"| {name} | {count} | {one.ms_per_audio_s} | {one.core} | {one.received} of {one.sent} "
                f"| {lags} | {one.rss_mb:.0f} MB | {one.load} |",
                flush=True,
            )
            rows.append(asdict(one) | {"receiver": name})
    return rows


def fuzzing(count: int, seed: int) -> dict[str, object]:
    from bench.media_fuzz import fuzz

    logging.basicConfig(level=logging.CRITICAL)
    report = asdict(asyncio.run(fuzz(count, seed)))
    print(json.dumps(report, indent=1))
    return report


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, help="of speech (table: 120), or of each cost run (20)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--words", type=int, metavar="PHRASES")
    parser.add_argument("--model", type=Path, default=ROOT / "host_stt" / "starter")
    parser.add_argument("--cost", metavar="CHANNELS", help="such as 16,64,200")
    parser.add_argument("--receivers", nargs="*", choices=RECEIVERS, default=list(RECEIVERS))
    parser.add_argument("--fuzz", type=int, metavar="PACKETS")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    chosen = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    figures: object
    if chosen.words:
        figures = words(chosen.words, chosen.model)
    elif chosen.cost:
        counts = [int(number) for number in chosen.cost.split(",")]
        figures = asyncio.run(cost(counts, chosen.receivers, chosen.seconds or 20))
    elif chosen.fuzz:
        figures = fuzzing(chosen.fuzz, chosen.seed)
    else:
        figures = table(chosen.seconds or 120, chosen.seed)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
