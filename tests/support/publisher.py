"""A userland port publisher, like Docker Desktop's: it sends each packet from its own address.

`python publisher.py --listen ADDRESS --to ADDRESS --port N [--udp] [--no-ice]`. TCP is always published.
--udp: the UDP port too. --no-ice: a TCP connection that begins with a zero byte (ICE) is refused, as by a
proxy that knows HTTP alone. SIGUSR1 removes all UDP flows: their next packets leave from other ports, as
after the restart of a NAT.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from typing import Any, cast

Address = tuple[str, int]


class Flow(asyncio.DatagramProtocol):
    """One client's packets on their way to the server, and back."""

    def __init__(self, front: Front, client: Address) -> None:
        self.front = front
        self.client = client
        self.transport: asyncio.DatagramTransport | None = None
        self.waiting: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)
        for data in self.waiting:
            self.transport.sendto(data)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.front.transport.sendto(data, self.client)

    def send(self, data: bytes) -> None:
        if self.transport is None:
            self.waiting.append(data)
        else:
            self.transport.sendto(data)


class Front(asyncio.DatagramProtocol):
    """The published UDP port."""

    def __init__(self, server: Address) -> None:
        self.server = server
        self.flows: dict[Address, Flow] = {}
        self.tasks: set[asyncio.Task[Any]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        client = (addr[0], addr[1])
        if client not in self.flows:
            flow = self.flows[client] = Flow(self, client)
            loop = asyncio.get_running_loop()
            task = loop.create_task(loop.create_datagram_endpoint(lambda: flow, remote_addr=self.server))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        self.flows[client].send(data)

    def forget(self) -> None:
        for flow in self.flows.values():
            if flow.transport is not None:
                flow.transport.close()
        self.flows.clear()


async def publish_tcp(listen: Address, server: Address, *, with_ice: bool) -> asyncio.Server:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes = b"") -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            data = first or await reader.read(65_536)
            while data:
                writer.write(data)
                await writer.drain()
                data = await reader.read(65_536)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(65_536)
        if not first or (first[0] == 0 and not with_ice):
            writer.close()
            return
        try:
            inner, outer = await asyncio.open_connection(*server)
        except OSError:
            writer.close()
            return
        await asyncio.gather(carry(reader, outer, first), carry(inner, writer))

    return await asyncio.start_server(serve, *listen)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--to", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--udp", action="store_true")
    parser.add_argument("--no-ice", action="store_true")
    options = parser.parse_args()
    listen, server = (options.listen, options.port), (options.to, options.port)
    tcp = await publish_tcp(listen, server, with_ice=not options.no_ice)
    if options.udp:
        loop = asyncio.get_running_loop()
        _, front = await loop.create_datagram_endpoint(lambda: Front(server), local_addr=listen)
        loop.add_signal_handler(signal.SIGUSR1, front.forget)
    print("published", flush=True)  # noqa: T201  # what the test waits for
    await tcp.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
