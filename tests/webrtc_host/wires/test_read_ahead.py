"""Messages that wait for their turn: bounded, in order, errors last."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import WSMessage, WSMsgType

from tests.support.polling import until
from webrtc_host.wires.read_ahead import Budget, ReadAhead, cost_of

END = WSMessage(WSMsgType.CLOSE, 1000, "")


def message(size: int = 0) -> WSMessage:
    return WSMessage(WSMsgType.BINARY, bytes(size), "")


class Client:
    """Gives these messages, then waits; an exception among them is raised."""

    def __init__(self, *messages: WSMessage | Exception) -> None:
        self.messages = list(messages)

    async def receive(self) -> WSMessage:
        await asyncio.sleep(0)
        if not self.messages:
            await asyncio.get_running_loop().create_future()
        one = self.messages.pop(0)
        if isinstance(one, Exception):
            raise one
        return one


async def test_messages_come_in_order_and_nothing_waits_after_the_end() -> None:
    budget = Budget(10_000)
    ahead = ReadAhead(10_000, budget, Client(message(1), message(2), END).receive)
    await ahead.run()
    assert budget.bytes == cost_of(message(1)) + cost_of(message(2)) + cost_of(END)
    assert [(await ahead.get()).data for _ in range(3)] == [bytes(1), bytes(2), 1000]
    assert budget.bytes == 0


@pytest.mark.parametrize(("own", "shared"), [(1000, 10_000), (10_000, 1000)])
async def test_above_a_limit_nothing_more_is_read(own: int, shared: int) -> None:
    client = Client(*(message(300) for _ in range(5)), END)
    ahead = ReadAhead(own, Budget(shared), client.receive)
    running = asyncio.create_task(ahead.run())
    await until(lambda: len(client.messages) == 3)  # two wait, one is in the hand of the task
    await asyncio.sleep(0.06)
    assert len(client.messages) == 3
    for _ in range(6):
        await ahead.get()
    await running


async def test_a_message_that_is_longer_than_the_limit_passes_alone() -> None:
    ahead = ReadAhead(100, Budget(100), Client(message(5000), END).receive)
    running = asyncio.create_task(ahead.run())
    assert len((await ahead.get()).data) == 5000
    assert (await ahead.get()) is END
    await running


async def test_an_error_comes_after_the_messages_before_it() -> None:
    ahead = ReadAhead(10_000, Budget(10_000), Client(message(1), ValueError("a flood")).receive)
    await ahead.run()
    assert (await ahead.get()).data == bytes(1)
    with pytest.raises(ValueError, match="a flood"):
        await ahead.get()


async def test_a_client_is_not_idle_while_its_messages_wait() -> None:
    client = Client(message(1), TimeoutError("nothing came"), message(2), TimeoutError("nothing came"))
    ahead = ReadAhead(10_000, Budget(10_000), client.receive)
    running = asyncio.create_task(ahead.run())
    await until(lambda: len(client.messages) == 0)
    assert [len((await ahead.get()).data) for _ in range(2)] == [1, 2]
    client.messages.append(TimeoutError("nothing came"))
    running.cancel()
    await asyncio.wait({running})
    again = ReadAhead(10_000, Budget(10_000), client.receive)
    await again.run()
    with pytest.raises(TimeoutError, match="nothing came"):
        await again.get()


async def test_bytes_that_wait_are_joined_up_to_a_length_and_keep_their_place() -> None:
    budget = Budget(10_000)
    text = WSMessage(WSMsgType.TEXT, "a", "")
    waiting = (message(2), message(3), message(6), message(1), text, message(4), message(), message(5), END)
    ahead = ReadAhead(10_000, budget, Client(*waiting).receive)
    await ahead.run()
    got = [(await ahead.get(8)).data for _ in range(7)]
    assert got == [bytes(5), bytes(7), "a", bytes(4), b"", bytes(5), 1000]
    assert budget.bytes == 0


async def test_what_is_dropped_frees_its_room() -> None:
    budget = Budget(10_000)
    ahead = ReadAhead(10_000, budget, Client(message(1), END).receive)
    await ahead.run()
    ahead.close()
    assert budget.bytes == 0
