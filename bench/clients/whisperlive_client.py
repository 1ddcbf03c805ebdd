"""whisper-live, unmodified, in the environment of the plugins: its streaming client, in real time."""

from __future__ import annotations

from bench.clients.agent_plugins import outcomes_of
from bench.clients.place import Outcome, Place


async def check(place: Place) -> list[Outcome]:
    return await outcomes_of(place, ("whisperlive_stt.py",))
