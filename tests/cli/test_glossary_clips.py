"""`host-stt glossary export-clips`: corrected lines with their audio, in the form that `datasets` loads."""

from __future__ import annotations

import asyncio
import json
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from host_stt_cli.main import main
from tests.support.desk import Desk, a_config, running_desk
from tests.support.events import an_event
from tests.support.opus_packets import encoded
from tests.support.polling import until
from tests.support.speech import say
from webrtc_host.keys import ARCHIVE
from webrtc_host.seams import EventType
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind

START_MS = 2_000


async def nothing(reason: str) -> int:
    return 0


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A session with audio and three lines: one corrected, one not, one corrected without audio."""
    config = a_config(
        tmp_path,
        store={"url": ""},
        tokens=[{"name": "tuner", "token": "t" * 20, "role": "listener"}],
    )
    async with running_desk(config, headers={"Authorization": f"Bearer {'t' * 20}"}) as desk:
        desk.registry.connect(desk.session, DoorKind.SOCKET, [ChannelSpec("C01", language="en")], nothing)
        channel = desk.registry.channel(desk.session, "C01")
        channel.open()
        for packet in encoded(say("alpha one proceed to gate seven"), START_MS * 16):
            channel.archive_packet(packet)
        archive = desk.app[ARCHIVE].archive
        assert archive is not None
        rounds = archive.writer.statistics().rounds
        await until(lambda: archive.writer.statistics().rounds >= rounds + 2)
        desk.final("alfa won", at_ms=START_MS + 200, raw="alfa won", language="en")
        desk.final("as it was", at_ms=START_MS + 800, language="en")
        desk.final("no audio", at_ms=900_000)
        for segment, text in (("g_1", "Alpha-1"), ("g_3", "gone")):
            desk.session.log.emit(
                an_event(EventType.SEGMENT_REVISED, "C01", segment=segment, text=text, old_text="x", by="kim")
            )
        await desk.settled()
        await desk.written()
        yield desk


async def export(desk: Desk, *arguments: str, token: str = "t" * 20) -> Result:
    command = ["glossary", "export-clips", *arguments, "--url", desk.url, "--token", token]
    return await asyncio.to_thread(CliRunner().invoke, main, command)


async def test_corrected_lines_are_written_with_their_audio(desk: Desk, tmp_path: Path) -> None:
    dest = tmp_path / "clips"
    done = await export(desk, str(dest))
    assert (done.exit_code, done.output.splitlines()) == (
        0,
        [f"{dest}: 1 clips.", "1 lines have no audio any more and were left out."],
    )
    (entry,) = [json.loads(line) for line in (dest / "metadata.jsonl").read_text("utf-8").splitlines()]
    assert entry == {
        "file_name": "clips/g_1.wav",
        "text": "Alpha-1",
        "raw": "alfa won",
        "language": "en",
        "channel": "C01",
        "session": desk.session.id,
        "segment": "g_1",
        "duration": 0.9,
    }
    with wave.open(str(dest / entry["file_name"])) as clip:
        assert (clip.getframerate(), clip.getnchannels(), clip.getsampwidth()) == (16_000, 1, 2)
        samples = np.frombuffer(clip.readframes(clip.getnframes()), "<i2")
    assert abs(len(samples) - 0.9 * 16_000) <= 16
    assert np.abs(samples).max() > 1000, "it is not silence"


async def test_all_lines_of_a_session_can_be_written(desk: Desk, tmp_path: Path) -> None:
    dest = tmp_path / "clips"
    done = await export(desk, str(dest), "--all", "--session", desk.session.id)
    assert done.exit_code == 0
    entries = [json.loads(line) for line in (dest / "metadata.jsonl").read_text("utf-8").splitlines()]
    assert [one["text"] for one in entries] == ["Alpha-1", "as it was"]
    assert {path.name for path in (dest / "clips").iterdir()} == {"g_1.wav", "g_2.wav"}


async def test_what_hinders_the_export_is_one_sentence(desk: Desk, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").touch()
    done = await export(desk, str(full))
    assert (done.exit_code, "exists and is not empty. Name a new folder." in done.stderr) == (2, True)
    done = await export(desk, str(tmp_path / "a"), token="wrong")
    assert (done.exit_code, "refused /api/sessions: " in done.stderr) == (2, True)
    done = await export(desk, str(tmp_path / "b"), "--session", "s_none")
    assert (done.exit_code, "there is no session 's_none'" in done.stderr) == (2, True)


def test_a_server_that_is_not_there_is_named_with_the_way_out(tmp_path: Path) -> None:
    command = ["glossary", "export-clips", str(tmp_path / "clips"), "--url", "http://127.0.0.1:9"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 2
    assert "http://127.0.0.1:9 does not respond" in done.stderr
    assert "Start the server, or give its address with --url." in done.stderr
