"""The parts of `host-stt capture` without a network: options, time of a source, unconfirmed audio."""

from __future__ import annotations

import asyncio

import pytest
from click.testing import CliRunner

from host_stt_cli.capture.backlog import RATE, Backlog, SoundBlock
from host_stt_cli.capture.inputs import CardInput, card_inputs_of, media_input_of
from host_stt_cli.capture.source_time import SourceTime
from host_stt_cli.errors import StartError
from host_stt_cli.main import main

BLOCK = bytes(RATE // 10 * 2)


def put(backlog: Backlog, *ends_s: float) -> None:
    for end_s in ends_s:
        backlog.put(SoundBlock(BLOCK, end_s))


async def sent(backlog: Backlog, count: int) -> list[float]:
    blocks = [await backlog.get() for _ in range(count)]
    return [round(block.end_s, 1) for block in blocks if block is not None]


def test_an_input_is_a_file_or_a_url_whose_password_is_never_shown() -> None:
    file, url = media_input_of("C01=night shift=2.wav"), media_input_of("C02=rtsp://me:secret@cam:554/a?k=v")
    assert (file.source, file.is_url, file.name) == ("night shift=2.wav", False, "night shift=2.wav")
    assert (url.channel, url.is_url, url.name) == ("C02", True, "rtsp://cam:554/a")


def test_a_map_names_inputs_of_the_card() -> None:
    assert card_inputs_of("1=C03, 12=C04") == (CardInput("C03", 1), CardInput("C04", 12))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("C01", "is not CHANNEL=FILE"),
        ("C01=", "is not CHANNEL=FILE"),
        ("X1=a.wav", "a channel is C01"),
        ("C01=file:///etc/passwd", "file:// cannot be read"),
        ("C01=concat://a", "concat:// cannot be read"),
        ("C01=http:///a", "no host"),
        ("C01=http://[::1/a", "not a URL"),
    ],
)
def test_a_wrong_input_is_named(text: str, said: str) -> None:
    with pytest.raises(StartError, match=said):
        media_input_of(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0=C01", "is not INPUT=CHANNEL"),
        ("C01", "is not INPUT=CHANNEL"),
        ("1=C1", "a channel is C01"),
        ("1=C01,1=C02", "input 1 twice"),
        (",".join(f"{n}=C{n:02d}" for n in range(1, 18)), "17 inputs; 16"),
    ],
)
def test_a_wrong_map_is_named(text: str, said: str) -> None:
    with pytest.raises(StartError, match=said):
        card_inputs_of(text)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "nothing to capture"),
        (["--input", "C01=http://a/b", "--input", "C01=http://a/c"], "C01 has two inputs"),
        (["--input", "C01=none.wav"], "there is no file none.wav"),
        (["--input", "C01=http://a/b", "--server", "8082"], "is not a URL such as"),
    ],
)
def test_the_command_ends_with_2_and_a_sentence(options: list[str], said: str) -> None:
    done = CliRunner().invoke(main, ["capture", *options])
    assert (done.exit_code, said in done.stderr) == (2, True), done.stderr


def test_a_fast_source_is_played_at_the_speed_of_speech() -> None:
    times = SourceTime()
    assert [round(times.place(0.1, 50.0), 1) for _ in range(4)] == [50.0, 50.1, 50.2, 50.3]


def test_audio_that_the_network_held_back_keeps_its_time() -> None:
    times = SourceTime()
    times.place(0.1, 10.0)
    ends = [times.place(0.1, 13.0) for _ in range(29)]
    assert ends[0] == pytest.approx(10.1)
    assert times.place(0.1, 13.0) == pytest.approx(13.0)


def test_after_a_pause_of_the_source_the_time_is_the_present_again() -> None:
    times = SourceTime()
    times.place(0.1, 10.0)
    now_s = 13.0
    for _ in range(110):  # the first 5 s of audio include the time before the pause
        now_s += 0.1
        end_s = times.place(0.1, now_s)
    assert end_s == pytest.approx(now_s)


def test_a_source_that_is_late_by_more_than_it_can_catch_up_begins_again() -> None:
    times = SourceTime()
    times.place(0.1, 10.0)
    assert times.place(0.1, 30.0) == 30.0


async def test_only_what_the_server_did_not_confirm_is_sent_again() -> None:
    backlog = Backlog(9.0)
    put(backlog, 1.1, 1.2, 1.3, 1.4)
    assert await sent(backlog, 3) == [1.1, 1.2, 1.3]
    backlog.confirm(2)
    assert backlog.rewind(0.0) == pytest.approx(1.2)
    assert await sent(backlog, 2) == [1.3, 1.4]
    backlog.confirm(backlog.sent)
    assert backlog.rewind(0.0) is None
    assert backlog.lost_s == 0


async def test_what_is_too_old_is_lost_and_counted() -> None:
    backlog = Backlog(0.3)
    put(backlog, 1.1, 1.2, 1.3, 1.4, 1.5)
    assert backlog.lost_s == pytest.approx(0.2)
    assert backlog.rewind(1.35) == pytest.approx(1.4)
    assert backlog.lost_s == pytest.approx(0.4)
    assert await sent(backlog, 1) == [1.5]
    assert backlog.taken_s == pytest.approx(0.5)


async def test_audio_is_sent_again_from_behind_the_last_pause_of_the_source() -> None:
    backlog = Backlog(9.0)
    put(backlog, 1.1, 1.2, 5.1, 5.2)
    assert backlog.rewind(0.0) == pytest.approx(5.0)
    assert backlog.lost_s == pytest.approx(0.2)


async def test_what_was_never_confirmed_is_lost_at_the_end() -> None:
    backlog = Backlog(9.0)
    put(backlog, 1.1, 1.2, 1.3)
    await sent(backlog, 2)
    backlog.confirm(1)
    backlog.abandon()
    assert backlog.lost_s == pytest.approx(0.2)


async def test_the_end_of_the_source_comes_after_its_audio() -> None:
    backlog = Backlog(9.0)
    waiting = asyncio.create_task(backlog.get())
    await asyncio.sleep(0)
    put(backlog, 1.1)
    assert await waiting is not None
    backlog.finish()
    assert await backlog.get() is None
