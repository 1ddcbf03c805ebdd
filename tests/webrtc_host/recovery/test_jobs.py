"""Notes of jobs in the record: the notes of an earlier version can be read."""

from __future__ import annotations

from pathlib import Path

from tests.support.record import a_record
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.recovery.jobs import (
    feeds_read,
    gaps_key,
    note_feed_read,
    note_gaps,
    noted_gaps,
    remove_gaps_note,
)
from webrtc_host.recovery.known import Range
from webrtc_host.transcript.meta import meta_with_prefix, put_meta

C01, C02 = ChannelKey("s_1", "C01"), ChannelKey("s_1", "C02")
GAPS = [Range(80_000, 144_000), Range(160_000, 176_000)]
NOTES_OF_AN_EARLIER_VERSION = {
    "backfill:s_1:C01:80000": "[[80000, 144000], [160000, 176000]]",
    "recovered:s_1:C01:7": "done",
    "recovered:s_1:C02:9": "done",
}


async def test_notes_keep_the_form_that_they_have_on_disk(tmp_path: Path) -> None:
    async with a_record(tmp_path) as record:
        for note in (note_gaps(C01, GAPS), note_feed_read(C01, 7), note_feed_read(C02, 9)):
            await record.store.write(note)
        assert await record.store.read(
            lambda c: meta_with_prefix(c, "recovered:") | meta_with_prefix(c, "backfill:")
        ) == (NOTES_OF_AN_EARLIER_VERSION)


async def test_notes_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    async with a_record(tmp_path) as record:
        await record.store.write(lambda c: put_meta(c, NOTES_OF_AN_EARLIER_VERSION))
        assert await record.store.read(noted_gaps) == [("backfill:s_1:C01:80000", C01, GAPS)]
        assert await record.store.read(lambda c: feeds_read(c, C01)) == {7}
        await record.store.write(remove_gaps_note(gaps_key(C01, GAPS)))
        assert await record.store.read(noted_gaps) == []
