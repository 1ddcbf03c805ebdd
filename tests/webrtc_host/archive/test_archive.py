import asyncio
import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.audio_files import decoded
from tests.support.opus_packets import KEY, MS, packet_at, packets_between, stored_packets
from tests.support.polling import until, until_blocking
from tests.support.speech import say
from webrtc_host.archive.archive import Archive
from webrtc_host.archive.playing import ROLL_SAMPLES, ogg_file
from webrtc_host.archive.retention import Holds
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.config import ArchiveConfig
from webrtc_host.seams import Block, BlockKind

NOW_S = 1_000_000_000.0
DAY_S = 86_400


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    archive = opened(tmp_path)
    yield archive
    archive.close()


def opened(folder: Path, **config: object) -> Archive:
    archive = Archive(ArchiveConfig.model_validate({"free_bytes_min": 0, **config}), folder)
    archive.open()
    return archive


def put(archive: Archive, from_ms: int, to_ms: int, key: ChannelKey = KEY) -> None:
    of_channel = archive.of_channel(key.session, key.channel)
    for packet in packets_between(from_ms, to_ms):
        of_channel.archive_packet(packet)
    settle(archive)


def settle(archive: Archive) -> None:
    """Wait until all packets given to the archive are written."""
    until_blocking(lambda: not archive.encoder.waiting_ms)
    rounds = archive.writer.statistics().rounds
    until_blocking(lambda: archive.writer.statistics().rounds >= rounds + 2)


def finish(archive: Archive) -> None:
    """Close the archive and all its files, as a server does in an orderly stop."""
    archive.close()


def test_a_range_gives_the_packets_that_overlap_it(archive: Archive) -> None:
    put(archive, 0, 2000)
    found = archive.packets(KEY, 510 * MS, 600 * MS)
    assert [p.start_sample // MS for p in found] == [500, 520, 540, 560, 580]
    assert archive.packets(ChannelKey("s_1", "C02"), 0, 1 << 40) == []


def test_runs_and_their_end_show_where_audio_is(archive: Archive) -> None:
    put(archive, 0, 400)
    put(archive, 1000, 1200)
    assert archive.runs(KEY, 0, 9000 * MS) == [(0, 400 * MS), (1000 * MS, 1200 * MS)]
    assert archive.end_before(KEY, 1 << 40) == 1200 * MS
    assert archive.end_before(KEY, 1000 * MS) == 400 * MS
    assert archive.end_before(ChannelKey("s_9", "C01"), 1 << 40) == 0


def test_the_end_may_lie_in_another_file_than_the_last_one(archive: Archive) -> None:
    put(archive, 0, 20)
    put(archive, 500, 3000)
    put(archive, 20, 480)  # late audio, which has a separate file
    assert archive.end_before(KEY, 1 << 40) == 3000 * MS
    assert archive.end_before(KEY, 2000 * MS) == 2000 * MS
    assert archive.end_before(KEY, 490 * MS) == 480 * MS


def test_a_range_may_span_several_files(tmp_path: Path) -> None:
    archive = opened(tmp_path, segment_s=10)
    put(archive, 0, 35_000)
    assert len(archive.packets(KEY, 0, 35_000 * MS)) == 1750
    assert archive.runs(KEY, 0, 35_000 * MS) == [(0, 35_000 * MS)]
    archive.close()


def test_the_next_process_finds_the_archived_audio(tmp_path: Path) -> None:
    first = opened(tmp_path)
    put(first, 0, 1000)
    finish(first)
    second = opened(tmp_path)
    put(second, 1000, 2000)
    assert len(second.packets(KEY, 0, 2000 * MS)) == 100
    assert second.channels() == [KEY]
    second.close()


def test_blocks_are_encoded_and_played_at_their_time(archive: Archive) -> None:
    said = say("alpha one proceed to gate seven")
    of_channel = archive.of_channel("s_1", "C01")
    start = 12_345
    for at in range(0, len(said), 320):
        of_channel.archive_block(Block(start + at, said[at : at + 320]))
    of_channel.archive_block(Block(start + len(said), np.zeros(1600, np.float32), BlockKind.LOST))
    archive.encoder.close()
    settle(archive)
    end = start + len(said)
    heard = decoded(ogg_file(archive.packets(KEY, start - ROLL_SAMPLES, end), start, end), 60)
    n = len(said) + len(heard)
    cross = np.fft.irfft(np.fft.rfft(heard, n) * np.conj(np.fft.rfft(said, n)), n)
    shift = int(cross.argmax())
    assert min(shift, n - shift) <= MS
    assert cross.max() / (np.linalg.norm(heard) * np.linalg.norm(said)) > 0.9
    assert archive.end_before(KEY, 1 << 40) < end + 700  # lost audio is not archived as silence


async def test_archiving_a_block_does_not_encode_in_the_event_loop(archive: Archive) -> None:
    of_channel = archive.of_channel("s_1", "C01")
    minute = np.zeros(15 * 16_000, np.float32)
    began_s = time.thread_time()
    for n in range(2):
        of_channel.archive_block(Block(n * len(minute), minute))
    assert time.thread_time() - began_s < 0.05  # encoding takes 100 times as long
    await until(lambda: archive.statistics()["packets"] > 100, 30)
    await asyncio.to_thread(archive.encoder.close)


def age(archive: Archive, key: ChannelKey, days: float) -> None:
    for path in (archive.folder / key.session / key.channel).iterdir():
        os.utime(path, (NOW_S - days * DAY_S, NOW_S - days * DAY_S))


def filled(folder: Path, days: dict[str, float]) -> None:
    """An archive with a file of ten seconds for each channel, of the given ages in days."""
    archive = opened(folder)
    for channel in days:
        put(archive, 0, 10_000, ChannelKey("s_1", channel))
    finish(archive)
    for channel, old in days.items():
        age(archive, ChannelKey("s_1", channel), old)


def reopened(folder: Path, *, read_holds: Callable[[], Holds | None] = Holds, **config: object) -> Archive:
    archive = Archive(
        ArchiveConfig.model_validate({"free_bytes_min": 0, **config}),
        folder,
        wall_s=lambda: NOW_S,
        read_holds=read_holds,
    )
    archive.open()
    return archive


def channels(archive: Archive) -> list[str]:
    return [key.channel for key in archive.channels()]


def test_old_audio_is_removed_by_channel_and_audio_under_a_hold_stays(tmp_path: Path) -> None:
    filled(tmp_path, {"C01": 40, "C02": 40, "C03": 40, "C04": 5})
    archive = reopened(tmp_path, keep_days=30, keep_days_of=[{"channel": "C02", "keep_days": 365}])
    assert archive.apply_retention(Holds(channels=frozenset((ChannelKey("s_1", "C03"),)))) == 1
    assert channels(archive) == ["C02", "C03", "C04"]
    assert archive.apply_retention(Holds()) == 1
    assert channels(archive) == ["C02", "C04"]
    archive.close()


def test_above_keep_bytes_the_oldest_audio_is_removed_first(tmp_path: Path) -> None:
    filled(tmp_path, {"C01": 1, "C02": 3, "C03": 2})
    each = kept_bytes(tmp_path) // 3
    archive = reopened(tmp_path, keep_bytes=each + each // 2)
    assert archive.apply_retention(Holds()) == 2
    assert channels(archive) == ["C01"]
    assert archive.statistics()["removed_bytes"] > each
    archive.close()


def kept_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.opus"))


def test_a_full_disk_removes_the_oldest_audio_without_hold_and_then_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path, {"C01": 9, "C02": 5})
    holds = Holds(channels=frozenset((ChannelKey("s_1", "C01"),)))
    archive = reopened(tmp_path, read_holds=lambda: holds, keep_days=0)
    real, is_full = os.write, [True]

    def write(fd: int, data: memoryview) -> int:
        if (
            is_full[0]
            and (tmp_path / "audio" / "s_1" / "C02").exists()
            and any((tmp_path / "audio" / "s_1" / "C02").iterdir())
        ):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)
    put(archive, 0, 1000, ChannelKey("s_2", "C05"))
    assert archive.trouble is None
    assert channels(archive) == ["C01", "C05"]  # C02 went, C01 is under a hold
    archive.close()


def test_when_the_holds_are_not_known_no_audio_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path, {"C01": 9})
    archive = reopened(tmp_path, read_holds=lambda: None, keep_days=0)

    def write(fd: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "write", write)
        put(archive, 0, 1000, ChannelKey("s_2", "C05"))
    assert channels(archive) == ["C01"]
    assert archive.trouble == "the disk is full"
    assert archive.statistics()["lost_ms"] == 1000
    archive.close()


def test_a_session_is_removed_completely(tmp_path: Path) -> None:
    filled(tmp_path, {"C01": 1, "C02": 1})
    archive = reopened(tmp_path)
    put(archive, 0, 500, ChannelKey("s_2", "C01"))
    archive.remove("s_1")
    assert archive.channels() == [ChannelKey("s_2", "C01")]
    assert not (archive.folder / "s_1").exists()
    archive.close()


def test_a_folder_that_cannot_be_written_does_not_stop_the_server(tmp_path: Path) -> None:
    (tmp_path / "audio").write_text("a file stands where the folder should be")
    archive = opened(tmp_path)
    put(archive, 0, 1000)
    assert archive.trouble is not None
    assert archive.statistics()["lost_ms"] == 1000
    archive.close()


def test_the_last_packet_is_stored_when_the_server_stops(tmp_path: Path) -> None:
    archive = opened(tmp_path)
    archive.of_channel("s_1", "C01").archive_packet(packet_at(0))
    archive.close()
    assert stored_packets(archive.folder) == [packet_at(0)]
