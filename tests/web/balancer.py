"""One address in front of gateways that come and go, as a shop's load balancer is: pages know no other."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from tests.flows.town import Gateway


class Balancer:
    """Carries connections to `to`, as it is when they are made; None refuses them."""

    def __init__(self) -> None:
        self.to: Gateway | None = None
        self.url = ""
        self._under_way: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def listening(cls, to: Gateway) -> AsyncIterator["Balancer"]:
        """On a port of its own, while inside."""
        balancer = cls()
        balancer.to = to
        server = await asyncio.start_server(balancer._accept, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        balancer.url = f"http://{host}:{port}"
        try:
            yield balancer
        finally:
            server.close()
            for task in balancer._under_way:
                task.cancel()
            await asyncio.gather(*balancer._under_way, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), contextlib.closing(writer):
            if self.to is None:
                return
            there = urlsplit(self.to.url)
            far_reader, far_writer = await asyncio.open_connection(there.hostname, there.port)
            with contextlib.closing(far_writer):
                ways = [asyncio.create_task(_pump(*way)) for way in ((reader, far_writer), (far_reader, writer))]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(64 * 1024):
            writer.write(data)
            await writer.drain()
