import asyncio
from pathlib import Path

from tests.support.desk import Desk, a_config, running_desk
from tests.support.opus_packets import packets_between
from webrtc_host.keys import ARCHIVE, RECORD
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.session import Session

A_MOMENT_IN_DAYS = 1e-7


async def nothing(reason: str) -> int:
    return 0


async def ended_session(desk: Desk, name: str) -> Session:
    """An ended session with a final and some audio on C01."""
    session = desk.registry.create(name)
    connection = desk.registry.connect(session, DoorKind.SOCKET, [ChannelSpec("C01")], nothing)
    channel = desk.registry.channel(session, "C01")
    channel.open()
    for packet in packets_between(0, 500):
        channel.archive_packet(packet)
    await channel.close("over")
    desk.registry.disconnect(connection)
    await desk.registry.end(session)
    return session


async def removed(desk: Desk) -> None:
    """Run one of the rounds that run every minute; returns the removed sessions."""
    room = desk.app[ARCHIVE]
    assert room.archive is not None
    await desk.app[RECORD].store.write(lambda connection: None)
    await room._remove_old_sessions(room.archive, await room.holds.read())


async def test_old_ended_sessions_are_removed_completely_and_held_ones_stay(tmp_path: Path) -> None:
    config = a_config(tmp_path, archive={"keep_days_text": A_MOMENT_IN_DAYS, "free_bytes_min": 0})
    async with running_desk(config) as desk:
        names = ("old", "held", "held by a channel")
        old, held, by_channel = [await ended_session(desk, name) for name in names]
        going_on = desk.session
        for path, change in (
            (f"/api/sessions/{held.id}", "PATCH"),
            (f"/api/sessions/{by_channel.id}/channels/C01/hold", "PUT"),
        ):
            async with desk.client.request(change, desk.url + path, json={"is_held": True}) as answer:
                assert answer.status == 200, await answer.text()
        await asyncio.sleep(0.05)
        await removed(desk)
        _, body = await desk.get("/api/sessions")
        left = {one["session"] for one in body["sessions"]}
        assert left == {held.id, by_channel.id, going_on.id}
        archive = desk.app[ARCHIVE].archive
        assert archive is not None
        assert old.id not in {place.session for place in archive.channels()}


async def test_text_is_kept_for_ever_by_default(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        old = await ended_session(desk, "old")
        await removed(desk)
        status, _ = await desk.get(f"/api/sessions/{old.id}")
        assert status == 200
