import errno
import itertools
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.opus_packets import KEY, packet_at, packets_between, stored_packets
from tests.support.polling import until_blocking
from webrtc_host.archive import writer as archive_writer
from webrtc_host.archive.files import inspect, packets_in, repair, scan
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.archive.writer import AudioWriter, WriterConfig
from webrtc_host.seams import OpusPacket


class Rig:
    """A writer whose rounds and whose clock are controlled by the test."""

    def __init__(self, folder: Path, **config: int) -> None:
        self.folder = folder
        self.now_s = 100.0
        self.room_asked = 0
        self.writer = AudioWriter(
            WriterConfig(folder, **config), clock=lambda: self.now_s, free_space=self._free_space
        )

    def _free_space(self) -> bool:
        self.room_asked += 1
        return False

    def put(self, packets: list[OpusPacket], key: ChannelKey = KEY) -> None:
        self.writer.put(key, packets)

    def step(self, seconds: float = 0.05) -> None:
        self.writer.step()
        self.now_s += seconds

    def trouble(self) -> str | None:
        return self.writer.trouble

    def names(self, key: ChannelKey = KEY) -> list[str]:
        return sorted(path.name for path in (self.folder / key.session / key.channel).iterdir())


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, segment_s=10)
    yield rig
    rig.writer.close()


def test_packets_can_be_read_after_one_round(rig: Rig) -> None:
    packets = packets_between(0, 1000)
    rig.put(packets)
    rig.step()
    assert stored_packets(rig.folder) == packets


def test_packets_after_a_gap_keep_their_time(rig: Rig) -> None:
    packets = [*packets_between(0, 200), *packets_between(333, 500), *packets_between(4003, 4100)]
    rig.put(packets)
    rig.step()
    assert stored_packets(rig.folder) == packets
    assert rig.names() == ["00000000000000.part"]


def test_a_file_ends_after_its_time_and_the_next_one_continues(rig: Rig) -> None:
    packets = packets_between(0, 25_000)
    for at in range(0, len(packets), 100):
        rig.put(packets[at : at + 100])
        rig.step()
    rig.writer.close()
    assert stored_packets(rig.folder) == packets
    assert rig.names() == ["00000000000000.opus", "00000000160000.opus", "00000000320000.opus"]


def test_a_long_silence_ends_a_file_and_an_idle_file_is_closed(rig: Rig) -> None:
    rig.put([packet_at(0)])
    rig.step()
    rig.put([packet_at(7000)])
    rig.step()
    assert rig.names() == ["00000000000000.part", "00000000112000.part"]
    rig.step(6.0)
    rig.step()
    assert rig.names() == ["00000000000000.opus", "00000000112000.opus"]


def test_audio_from_before_the_live_audio_has_a_separate_file(rig: Rig) -> None:
    live, late = packets_between(60_000, 61_000), packets_between(20_000, 21_000)
    for pair in itertools.zip_longest(live, late):
        rig.put([packet for packet in pair if packet is not None])
        rig.step(0.02)
    assert len(rig.names()) == 2
    assert sorted(stored_packets(rig.folder), key=lambda p: p.start_sample) == [*late, *live]


def test_channels_and_sessions_have_separate_files(rig: Rig) -> None:
    other = ChannelKey("s_2", "C07")
    rig.put(packets_between(0, 100))
    rig.put(packets_between(500, 600), other)
    rig.step()
    assert stored_packets(rig.folder) == packets_between(0, 100)
    assert stored_packets(rig.folder, other) == packets_between(500, 600)


def test_audio_is_synced_within_flush_ms(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    synced_at: list[float] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced_at.append(rig.now_s)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    for ms in range(0, 2000, 50):
        rig.put([packet_at(ms), packet_at(ms + 20)])
        rig.step()
    rounds = sorted(set(synced_at))
    assert rounds[0] - 100.0 <= 0.25
    assert all(later - earlier <= 0.25 for earlier, later in itertools.pairwise(rounds))
    assert rig.writer.statistics().unsynced_ms_max <= 250


def test_no_sync_happens_without_new_packets(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.put([packet_at(0)])
    for _ in range(10):
        rig.step()
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    for _ in range(50):
        rig.step()
    assert synced == []


def full_after(monkeypatch: pytest.MonkeyPatch, size: int) -> list[int]:
    """A disk with `size` bytes left; a test can increase the number in the returned list."""
    left, real = [size], os.write

    def write(fd: int, data: memoryview) -> int:
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(fd, data[: left[0]])
        left[0] -= written
        return written

    monkeypatch.setattr(os, "write", write)
    return left


def test_a_full_disk_loses_audio_reports_it_and_writing_continues_with_space(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.put(packets_between(0, 1000))
    rig.step()
    left = full_after(monkeypatch, 700)
    rig.put(packets_between(1000, 2000))
    rig.step()
    assert rig.room_asked == 1
    assert rig.trouble() == "the disk is full"
    assert rig.writer.statistics().lost_ms == 1000
    assert stored_packets(rig.folder) == packets_between(0, 1000)  # the page written in part is gone
    left[0] = 1 << 30
    rig.put(packets_between(2000, 2500))
    rig.step(3.0)  # tried again only after a while
    assert rig.writer.statistics().lost_ms == 1500
    rig.put(packets_between(2500, 3000))
    rig.step()
    assert rig.trouble() is None
    assert stored_packets(rig.folder) == [*packets_between(0, 1000), *packets_between(2500, 3000)]


def test_no_audio_is_lost_when_space_is_made_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = full_after(monkeypatch, 3000)

    def free_space() -> bool:
        left[0] = 1 << 30
        return True

    writer = AudioWriter(WriterConfig(tmp_path), free_space=free_space)
    writer.put(KEY, packets_between(0, 1000))
    writer.step()
    writer.close()
    assert writer.trouble is None
    assert stored_packets(tmp_path) == packets_between(0, 1000)


def test_after_a_write_error_a_new_file_is_begun(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.put(packets_between(0, 100))
    rig.step()
    with monkeypatch.context() as broken:

        def write(fd: int, data: memoryview) -> int:
            raise OSError(errno.EIO, "Input/output error")

        broken.setattr(os, "write", write)
        rig.put(packets_between(100, 200))
        rig.step(3.0)
    assert rig.trouble() == "Input/output error"
    rig.put(packets_between(200, 300))
    rig.step()
    assert rig.trouble() is None
    assert rig.names() == ["00000000000000.part", "00000000003200.part"]


def test_packets_above_the_queue_limit_are_lost_and_counted(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_writer, "INBOX_BYTES_MAX", 10_000)
    rig.put(packets_between(0, 20_000))
    assert rig.writer.statistics().lost_ms == 20_000
    rig.put(packets_between(20_000, 20_100))
    rig.step()
    assert stored_packets(rig.folder) == packets_between(20_000, 20_100)


def test_invalid_opus_packets_are_left_out(rig: Rig) -> None:
    rig.put([packet_at(0), packet_at(20, b""), packet_at(40, b"\xff"), packet_at(60)])
    rig.step()
    assert stored_packets(rig.folder) == [packet_at(0), packet_at(60)]


def test_the_thread_writes_by_itself_and_closing_loses_no_packet(tmp_path: Path) -> None:
    writer = AudioWriter(WriterConfig(tmp_path))
    writer.start()
    packets = packets_between(0, 3000)
    for packet in packets:
        writer.put(KEY, (packet,))
    writer.close()
    assert stored_packets(tmp_path) == packets
    assert sorted(tmp_path.rglob("*.part")) == []


def test_packets_that_arrive_during_a_sync_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, continue_after = threading.Event(), threading.Event()

    def stands_still(fd: int) -> None:
        began.set()
        assert continue_after.wait(30)

    monkeypatch.setattr(os, "fsync", stands_still)
    writer = AudioWriter(WriterConfig(tmp_path))
    writer.start()
    try:
        packets = packets_between(0, 1000)
        writer.put(KEY, packets[:25])
        assert began.wait(10)
        writer.put(KEY, packets[25:])
        rounds = writer.statistics().rounds
        until_blocking(lambda: writer.statistics().rounds >= rounds + 2)
        path = next(tmp_path.rglob("*.part"))
        assert list(packets_in(inspect(path.read_bytes()), 0)) == packets  # a kill would lose none of it
    finally:
        continue_after.set()
        writer.close()


@pytest.mark.parametrize("seed", range(20))
def test_a_power_cut_at_any_moment_loses_at_most_flush_ms_of_audio(tmp_path: Path, seed: int) -> None:
    """Each file is cut to its synced length, or to any length between that and its whole length."""
    chance = random.Random(seed)
    rig = Rig(tmp_path, segment_s=10, flush_ms=250)
    channels = [ChannelKey("s_1", f"C{n:02d}") for n in range(1, 5)]
    put: dict[ChannelKey, list[OpusPacket]] = {key: [] for key in channels}
    for ms in range(0, chance.randrange(500, 15_000, 10), 10):
        for key in channels:
            if ms % 20 == 0:
                packet = packets_between(ms, ms + 20)[0]
                put[key].append(packet)
                rig.put([packet], key)
        if ms % 50 == 40:
            rig.writer.step()
        rig.now_s += 0.01
    for files in rig.writer._open.values():
        for file in files:
            path = file.folder / (file.stem + ".part")
            os.truncate(path, chance.randint(file.synced_size, file.size))
    index = scan(tmp_path)
    assert not list(tmp_path.rglob("*.part"))
    for key in channels:
        kept = stored_packets(tmp_path, key) if index.of(key) else []
        assert kept == put[key][: len(kept)]
        assert (len(put[key]) - len(kept)) * 20 <= 250 + 20  # and the newest packet
    rig.writer.close()


def test_files_with_only_a_header_or_zeros_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "s_1" / "C01"
    rig = Rig(tmp_path)
    rig.put([packet_at(0)])
    rig.step()
    whole = (folder / "00000000000000.part").read_bytes()
    rig.writer.close()
    for n, data in enumerate((b"", whole[:50], whole[:90], bytes(4096))):
        path = folder / f"{n + 1:014d}.part"
        path.write_bytes(data)
        assert not repair(path)
    assert [p.name for p in folder.iterdir()] == ["00000000000000.opus"]
