"""8081 as a process of its own: how it ends, and what it serves on a bare machine."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from aiohttp import WSMsgType

from host_stt.contract import (
    Answer,
    Transcript,
    Window,
    decode_answer,
    encode_window,
)
from host_stt.service import EXIT_FATAL
from tests.support.engine_process import ROOT, running
from tests.support.polling import until
from tests.support.speech import padded, say
from tests.support.windows import window

SAID = "one two three"


async def ask(ws: aiohttp.ClientWebSocketResponse, *windows: Window) -> list[Answer]:
    """Send all, then read as many answers."""
    for w in windows:
        await ws.send_bytes(encode_window(w))
    return [decode_answer((await ws.receive(timeout=20)).data) for _ in windows]


async def connected(url: str, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
    async def is_ready() -> bool:
        async with session.get(f"{url}/ready") as answer:
            return answer.status == 200

    await until(is_ready)
    return await session.ws_connect(f"{url}/v1/windows")


@pytest.mark.net
async def test_sigterm_decodes_waiting_windows_and_exits_with_status_zero() -> None:
    with running(decode_s=0.3, stop_grace_s=10) as (process, url):
        async with aiohttp.ClientSession() as session:
            ws = await connected(url, session)
            for i in range(3):
                await ws.send_bytes(encode_window(window(f"w{i}")))
            first = await ws.receive(timeout=10)
            process.send_signal(signal.SIGTERM)
            rest = [await ws.receive(timeout=10) for _ in range(2)]
            answers = [decode_answer(message.data) for message in (first, *rest)]
            assert [isinstance(a, Transcript) for a in answers] == [True] * 3
            assert (await ws.receive(timeout=10)).type is WSMsgType.CLOSE
            assert ws.close_code == 1001
        assert await asyncio.to_thread(process.wait, 10) == 0


@pytest.mark.net
async def test_a_decode_that_hangs_ends_the_process() -> None:
    with running(fault="hang", fault_on_call=3, hang_s=0.5) as (process, url):
        async with aiohttp.ClientSession() as session:
            ws = await connected(url, session)
            await ws.send_bytes(encode_window(window()))
            assert (await ws.receive(timeout=10)).type in (WSMsgType.CLOSED, WSMsgType.ERROR, WSMsgType.CLOSE)
        assert await asyncio.to_thread(process.wait, 10) == EXIT_FATAL
        assert process.stderr is not None and "a decode has taken more than 0.5 s" in process.stderr.read()


@pytest.mark.net
async def test_a_native_crash_ends_the_whole_process() -> None:
    with running(fault="exit", fault_on_call=3) as (process, url):
        async with aiohttp.ClientSession() as session:
            ws = await connected(url, session)
            await ws.send_bytes(encode_window(window()))
            assert (await ws.receive(timeout=10)).type in (WSMsgType.CLOSED, WSMsgType.ERROR, WSMsgType.CLOSE)
        assert await asyncio.to_thread(process.wait, 10) == 139


@pytest.mark.net
async def test_no_token_and_no_text_is_in_the_log() -> None:
    with running(token="s3cret", decode_s=0.01) as (process, url):
        async with aiohttp.ClientSession(headers={"Authorization": "Bearer s3cret"}) as session:
            ws = await connected(url, session)
            await ask(ws, window(), window(terms=["Kilo-9"], history="bravo zulu"))
            await session.get(f"{url}/nope?token=s3cret")
            await session.ws_connect(f"{url}/v1/windows?token=s3cret")
        process.send_signal(signal.SIGTERM)
        out, log = await asyncio.to_thread(process.communicate, None, 10)
    assert "ws-1 opened" in log
    for secret in ("s3cret", "Kilo-9", "zulu", SAID):
        assert secret not in log + out


@pytest.mark.net
def test_a_port_in_use_ends_with_status_two_and_no_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = json.dumps({"port": taken.getsockname()[1], "model": "starter"})
        ended = subprocess.run(
            [sys.executable, "-m", "tests.support.engine_process", settings],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert ended.returncode == 2
    assert "is in use" in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.net
@pytest.mark.model
async def test_a_batch_costs_few_page_faults_in_the_thread_that_decodes_it(tmp_path: Path) -> None:
    """Where memory is given back after each operation, four windows of 30 s cost some 190,000.

    One phrase in each, which is few tokens to write: the faults come from the length of what is listened to.
    """
    phrase = say("alpha one proceed to gate seven")
    sound = np.pad(phrase, (8_000, 29 * 16_000 - 8_000 - len(phrase))).astype(np.float32)
    with running(models_dir=str(tmp_path), model="starter", device="cpu") as (process, url):
        async with aiohttp.ClientSession() as session:
            ws = await connected(url, session)
            spent = []
            for _ in range(3):
                before = page_faults(process.pid)
                await ask(ws, *(window(f"w{n}", samples=sound, language="en") for n in range(4)))
                spent.append(page_faults(process.pid) - before)
    assert min(spent[1:]) < 30_000, spent


def page_faults(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[7])


@pytest.mark.net
@pytest.mark.model
async def test_a_machine_without_models_serves_the_starter_model_and_says_why(tmp_path: Path) -> None:
    began = time.monotonic()
    with running(models_dir=str(tmp_path), device="cpu") as (_, url):
        async with aiohttp.ClientSession() as session:
            ws = await connected(url, session)
            assert time.monotonic() - began < 30
            async with session.get(f"{url}/ready") as answer:
                body = await answer.json()
            assert (body["model"], body["is_starter"]) == ("starter", True)
            assert "small is not here" in body["model_reason"]
            spoken = padded(say("alpha one proceed to gate seven"))
            (answer_,) = await ask(ws, window(samples=spoken, language="en", terms=["Alpha-1"]))
            assert isinstance(answer_, Transcript) and answer_.text == "Alpha-1 proceed to gate seven"
            assert answer_.model == "starter" and answer_.decode_ms > 0
