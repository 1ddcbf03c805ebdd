"""Our own server, with the lines and the watcher of the load test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import aiohttp

from bench.rivals.screens import Screen
from host_stt.model_names import STARTER
from host_stt.models import STARTER_FOLDER
from host_stt_cli.loadtest.measures import Arrived, Spoken, heard_of, percentiles, ttfs
from host_stt_cli.loadtest.plan import Door, Load
from host_stt_cli.loadtest.sending import Lines
from host_stt_cli.loadtest.socket_lines import SocketLine
from host_stt_cli.loadtest.sounds import Voice
from host_stt_cli.loadtest.webrtc_lines import WebRtcLines
from tests.support.server import command as host_stt


def command(folder: Path, model: Path, port: int) -> list[str]:
    name = STARTER if model == STARTER_FOLDER else str(model)
    settings = (f"media.port={port}", "engine.port=0", f"engine.model={name}", f"data.dir={folder}")
    return host_stt("serve", *(word for setting in settings for word in ("--set", setting)))


def lines(
    http: aiohttp.ClientSession,
    base: str,
    session: str,
    names: Sequence[str],
    voices: Sequence[Voice],
    load: Load,
    language: str,
) -> list[Lines]:
    """One connection per channel."""
    if load.door is Door.SOCKET:
        return [
            SocketLine(http, base, session, [n], [v], language) for n, v in zip(names, voices, strict=True)
        ]
    return [
        WebRtcLines(http, base, session, [n], [v], load, language) for n, v in zip(names, voices, strict=True)
    ]


def screens(channel: str, arrived: Iterable[Arrived]) -> list[Screen]:
    """The text of one channel after each of its segments."""
    finals: dict[float, str] = {}
    interims: dict[str, str] = {}
    shown: list[Screen] = []
    for one in arrived:
        event = one.event
        if event["type"] not in ("segment.final", "segment.interim") or event["channel"] != channel:
            continue
        if event["type"] == "segment.final":
            finals[event["start_ms"]] = event["text"]
            interims.pop(event["utterance"], None)
        else:
            interims[event["utterance"]] = event["text"]
        final = " ".join(text for _, text in sorted(finals.items()))
        shown.append(Screen(one.at_ms, final, " ".join(interims.values())))
    return shown


def load_test_ttfs(spoken: Sequence[Spoken], arrived: Sequence[Arrived]) -> dict[str, float]:
    """Time to final text as `host-stt loadtest` measures it; both on the session's timeline."""
    return percentiles([point.value for point in ttfs(heard_of(spoken, arrived))])
