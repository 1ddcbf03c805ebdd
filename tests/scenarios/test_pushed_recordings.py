"""Recordings pushed as files, the later one first: the response has their text, and it is stored."""

from __future__ import annotations

import io
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from tests.scenarios.voices import wer
from tests.support.audio_files import encoded
from tests.support.server import Server
from tests.support.speech import padded, say

pytestmark = [pytest.mark.net, pytest.mark.model]

RECORDINGS = (
    ("30.0", "flac", "flac", "bravo two hold at checkpoint three"),
    ("4.5", "wav", "pcm_s16le", "alpha one proceed to gate seven over"),
)


async def test_two_files_in_any_order_are_transcribed_and_stored(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        server.wait_ready()
        async with aiohttp.ClientSession(server.url) as http:
            async with http.post("/sessions/create", data={"name": "tapes"}) as response:
                session = (await response.json())["session_id"]
            for start_ts, container, codec, phrase in RECORDINGS:
                sound = padded(say(phrase), 0.5, 0.5)
                form = aiohttp.FormData()
                for name, value in (
                    ("session_id", session),
                    ("channel_id", "C07"),
                    ("start_ts", start_ts),
                    ("lang", "en"),
                ):
                    form.add_field(name, value)
                file = io.BytesIO(encoded(sound[np.newaxis], 16_000, container, codec))
                form.add_field("audio", file, filename=f"tape.{container}")
                async with http.post("/push", data=form) as response:
                    body = await response.json()
                    assert response.status == 200, body
                began, ended = float(start_ts) + 0.5, float(start_ts) + len(sound) / 16_000 - 0.5
                assert wer(phrase, " ".join(segment["text"] for segment in body["segments"])) <= 0.2
                assert abs(body["segments"][0]["start"] - began) < 0.3
                assert abs(body["segments"][-1]["end"] - ended) < 0.3
                assert abs(body["commit_point"] - (ended + 0.5)) < 0.01
            path = f"/api/sessions/{session}/segments"
            async with http.get(path, params={"channel": "C07"}) as response:
                kept = (await response.json())["segments"]
            assert " ".join(segment["text"] for segment in kept)
            assert {segment["channel"] for segment in kept} == {"C07"}
            assert min(segment["start_ms"] for segment in kept) < 6_000
            assert max(segment["end_ms"] for segment in kept) > 31_000
