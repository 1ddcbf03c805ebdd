"""The simulated channels: their audio, their session, and the end of a simulation."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host_stt.contract import SAMPLE_RATE
from tests.support.desk import Desk, a_config, running_desk
from tests.support.polling import until
from webrtc_host.doors.simulated_voices import SimulatedVoice, SpokenClip, load_clips
from webrtc_host.doors.simulation import LABELS, PATH


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(a_config(tmp_path)) as running:
        yield running


async def started(desk: Desk, **body: Any) -> dict[str, Any]:
    async with desk.client.post(desk.url + PATH, json=body) as response:
        assert response.status == 200, await response.text()
        state: dict[str, Any] = await response.json()
        return state


def a_clip(seconds: float) -> SpokenClip:
    return SpokenClip("en", "tone", np.full(round(seconds * SAMPLE_RATE), 0.5, np.float32))


def test_the_bundled_clips_are_speech() -> None:
    clips = load_clips()
    assert {clip.language for clip in clips} == {"en"}
    assert len({clip.text for clip in clips}) == len(clips)
    for clip in clips:
        assert 1.0 < len(clip.samples) / SAMPLE_RATE < 6.0, clip.text
        assert np.abs(clip.samples).max() > 0.1, clip.text


def test_a_voice_talks_for_the_requested_share_of_time() -> None:
    voice = SimulatedVoice([a_clip(3.0)], 0.25, seed=1)
    loud = np.concatenate([voice.next(1600) for _ in range(12_000)]) > 0.25
    assert loud.mean() == pytest.approx(0.25, abs=0.05)


def test_a_voice_with_the_same_seed_is_the_same() -> None:
    one, same, other = (SimulatedVoice([a_clip(1.0)], 0.5, seed) for seed in (4, 4, 5))
    heard = one.next(20 * SAMPLE_RATE)
    assert np.array_equal(heard, same.next(20 * SAMPLE_RATE))
    assert not np.array_equal(heard, other.next(20 * SAMPLE_RATE))


def test_pauses_are_faint_noise_and_not_digital_silence() -> None:
    heard = SimulatedVoice([a_clip(1.0)], 0.5, seed=4).next(SAMPLE_RATE // 2)
    assert 0 < np.abs(heard).max() < 0.01


async def test_sixteen_channels_are_fed_in_a_session_of_their_own(desk: Desk) -> None:
    state = await started(desk)
    assert state["is_running"] is True
    assert state["channels"] == len(LABELS) == 16
    assert state["session"] != desk.session.id
    session = desk.registry.get(state["session"])
    await until(lambda: all(channel.end_sample > 0 for channel in session.channels.values()))
    assert [channel.label for channel in session.channels.values()] == list(LABELS)
    assert {channel.language for channel in session.channels.values()} == {"en"}
    assert not desk.session.channels


async def test_own_clips_speak_their_languages_and_a_bad_clip_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "simulation"
    folder.mkdir()
    bundled = files("demo") / "clips" / "radio" / "en-01.ogg"
    for name in ("one.ogg", "two.ogg"):
        (folder / name).write_bytes(bundled.read_bytes())
    clips = [{"language": "ko", "file": "one.ogg", "text": "하나"}, {"language": "en", "file": "two.ogg"}]
    (folder / "clips.json").write_text(json.dumps(clips), encoding="utf-8")
    async with running_desk(a_config(tmp_path)) as desk:
        state = await started(desk, channels=3)
        assert state["languages"] == ["en", "ko"]
        channels = desk.registry.get(state["session"]).channels.values()
        assert [channel.language for channel in channels] == ["en", "ko", "en"]
        async with desk.client.delete(desk.url + PATH):
            pass
        for name in ("gone.ogg", "../one.ogg", "clips.json"):
            (folder / "clips.json").write_text(
                json.dumps([{"language": "ko", "file": name}]), encoding="utf-8"
            )
            async with desk.client.post(desk.url + PATH, json={}) as response:
                error = (await response.json())["error"]
                assert (response.status, error["code"]) == (409, "bad_clips"), name
        assert not desk.registry.connections


async def test_a_second_start_names_the_running_simulation(desk: Desk) -> None:
    first = await started(desk, channels=2)
    assert (await started(desk, channels=4))["session"] == first["session"]
    assert (await desk.get(PATH))[1]["channels"] == 2


async def test_the_end_closes_the_channels_and_the_session(desk: Desk) -> None:
    state = await started(desk, channels=3)
    session = desk.registry.get(state["session"])
    async with desk.client.delete(desk.url + PATH) as response:
        assert (await response.json())["is_running"] is False
    assert session.is_ended
    assert not desk.registry.connections
    async with desk.client.delete(desk.url + PATH) as response:
        assert response.status == 404
        assert (await response.json())["error"]["code"] == "no_simulation"


async def test_a_simulation_ends_by_itself_after_its_time(desk: Desk) -> None:
    session = desk.registry.get((await started(desk, channels=1, seconds=1))["session"])
    await until(lambda: session.is_ended and not desk.registry.connections)
    assert (await desk.get(PATH))[1]["is_running"] is False


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"channels": 0}, "channels"),
        ({"channels": 17}, "channels"),
        ({"talk": 1.0}, "talk"),
        ({"seconds": 0}, "seconds"),
        ({"chanels": 2}, "chanels"),
    ],
)
async def test_a_bad_request_is_refused_with_the_name_of_the_field(
    desk: Desk, body: dict[str, Any], field: str
) -> None:
    async with desk.client.post(desk.url + PATH, json=body) as response:
        assert response.status == 422
        assert field in (await response.json())["error"]["message"]
    assert (await desk.get(PATH))[1]["is_running"] is False


async def test_a_full_server_refuses_the_simulation_and_keeps_no_session(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, limits={"channels_per_process": 4})) as desk:
        async with desk.client.post(desk.url + PATH, json={"channels": 8}) as response:
            assert response.status == 429
        assert (await desk.get(PATH))[1]["is_running"] is False
        assert all(session.is_ended for session in desk.registry)
