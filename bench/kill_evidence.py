"""Collect evidence about phrases that the kill test misses, while the server still runs.

For each one: the kills around it, the events of its channel at that time, how much of its audio is in the
archive, and the text that the model gives for that audio now. This distinguishes three kinds of loss: audio
that never arrived, audio that was not stored, and audio that was stored and not transcribed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from bench.kill_score import Spoken
from webrtc_host.archive.files import packets_of, scan
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.seams import SAMPLES_PER_MS

BEFORE_MS = 15_000
AFTER_MS = 30_000
BESIDE_MS = 3000
SUSPECTS_MAX = 10
OF_CHANNEL = ("channel.opened", "channel.closed")
SHOWN_FIELDS = (
    *("seq", "wall", "type", "utterance", "from_ms", "to_ms", "start_ms", "end_ms", "state", "reason"),
    *("rule", "code", "text", "source"),
)

Event = Mapping[str, Any]
Kills = Sequence[tuple[str, float]]
"""(target, milliseconds of the session)"""


async def evidence(
    http: aiohttp.ClientSession,
    url: str,
    session: str,
    audio: Path,
    suspects: Sequence[Spoken],
    events: Sequence[Event],
    kills: Kills,
) -> list[dict[str, Any]]:
    """The evidence for each suspect. audio: the archive's folder. events: all of the session, in order."""
    found = []
    for one in suspects[:SUSPECTS_MAX]:
        found.append(
            {
                "channel": one.channel,
                "phrase": one.phrase,
                "span_ms": [one.start_ms, one.end_ms],
                "kills": kills_around(one, kills),
                "events": events_around(one, events),
                "kept_ms": kept_ms(audio, session, one),
                "read_now": await _read_now(http, url, session, one),
            }
        )
    return found


def kills_around(one: Spoken, kills: Kills) -> list[str]:
    low, high = one.start_ms - BEFORE_MS, one.end_ms + AFTER_MS
    return [f"{target} at {round(at)}" for target, at in kills if low <= at <= high]


def events_around(one: Spoken, events: Iterable[Event]) -> list[dict[str, Any]]:
    """The events about the phrase's time, whenever they were sent, and channel.opened and channel.closed."""
    return [
        {name: event[name] for name in SHOWN_FIELDS if name in event}
        for event in events
        if event.get("channel") == one.channel and _is_near(one, event)
    ]


def _is_near(one: Spoken, event: Event) -> bool:
    start = event.get("start_ms", event.get("from_ms"))
    end = event.get("end_ms", event.get("to_ms", start))
    start = end if start is None else start
    if start is None:
        return False
    is_wide = event["type"] in OF_CHANNEL
    before, after = (BEFORE_MS, AFTER_MS) if is_wide else (BESIDE_MS, BESIDE_MS)
    return bool(start < one.end_ms + after and end > one.start_ms - before)


def kept_ms(audio: Path, session: str, one: Spoken) -> int:
    """How much of the phrase's time is in finished files of the archive, in milliseconds."""
    low, high = one.start_ms * SAMPLES_PER_MS, one.end_ms * SAMPLES_PER_MS
    files = scan(audio, is_only_process=False).of(ChannelKey(session, one.channel))
    packets = [packet for file in files for packet in packets_of(audio, file)]
    samples = sum(max(0, min(high, p.end_sample) - max(low, p.start_sample)) for p in packets)
    return samples // SAMPLES_PER_MS


async def _read_now(http: aiohttp.ClientSession, url: str, session: str, one: Spoken) -> str:
    """The text of the archive's audio of that time, sent as an upload; or the reason if that is
    impossible.
    """
    span = {"from_ms": str(max(0, one.start_ms - 500)), "to_ms": str(one.end_ms + 500)}
    place = f"{url}/api/sessions/{session}/channels/{one.channel}/audio"
    async with http.get(place, params=span) as answer:
        if answer.status != 200:
            return f"not kept: {answer.status}"
        sound = await answer.read()
    async with http.post(f"{url}/sessions/create", json={"name": "read again"}) as answer:
        again = (await answer.json())["session_id"]
    form = aiohttp.FormData()
    for name, value in (("session_id", again), ("channel_id", "C01"), ("start_ts", "0")):
        form.add_field(name, value)
    form.add_field("audio", sound, filename="phrase.opus", content_type="audio/ogg")
    async with http.post(f"{url}/push", data=form) as answer:
        if answer.status != 200:
            return f"not read: {answer.status} {(await answer.text())[:200]}"
        return " ".join(segment["text"] for segment in (await answer.json())["segments"])
