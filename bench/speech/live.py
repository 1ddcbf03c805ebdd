"""Play recordings into a running server over WebRTC, at the speed of speech, and collect its events.

Each recording gets a connection of its own, so that none inherits the language or the text of another; so
many connections at once as there are channels. Lines, beat and watcher are those of the load test.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aiohttp

from bench.speech.clips import Recording
from bench.speech.played import Listener, Played
from host_stt_cli.loadtest.plan import FRAME_MS, Load, Saying
from host_stt_cli.loadtest.run import Unmeasured, unreachable
from host_stt_cli.loadtest.sending import Beat, LineError
from host_stt_cli.loadtest.sounds import Clip, Voice, decoded, noise, opus_packets, to_16k
from host_stt_cli.loadtest.watching import Watcher
from host_stt_cli.loadtest.webrtc_lines import WebRtcLines
from host_stt_common.channel_ids import channel_id_of

LEAD_MS, TAIL_MS = 1000, 1200
"""Of a quiet line before and after a recording: the hangover of 500 ms ends inside the tail."""
LAST_WORDS_S = 20.0
OnPlayed = Callable[[Recording], None]


@dataclass(frozen=True, slots=True)
class _Play:
    """A recording on its channel. begins_s: of its first sample, on the loop's clock."""

    index: int
    channel: str
    begins_s: float
    ends_s: float  # of the connection's sound


class LivePlayer:
    def __init__(self, base: str, token: str, channels: int, review_s: float = 0.0) -> None:
        """review_s: seconds after the last recording in which the server may revise lines."""
        self._base, self._token, self._channels = base, token, channels
        self._review_s = review_s
        self._plays: list[_Play] = []

    async def play(
        self,
        recordings: Sequence[Recording],
        languages: Sequence[str],
        on_played: OnPlayed = lambda recording: None,
    ) -> list[Played]:
        """What came of each recording. languages: what each one's channel is opened with.

        Raises Unmeasured when the server cannot be used.
        """
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=30)) as http:
            try:
                return await self._play(http, recordings, languages, on_played)
            except LineError as error:
                raise Unmeasured(f"{error}.") from error
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise Unmeasured(unreachable(self._base, error)) from error

    async def _play(
        self,
        http: aiohttp.ClientSession,
        recordings: Sequence[Recording],
        languages: Sequence[str],
        on_played: OnPlayed,
    ) -> list[Played]:
        async with http.post(f"{self._base}/sessions/create", json={"name": "evaluation"}) as response:
            response.raise_for_status()
            session = str((await response.json())["session_id"])
        watcher = Watcher(http, self._base, session)
        await watcher.open()
        waiting = list(enumerate(recordings))
        waiting.reverse()

        async def channel(number: int) -> None:
            while waiting:
                index, recording = waiting.pop()
                await self._one(http, session, number, index, recording, languages[index])
                on_played(recording)

        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self._channels):
                    group.create_task(channel(number + 1))
            await asyncio.sleep(self._review_s)
            await self._last_words(watcher, session, http)
            return self._collected(watcher, recordings)
        finally:
            await watcher.close()

    async def _one(
        self,
        http: aiohttp.ClientSession,
        session: str,
        number: int,
        index: int,
        recording: Recording,
        language: str,
    ) -> None:
        clip = await asyncio.to_thread(_clip, recording)
        first = LEAD_MS // FRAME_MS
        bed = noise()
        voice = Voice([Saying(0, first)], [first], [clip], opus_packets(bed), to_16k(bed))
        name = channel_id_of(number)
        load = Load(channels=1, seconds=max(1.0, clip.ms / 1000))
        line = WebRtcLines(http, self._base, session, [name], [voice], load, language or "auto")
        await line.open()
        beat, stop = Beat([line]), asyncio.Event()
        sending = asyncio.create_task(beat.run(stop), name=f"evaluation {name}")
        try:
            await asyncio.sleep((LEAD_MS + clip.ms + TAIL_MS) / 1000)
        finally:
            stop.set()
            await sending
            ends_s = asyncio.get_running_loop().time()
            await line.hang_up()
        self._plays.append(_Play(index, name, beat.due_s(line, first), ends_s))

    async def _last_words(self, watcher: Watcher, session: str, http: aiohttp.ClientSession) -> None:
        """End the session, which waits for the engine's last results."""
        async with http.post(f"{self._base}/api/sessions/{session}/end"):
            pass
        ends_s = time.monotonic() + LAST_WORDS_S
        while not watcher.count("session.ended") and time.monotonic() < ends_s:  # noqa: ASYNC110  # counts
            await asyncio.sleep(0.1)

    def _collected(self, watcher: Watcher, recordings: Sequence[Recording]) -> list[Played]:
        if not watcher.is_started:
            raise Unmeasured("the server sent no session.started; is it this program's server?")
        t0_s = watcher.t0_s(asyncio.get_running_loop().time(), time.time())
        arrived = watcher.arrived(t0_s)
        revisions = {
            one.event["segment"]: one.event["text"]
            for one in arrived
            if one.event["type"] == "segment.revised"
        }
        played: list[Played | None] = [None] * len(recordings)
        for play in self._plays:
            begins_ms, ends_ms = ((at_s - t0_s) * 1000 for at_s in (play.begins_s, play.ends_s))
            first_ms = begins_ms - LEAD_MS
            mine = [one for one in arrived if first_ms <= _at_ms(one.event) < ends_ms]
            listener = Listener(play.channel, mine)
            played[play.index] = listener.played(recordings[play.index], begins_ms, ends_ms, revisions)
        return [one for one in played if one is not None]


def _at_ms(event: dict[str, object]) -> float:
    """Where on the session's timeline an event belongs."""
    at = event.get("start_ms", event.get("from_ms", float("nan")))
    assert isinstance(at, int | float)
    return float(at)


def _clip(recording: Recording) -> Clip:
    with io.BytesIO(recording.path.read_bytes()) as file:
        samples = decoded(file, recording.name)
    return Clip(recording.words, recording.language, samples, has_noise=False)
