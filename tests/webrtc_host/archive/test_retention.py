from hypothesis import given
from hypothesis import strategies as st

from webrtc_host.archive.files import ArchiveFile
from webrtc_host.archive.retention import DAY_S, Holds, RetentionConfig, due
from webrtc_host.archive.segment_file import ChannelKey

NOW_S = 1_000_000_000.0
GB = 1_000_000_000


def file(
    number: int, days: float, size: int = 100, channel: str = "C01", session: str = "s_1"
) -> ArchiveFile:
    return ArchiveFile(number, f"{number:014d}", ChannelKey(session, channel), size, NOW_S - days * DAY_S)


def chosen(
    files: list[ArchiveFile], holds: Holds | None = None, free_bytes: int = GB, **rules: object
) -> list[int]:
    config = RetentionConfig(**rules)  # type: ignore[arg-type]  # a test gives only some of the rules
    found = due(files, config, holds or Holds(), now_s=NOW_S, free_bytes=free_bytes)
    return [one.start_sample for one in found]


def test_without_rules_no_file_is_removed() -> None:
    assert chosen([file(1, 9999)]) == []


def test_age_is_counted_from_the_last_packet_and_by_channel() -> None:
    files = [file(1, 29), file(2, 31), file(3, 31, channel="C02"), file(4, 5, channel="C03")]
    assert chosen(files, keep_days=30, keep_days_of={"C02": 60, "C03": 1}) == [2, 4]
    assert chosen(files, keep_days=0, keep_days_of={"C01": 30}) == [2]


def test_the_size_limit_removes_the_oldest_first_and_no_more_than_needed() -> None:
    files = [file(1, 1), file(2, 3), file(3, 2)]
    assert chosen(files, keep_bytes=300) == []
    assert chosen(files, keep_bytes=250) == [2]
    assert chosen(files, keep_bytes=100) == [2, 3]


def test_files_removed_by_age_count_for_the_size_limit() -> None:
    assert chosen([file(1, 40), file(2, 3)], keep_days=30, keep_bytes=100) == [1]


def test_for_free_disk_space_the_oldest_files_are_removed_first() -> None:
    files = [file(n, 10 - n, size=GB) for n in range(1, 6)]
    assert chosen(files, free_bytes=GB // 2, free_bytes_min=2 * GB) == [1, 2]


def test_a_hold_has_priority_over_every_rule_and_its_bytes_count() -> None:
    files = [file(1, 90), file(2, 80, channel="C02"), file(3, 70, session="s_2"), file(4, 1)]
    holds = Holds(frozenset({"s_2"}), frozenset({ChannelKey("s_1", "C01")}))
    assert chosen(files, holds, keep_days=30, keep_bytes=1, free_bytes=0, free_bytes_min=GB) == [2]


def test_a_file_that_is_being_written_stays() -> None:
    files = [file(1, 90), file(2, 90)]
    config = RetentionConfig(keep_days=1)
    open_stems = {(files[0].key, files[0].stem)}
    found = due(files, config, Holds(), now_s=NOW_S, free_bytes=GB, open_stems=open_stems)
    assert found == [files[1]]


@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.integers(0, 1000), st.sampled_from(["C01", "C02", "C03"])),
        max_size=30,
    ),
    st.integers(0, 5000),
)
def test_for_any_files_the_rest_fits_or_is_under_a_hold(
    kept: list[tuple[float, int, str]], keep_bytes: int
) -> None:
    files = [file(n, days, size, channel) for n, (days, size, channel) in enumerate(kept)]
    holds = Holds(channels=frozenset({ChannelKey("s_1", "C02")}))
    gone = set(chosen(files, holds, keep_bytes=keep_bytes))
    left = [f for f in files if f.start_sample not in gone]
    assert all(f.key not in holds for f in files if f.start_sample in gone)
    free = [f for f in left if f.key not in holds]
    if keep_bytes:
        assert sum(f.bytes for f in left) <= keep_bytes or not any(f.bytes for f in free)
