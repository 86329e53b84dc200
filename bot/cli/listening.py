"""A gateway on a port of this machine, from its first connection to the end of its drain."""

import contextlib
import errno
import os
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from aiohttp import web

from bot.app import House, make_app
from bot.cli.failure import Failure

_CLOSING = 5.0
"""Seconds that plain HTTP requests may still take once the gateway has drained."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a gateway listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """`http://…`, as this machine can reach it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def ws(self) -> str:
        """`ws://…/ws`."""
        return f"ws{self.url.removeprefix('http')}/ws"


@contextlib.asynccontextmanager
async def listening(
    house: House, host: str, port: int, *, ports: int = 1, extra: Iterable[web.RouteDef] = ()
) -> AsyncIterator[Address]:
    """Serve while inside, on the first free one of `ports` ports from `port` on; then drain. Raises Failure.

    `extra` are routes besides the gateway's own.
    """
    runner = web.AppRunner(make_app(house, extra), access_log=None, shutdown_timeout=_CLOSING)
    await runner.setup()
    try:
        yield await _listen(runner, host, range(port, port + 1 if port == 0 else min(port + ports, 65536)))
    finally:
        # Before the runner's own shutdown, from which on aiohttp reads nothing more from any socket.
        await house.gateway.drain()
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, ports: range) -> Address:
    for port in ports:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            await site.stop()
            if error.errno != errno.EADDRINUSE:
                raise Failure(f"Can't listen on {host} port {port}: {_why(error)}.") from error
        else:
            return Address(host, runner.addresses[0][1])
    if len(ports) == 1:
        raise Failure(f"Port {ports[0]} of {host} is in use: choose another with --port (0 takes any free one).")
    raise Failure(f"The ports {ports[0]} to {ports[-1]} of {host} are all in use: choose others with --port.")


def _why(error: OSError) -> str:
    """The system's own word, without the address that asyncio puts around it; a name's lookup has numbers below 0."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
