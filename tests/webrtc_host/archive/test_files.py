import logging
from pathlib import Path

import pytest

from tests.support.opus_packets import KEY, packets_between, stored_packets
from webrtc_host.archive.files import ArchiveFile, packets_of, scan
from webrtc_host.archive.writer import AudioWriter, WriterConfig

NAME = "00000000000000"


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """An unfinished file, as a killed process leaves it: ten pages of 200 ms."""
    writer = AudioWriter(WriterConfig(tmp_path))
    for at in range(0, 2000, 200):
        writer.put(KEY, packets_between(at, at + 200))
        writer.step()
    writer.close()
    done = tmp_path / "s_1" / "C01" / f"{NAME}.opus"
    return done.rename(done.with_suffix(".part"))


def test_a_torn_end_is_cut_off(tmp_path: Path, part: Path) -> None:
    data = part.read_bytes()
    part.write_bytes(data[:-100])
    index = scan(tmp_path)
    assert [file.stem for file in index] == [NAME]
    assert stored_packets(tmp_path) == packets_between(0, 1800)


def test_a_tail_of_zeros_is_cut_off(tmp_path: Path, part: Path) -> None:
    data = part.read_bytes()
    part.write_bytes(data + bytes(4096))
    scan(tmp_path)
    assert stored_packets(tmp_path) == packets_between(0, 2000)
    assert part.with_suffix(".opus").stat().st_size == len(data)


def test_damage_in_the_middle_loses_one_page_and_the_file_is_named(
    tmp_path: Path, part: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 0x55
    part.write_bytes(data)
    scan(tmp_path)
    assert len(stored_packets(tmp_path)) == 90
    assert part.with_name(part.name + ".corrupt").read_bytes() == data
    assert str(part) in caplog.text


def test_a_file_without_audio_is_set_aside_and_named(
    tmp_path: Path, part: Path, caplog: pytest.LogCaptureFixture
) -> None:
    part.write_bytes(b"\x17" * 5000)
    assert list(scan(tmp_path)) == []
    assert part.with_name(part.name + ".corrupt").exists()
    assert str(part) in caplog.text


def test_the_whole_pages_of_a_damaged_finished_file_are_read(tmp_path: Path, part: Path) -> None:
    index = scan(tmp_path)
    done = part.with_suffix(".opus")
    data = bytearray(done.read_bytes())
    data[-1] ^= 1
    done.write_bytes(data)
    (file,) = index
    assert packets_of(tmp_path, file) == packets_between(0, 1800)


def test_a_finished_file_without_its_header_is_set_aside(tmp_path: Path, part: Path) -> None:
    (file,) = scan(tmp_path)
    done = part.with_suffix(".opus")
    done.write_bytes(b"x" * 3000)
    assert packets_of(tmp_path, file) == []
    assert done.with_name(done.name + ".corrupt").exists()


def test_other_files_in_the_folder_are_left_alone(
    tmp_path: Path, part: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (part.parent / "notes.txt").write_text("mine")
    (part.parent / "x.opus").write_text("mine")
    (tmp_path / "stray").write_text("mine")
    with caplog.at_level(logging.WARNING):
        assert len(list(scan(tmp_path))) == 1
    assert caplog.text == ""
    assert (part.parent / "x.opus").exists()


def test_a_removed_file_has_no_packets(tmp_path: Path) -> None:
    assert packets_of(tmp_path, ArchiveFile(0, NAME, KEY)) == []
