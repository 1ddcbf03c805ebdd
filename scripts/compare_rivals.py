"""Compare host-stt, WhisperLive and WhisperLiveKit: same model and speech, one after the other, one machine.

    .venv/bin/python -m scripts.compare_rivals --json rivals.json
    .venv/bin/python -m scripts.compare_rivals --model base --audio DIR --channels 1 2 4 8 --json rivals.json

Makes the environments of the others below --folder (from PyPI, once), starts each server as a child, lets N
channels speak in real time over its WebSocket, and prints the results and the cost. Results:
docs/benchmarks/rivals.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from bench.rivals import environments, ours, table, whisper_live, whisper_live_kit
from bench.rivals.child import Child, NotStarted, free_port, offline, running
from bench.rivals.course import Doorway, OurDoorway, RivalDoorway, Talk, measure
from bench.rivals.whisper_live_kit import Policy
from bench.speech.normalise import normaliser
from host_stt.config import EngineConfig
from host_stt.errors import ModelError
from host_stt.models import STARTER_FOLDER
from host_stt.resolving import resolve_model
from host_stt_cli.errors import StartError
from host_stt_cli.loadtest import sounds
from host_stt_cli.loadtest.plan import Door, Load
from host_stt_cli.loadtest.sending import LineError
from tests.support.server import environment

ROOT = Path(__file__).resolve().parent.parent
HOPELESS_MS = 15_000
"""If the median delay of the last word is above this, larger cases are not run."""


@dataclass(frozen=True, slots=True)
class Peer:
    name: str
    command: Callable[[int], list[str]]  # port ->
    doorway: Callable[[int], Doorway]
    channels: Sequence[int]
    door: Door = Door.SOCKET
    environ: Mapping[str, str] = field(default_factory=offline)


def peers(chosen: argparse.Namespace, data: Path) -> list[Peer]:
    model, language, counts = chosen.model, chosen.language, chosen.channels
    found: list[Peer] = []
    for name, is_batched in (("WhisperLive", False), ("WhisperLive, batch mode", True)):
        line = partial(whisper_live.WhisperLiveLine, model=model, language=language)
        start = partial(_whisper_live, chosen.folder, model, is_batched=is_batched)
        found.append(Peer(name, start, partial(_rival, line, "ws://127.0.0.1:{}"), counts))
    kit = partial(_rival, whisper_live_kit.WhisperLiveKitLine, "ws://127.0.0.1:{}/asr?language=" + language)
    for policy in whisper_live_kit.Policy:
        if policy is Policy.ALIGN_ATT and model == STARTER_FOLDER:
            continue  # its decoder has the vocabulary of OpenAI's models built in
        start = partial(_kit, chosen.folder, model, language, policy)
        found.append(Peer(f"WhisperLiveKit, {policy}", start, kit, counts))
    mine, more = partial(ours.command, data, model), [n for n in chosen.ours_too if n not in counts]
    found.append(Peer(table.OURS, mine, _ours, [*counts, *more], environ=environment()))
    found.append(Peer(f"{table.OURS}, WebRTC", mine, _ours, [max(counts)], Door.WEBRTC, environment()))
    return [peer for peer in found if not chosen.only or peer.name in chosen.only]


def _whisper_live(folder: Path, model: Path, port: int, *, is_batched: bool) -> list[str]:
    python = environments.WHISPER_LIVE.made(folder)
    return whisper_live.command(python, model, port, is_batched=is_batched)


def _kit(folder: Path, model: Path, language: str, policy: Policy, port: int) -> list[str]:
    return whisper_live_kit.command(environments.WHISPER_LIVE_KIT.made(folder), model, port, language, policy)


def _rival(line: Any, url: str, port: int) -> Doorway:
    return RivalDoorway(lambda http, channel, voice: line(http, url.format(port), channel, voice))


def _ours(port: int) -> Doorway:
    return OurDoorway(f"http://127.0.0.1:{port}")


async def compare(
    chosen: argparse.Namespace,
    all_peers: Sequence[Peer],
    clips: Sequence[sounds.Clip],
    logs: Path,
    keep: Callable[[list[dict[str, Any]]], None],
) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = []
    for peer in all_peers:
        cases += await _all_cases(peer, chosen, clips, logs)
        keep(cases)
    return cases


async def _all_cases(
    peer: Peer, chosen: argparse.Namespace, clips: Sequence[sounds.Clip], logs: Path
) -> list[dict[str, Any]]:
    """All cases with one server process, restarted only if it is still busy with the last case."""
    cases: list[dict[str, Any]] = []
    left = list(peer.channels)
    while left:
        port = free_port()
        name = f"{peer.name.replace(' ', '-').replace(',', '')}-{left[0]}"
        try:
            with running(peer.command(port), port, logs, name, peer.environ) as child:
                await _ready(peer, port)
                while left:
                    cases.append(await _case(peer, port, child, left.pop(0), chosen, clips))
                    print(table.rows(cases)[-1], flush=True)
                    if left and not _go_on(cases[-1]):
                        cases += [_not_run(peer, n, "the previous case was already too slow") for n in left]
                        left = []
                    if not child.is_idle():
                        break
        except (NotStarted, OSError) as error:
            cases += [_not_run(peer, n, str(error).splitlines()[-1]) for n in left]
            print(error, flush=True)
            break
    return cases


async def _ready(peer: Peer, port: int) -> None:
    """Wait for /ready, because our server listens before its model is loaded."""
    if not peer.name.startswith(table.OURS):
        return
    async with aiohttp.ClientSession() as http:
        for _ in range(300):
            async with http.get(f"http://127.0.0.1:{port}/ready") as answer:
                if answer.status == 200:
                    return
            await asyncio.sleep(0.2)
    raise NotStarted("it did not become ready")


async def _case(
    peer: Peer,
    port: int,
    child: Child,
    channels: int,
    chosen: argparse.Namespace,
    clips: Sequence[sounds.Clip],
) -> dict[str, Any]:
    load = Load(channels, chosen.seconds, chosen.talk, door=peer.door, seed=chosen.seed)
    try:
        found = await measure(peer.doorway(port), child, Talk(load, clips, chosen.language))
    except LineError as error:
        return _not_run(peer, channels, str(error))
    return {"server": peer.name, **found}


def _not_run(peer: Peer, channels: int, why: str) -> dict[str, Any]:
    return {"server": peer.name, "channels": channels, "not_run": why}


def _go_on(case: dict[str, Any]) -> bool:
    """True if a larger case can still give information."""
    return "not_run" not in case and float(case["last_word_ms"].get("p50", HOPELESS_MS)) < HOPELESS_MS


def _model_folder(model: str) -> Path:
    """The folder of a model's name or path; a name is found among the downloaded models, or downloaded.

    Raises ModelError if there is no such model.
    """
    return resolve_model(EngineConfig(model=model, models_dir=ROOT / "data" / "models")).path.absolute()


def _clips(chosen: argparse.Namespace) -> list[sounds.Clip]:
    """The speech of the run, encoded before the first channel speaks. Raises StartError."""
    language = chosen.language
    clips = sounds.given(chosen.audio, language) if chosen.audio else sounds.spoken(language)
    for clip in clips:
        assert len(clip.at_16k) and clip.packets
    return clips


def _machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if sys.platform == "linux" else []
    processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {"processor": processor, "cores": os.cpu_count(), "load_average": os.getloadavg()}


def _keep(chosen: argparse.Namespace, began: str, cases: Sequence[dict[str, Any]]) -> None:
    """Write the report after each server, so that an interrupted run loses little."""
    if not chosen.json:
        return
    asked = {"seconds": chosen.seconds, "talk": chosen.talk, "seed": chosen.seed, "model": chosen.model.name}
    asked["speech"] = "recordings" if chosen.audio else "espeak-ng"
    report = {"when": began, "machine": _machine(), "asked": asked, "cases": cases}
    chosen.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--channels", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--ours-too", type=int, nargs="*", default=[32], help="more cases, only for host-stt")
    parser.add_argument("--seconds", type=float, default=45.0, help="of speech in each case")
    parser.add_argument("--talk", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--language", default="en")
    parser.add_argument(
        "--model", default=str(STARTER_FOLDER), help="a model's name (base) or a CTranslate2 folder"
    )
    parser.add_argument(
        "--audio", type=Path, help="recordings of 0.2 to 25 s, NAME.wav with NAME.txt; else espeak-ng speaks"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("build/rivals"), help="folder of the environments"
    )
    parser.add_argument("--only", nargs="+", metavar="SERVER", help="by the names of the table")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    chosen.folder = chosen.folder.absolute()
    try:
        chosen.model, clips = _model_folder(chosen.model), _clips(chosen)
        normaliser(chosen.language)("")  # fails now instead of after an hour
    except (ModelError, StartError) as error:
        print(error, file=sys.stderr)
        return 2
    began = datetime.now(UTC).isoformat(timespec="seconds")
    with tempfile.TemporaryDirectory() as name:
        logs = Path(name)
        all_peers = peers(chosen, logs / "data")
        cases = asyncio.run(compare(chosen, all_peers, clips, logs, partial(_keep, chosen, began)))
    print(*table.rows(cases), "", *table.ratios(cases), sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
