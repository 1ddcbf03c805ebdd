"""What is usual on a channel: the points, the band, what counts as unusual, and a restart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.support.desk import Desk, a_config, running_desk
from webrtc_host.desk.usual_api import UsualResponse
from webrtc_host.keys import RECORD
from webrtc_host.seams import Block
from webrtc_host.services.usual import LineInbox, Usual
from webrtc_host.services.usual_figures import (
    DAY_MS,
    MINUTE_MS,
    POINT_MS,
    Line,
    Point,
    UsualFigures,
)
from webrtc_host.session.channel import Channel, ChannelSpec
from webrtc_host.session.channel_seams import DoorKind

T0 = 1_760_000_000_000 - 1_760_000_000_000 % POINT_MS


@dataclass
class Clock:
    wall_ms: int = T0

    def __call__(self) -> int:
        return self.wall_ms


def a_day(level_db: float = -50.0) -> list[Point]:
    """Points of 24 hours before T0: 0 words in the night, up to 120 in the day."""
    return [
        Point(T0 - DAY_MS + n * POINT_MS, max(0.0, 120 - abs(144 - n)), 800.0, 0.9, level_db + n % 3)
        for n in range(1, 288)
    ]


def with_now(figures: UsualFigures, words: int, level_db: float) -> UsualFigures:
    for second in range(0, 240, 2):
        figures.note_level(T0 - 240_000 + second * 1000, level_db)
    figures.note_line(T0 - 200_000, Line(words, 900, 0.88))
    return figures


def test_a_quiet_night_is_usual_and_a_dead_channel_is_not() -> None:
    night = with_now(UsualFigures(a_day()), words=0, level_db=-50.0).compare(T0, 2.0)
    assert (night["words"].verdict, night["level_db"].verdict) == ("usual", "usual")
    assert (night["level_db"].low, night["level_db"].high) == (-50.0, -48.0)
    dead = with_now(UsualFigures(a_day()), words=0, level_db=-90.0).compare(T0, 2.0)
    assert (dead["words"].verdict, dead["level_db"].verdict, dead["level_db"].now) == ("usual", "low", -90.0)
    assert (dead["delay_ms"].verdict, dead["confidence"].verdict) == ("usual", "usual")
    assert len(dead["level_db"].recent) == 48
    assert dead["words"].recent[23] == max(value for value in dead["words"].recent if value is not None)


def test_less_than_an_hour_makes_no_band_and_a_channel_without_audio_has_no_figures_now() -> None:
    figures = UsualFigures(a_day()[-11:]).compare(T0, 2.0)
    assert (figures["words"].low, figures["words"].verdict, figures["words"].now) == (None, None, None)
    assert UsualFigures(a_day()).compare(T0, 2.0)["level_db"].verdict is None
    assert UsualFigures(a_day()).compare(T0 + 2 * DAY_MS, 2.0)["level_db"].low is None


def test_words_are_per_minute_of_audio_and_an_empty_time_makes_no_point() -> None:
    figures = UsualFigures()
    for second in range(0, 60, 2):
        figures.note_level(T0 + second * 1000, -40.0)
    figures.note_line(T0 + 1000, Line(20, 500, 0.8))
    figures.note_line(T0 + 2000, Line(10, None, None))
    assert figures.close(T0, 2.0) == Point(T0, 30.0, 500, 0.8, -40.0)
    assert figures.close(T0 + POINT_MS, 2.0) is None
    assert figures.newest_ms == T0


def fed(desk: Desk) -> Channel:
    async def end(reason: str) -> int:
        return await channel.close(reason)

    connection = desk.registry.connect(desk.session, DoorKind.WEBRTC, [ChannelSpec("C01", "Tower")], end)
    channel = connection.channels[0]
    channel.open()
    return channel


def feed(channel: Channel) -> None:
    channel.feed(Block(channel.session.now_sample(), np.full(6400, 0.1, np.float32)))


async def test_points_survive_a_restart_and_the_route_gives_them(tmp_path: Path) -> None:
    config, clock = a_config(tmp_path, store={"url": ""}), Clock()
    async with running_desk(config) as desk:
        inbox = LineInbox()
        usual = Usual(desk.app[RECORD].store, inbox, desk.registry, clock)
        channel = fed(desk)
        for _ in range(13 * 20):  # 13 points of 20 readings
            feed(channel)
            await usual.read()
            clock.wall_ms += POINT_MS // 20
        await usual.read()
        again = Usual(desk.app[RECORD].store, inbox, desk.registry, clock)
        await again.load()
        before = usual.compare(desk.session)["C01"]["level_db"]
        after = again.compare(desk.session)["C01"]["level_db"]
        assert before.low is not None and round(before.low) == -20
        assert (after.low, after.high, after.recent) == (before.low, before.high, before.recent)
        assert after.now is None and before.now is not None
        clock.wall_ms += DAY_MS + MINUTE_MS
        await again.read()  # what is older than a day is forgotten
        assert again.compare(desk.session).keys() <= {"C01"}
        status, body = await desk.get(f"/api/sessions/{desk.session.id}/usual")
        assert status == 200
        UsualResponse.model_validate(body)
        assert (await desk.get(f"/api/sessions/{desk.session.id}/usual", x=1))[0] == 422
        assert (await desk.get("/api/sessions/s_none/usual"))[0] == 404
