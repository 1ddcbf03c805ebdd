from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest

from host_stt.contract import Answer, Priority, Transcript, Window, WindowError
from host_stt.engines.fake import FakeEngine, script_of
from tests.support.polling import until
from tests.webrtc_host.speech.engine_server import EngineServer, engine_server
from webrtc_host.errors import EngineError
from webrtc_host.speech.transcriber import EngineClient, TranscriberConfig

QUICK = TranscriberConfig(retry_ms=10, backoff_ms_max=50, connect_timeout_ms=1000)
ENGINE = FakeEngine(script_of("alpha bravo"))
_ids = itertools.count()


def window(priority: Priority = Priority.FINAL, channel: str = "C01", deadline_ms: int = 20_000) -> Window:
    return Window(
        id=f"w_{next(_ids)}",
        channel=channel,
        samples=np.zeros(16_000, dtype=np.int16),
        start_sample=0,
        priority=priority,
        deadline_ms=deadline_ms,
    )


def reads(w: Window) -> Answer | None:
    return ENGINE.decode([w])[0]


def never(_: Window) -> Answer | None:
    return None


def refuses(code: str, *, is_retryable: bool) -> Callable[[Window], Answer | None]:
    return lambda w: WindowError(w.id, code, "it broke", is_retryable)


@asynccontextmanager
async def client_of(server: EngineServer, config: TranscriberConfig = QUICK) -> AsyncIterator[EngineClient]:
    client = EngineClient(replace(config, url=server.url))
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def test_windows_of_many_channels_share_one_connection_and_are_told_apart() -> None:
    async with engine_server(reads) as server, client_of(server) as client:
        windows = [window(channel=f"C{i:02}") for i in range(1, 9)]
        answers = await asyncio.gather(*(client.transcribe(w) for w in windows))
        assert [a.id for a in answers] == [w.id for w in windows]
        assert {a.text for a in answers} == {"alpha bravo"}
        statistics = client.statistics()
    assert statistics.connections == 1
    assert statistics.answered == 8
    assert statistics.waiting == statistics.in_flight == 0
    assert statistics.last_error == ""


async def test_answers_may_come_in_any_order() -> None:
    async with engine_server(never) as server, client_of(server) as client:
        first, second = window(), window()
        asked = [asyncio.create_task(client.transcribe(w)) for w in (first, second)]
        await server.until(2)
        for w in (second, first):
            answer = reads(w)
            assert answer is not None
            await server.answer(answer)
        assert [(await task).id for task in asked] == [first.id, second.id]


async def test_a_window_sent_before_the_engine_ended_is_decoded_after_its_restart() -> None:
    async with engine_server(never) as server, client_of(server) as client:
        asked = asyncio.create_task(client.transcribe(window()))
        await server.until(1)
        await server.kill()
        server.reply = reads
        await until(lambda: "cannot be reached" in client.statistics().last_error)
        await server.start()
        assert (await asked).text == "alpha bravo"
        statistics = client.statistics()
    assert len(server.windows) == 2
    assert server.windows[1].deadline_ms < server.windows[0].deadline_ms
    assert statistics.resent == 1
    assert statistics.connections == 2


async def test_a_window_can_be_sent_before_the_engine_has_started() -> None:
    async with engine_server(reads) as server:
        await server.kill()
        async with client_of(server) as client:
            asked = asyncio.create_task(client.transcribe(window()))
            await until(lambda: "cannot be reached" in client.statistics().last_error)
            assert not client.is_connected
            await server.start()
            assert (await asked).text == "alpha bravo"


async def test_a_final_that_ends_the_engine_three_times_fails_and_others_continue() -> None:
    async with engine_server(never) as server, client_of(server) as client:
        asked = asyncio.create_task(client.transcribe(window()))
        for attempt in range(1, 4):
            await server.until(attempt)
            await server.kill()
            await server.start()
        with pytest.raises(EngineError) as caught:
            await asked
        server.reply = reads
        assert (await client.transcribe(window())).text == "alpha bravo"
    assert caught.value.code == "engine_failed"
    assert "3 times" in caught.value.message


async def test_the_final_that_ends_the_engine_is_found_and_its_neighbours_are_decoded() -> None:
    windows = [window(channel=f"C0{number}") for number in range(3)]
    first, poison, third = windows
    async with engine_server(never) as server, client_of(server) as client:
        asked = [asyncio.create_task(client.transcribe(w)) for w in windows]
        await server.until(3)
        await server.kill()
        await server.start()
        await server.until(6)
        await server.kill()
        server.reply = lambda w: None if w.id == poison.id else reads(w)
        await server.start()
        await server.until(8)
        assert [w.id for w in server.windows[6:]] == [first.id, poison.id], "each alone, in order"
        await server.kill()
        await server.start()
        assert {(await asked[0]).id, (await asked[2]).id} == {first.id, third.id}
        with pytest.raises(EngineError, match="3 times"):
            await asked[1]


async def test_a_final_fails_after_three_refusals() -> None:
    async with (
        engine_server(refuses("engine_failed", is_retryable=True)) as server,
        client_of(server) as client,
    ):
        with pytest.raises(EngineError, match="it broke") as caught:
            await client.transcribe(window())
        assert client.statistics().retried == 2
    assert caught.value.code == "engine_failed"
    assert len(server.windows) == 3


async def test_windows_are_sent_again_until_a_starting_engine_is_ready() -> None:
    waits = itertools.count()

    def starts(w: Window) -> Answer | None:
        refusal = WindowError(w.id, "engine_starting", "not ready: loading", is_retryable=True)
        return refusal if next(waits) < 12 else reads(w)

    async with engine_server(starts) as server, client_of(server) as client:
        assert (await client.transcribe(window())).text == "alpha bravo"
    assert len(server.windows) == 13


async def test_a_permanent_refusal_is_not_repeated() -> None:
    refuse = refuses("unknown_language", is_retryable=False)
    async with engine_server(refuse) as server, client_of(server) as client:
        with pytest.raises(EngineError) as caught:
            await client.transcribe(window())
    assert caught.value.code == "unknown_language"
    assert len(server.windows) == 1


async def test_an_interim_is_sent_only_once() -> None:
    refuse = refuses("engine_failed", is_retryable=True)
    async with engine_server(refuse) as server, client_of(server) as client:
        with pytest.raises(EngineError):
            await client.transcribe(window(Priority.INTERIM))
    assert len(server.windows) == 1


async def test_a_newer_interim_replaces_the_unsent_one_of_its_channel_only() -> None:
    async with engine_server(reads) as server:
        await server.kill()
        async with client_of(server) as client:
            old = asyncio.create_task(client.transcribe(window(Priority.INTERIM, "C01")))
            other = asyncio.create_task(client.transcribe(window(Priority.INTERIM, "C02")))
            final = asyncio.create_task(client.transcribe(window(Priority.FINAL, "C01")))
            await asyncio.sleep(0)
            new = asyncio.create_task(client.transcribe(window(Priority.INTERIM, "C01")))
            with pytest.raises(EngineError) as caught:
                await old
            await server.start()
            await asyncio.gather(other, final, new)
            assert client.statistics().shed == 1
    assert caught.value.code == "shed"
    assert server.windows[0].priority is Priority.FINAL  # finals go first


async def test_interims_on_the_wire_when_the_engine_dies_are_not_sent_again() -> None:
    async with engine_server(never) as server, client_of(server) as client:
        asked = asyncio.create_task(client.transcribe(window(Priority.INTERIM)))
        await server.until(1)
        await server.kill()
        with pytest.raises(EngineError) as caught:
            await asked
    assert caught.value.code == "shed"


async def test_a_deadline_ends_the_wait_and_reports_whether_the_engine_was_reachable() -> None:
    async with engine_server(never) as server, client_of(server) as client:
        first = client.transcribe(window(deadline_ms=200))
        with pytest.raises(EngineError) as silent:
            await first
        await server.kill()
        with pytest.raises(EngineError) as gone:
            await client.transcribe(window(deadline_ms=200))
        assert client.statistics().waiting == 0
    assert silent.value.code == "deadline"
    assert gone.value.code == "unreachable"


async def test_too_many_waiting_windows_are_refused_but_a_final_pushes_out_an_interim() -> None:
    async with engine_server(reads) as server:
        await server.kill()
        async with client_of(server, replace(QUICK, windows_max=2)) as client:
            interim = asyncio.create_task(client.transcribe(window(Priority.INTERIM)))
            final = asyncio.create_task(client.transcribe(window()))
            await asyncio.sleep(0)
            another = asyncio.create_task(client.transcribe(window()))
            with pytest.raises(EngineError) as shed:
                await interim
            with pytest.raises(EngineError) as refused:
                await client.transcribe(window())
            await server.start()
            await asyncio.gather(final, another)
    assert shed.value.code == "shed"
    assert refused.value.code == "overloaded"
    assert refused.value.is_retryable


async def test_the_token_is_sent_and_a_wrong_one_is_reported() -> None:
    async with engine_server(reads, token="secret") as server:
        async with client_of(server, replace(QUICK, token="secret")) as client:
            assert (await client.transcribe(window())).text == "alpha bravo"
        async with client_of(server, replace(QUICK, token="wrong")) as client:
            with pytest.raises(EngineError) as caught:
                await client.transcribe(window(deadline_ms=300))
    assert "401" in caught.value.message
    assert "wrong" not in caught.value.message


async def test_closing_fails_waiting_and_later_windows() -> None:
    async with engine_server(never) as server, client_of(server) as client:
        asked = asyncio.create_task(client.transcribe(window()))
        await server.until(1)
        await client.close()
        for attempt in (asked, client.transcribe(window())):
            with pytest.raises(EngineError) as caught:
                await attempt
            assert caught.value.code == "engine_stopping"


async def test_an_abandoned_window_leaves_nothing_behind() -> None:
    async with engine_server(never) as server, client_of(server) as client:
        asked = asyncio.create_task(client.transcribe(window()))
        await server.until(1)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert client.statistics().in_flight == 0


async def test_an_invalid_result_does_not_break_the_connection() -> None:
    async with engine_server(never) as server, client_of(server) as client:
        w = window()
        asked = asyncio.create_task(client.transcribe(w))
        await server.until(1)
        await server.answer(WindowError("w_unknown", "shed", "nobody asked for this"))
        answer = reads(w)
        assert isinstance(answer, Transcript)
        await server.answer(answer)
        assert (await asked).text == "alpha bravo"
        assert client.statistics().connections == 1


@pytest.mark.parametrize("url", ["127.0.0.1:8081", "ws://127.0.0.1"])
def test_an_invalid_address_is_named_in_the_error(url: str) -> None:
    with pytest.raises(ValueError, match="does not begin with"):
        TranscriberConfig(url=url)
