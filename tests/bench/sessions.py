"""What an idle session costs: thousands of buyers connected to one gateway, who do nothing but answer its pings.

    python tests/bench/sessions.py [--sessions 10000] [--idle 30] [--json]

A real Valkey, one `serve` process with its default settings (a heartbeat every 20 s), and the clients in two processes
of their own: bare sockets, the least websocket that there is. Memory is the gateway's resident memory after `--idle`
seconds with all of them, minus that without them, for each session; the kernel's socket buffers are not in it. CPU is
the gateway's over those seconds, in which each session has its heartbeats; a part of it is the gateway's own, for
sweeping its timers. Welcomes for each CPU second say how fast people can come back.
"""

import argparse
import asyncio
import json
import resource
import struct
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import orjson
import uvloop
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from bot.auth import Tokens
from bot.embedded.server import Embedded
from bot.participant import Participant, Role
from tests.bench.negotiations import SECRET, SHOP, cpu_seconds, memory_kib, start_gateway

CLIENTS = 2
"""Processes that hold the other ends."""
AT_ONCE = 50
"""Connections that one of them makes at a time."""
COMING_S = 300.0
"""Seconds for everybody to be welcomed."""
TEXT, PING, PONG = 0x1, 0x9, 0xA


def masked(opcode: int, payload: bytes) -> bytes:
    """A client's frame; a mask of zeros is a mask too (RFC 6455, section 5.3)."""
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else b"\xfe" + struct.pack("!H", length)
    return bytes([0x80 | opcode]) + size + bytes(4) + payload


class Sitter(asyncio.Protocol):
    """Somebody who says hello, and then sits there. `welcomed` is done once the first frame came after the hello."""

    def __init__(self, host: str, buyer: str) -> None:
        self._request = (
            f"GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
        who = Participant(
            role=Role.BUYER, id=buyer, shop_id=SHOP, name=buyer, expires=datetime.now(UTC) + timedelta(hours=1)
        )
        self._hello = orjson.dumps({"type": "hello", "token": Tokens(SECRET).sign(who), "protocol": 1})
        self._upgraded = False
        self._read = b""
        self.welcomed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own are none by their class
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._read += data
        if not self._upgraded:
            head, end, self._read = self._read.partition(b"\r\n\r\n")
            if not end:
                self._read = head
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._upgraded = True
            self._transport.write(masked(TEXT, self._hello))
        while (frame := self._next()) is not None:
            opcode, payload = frame
            if opcode == PING:
                self._transport.write(masked(PONG, payload))
            elif opcode == TEXT and not self.welcomed.done():
                assert b'"welcome"' in payload, payload
                self.welcomed.set_result(None)

    def _next(self) -> tuple[int, bytes] | None:
        """The next whole frame; a server's are not masked."""
        if len(self._read) < 2:
            return None
        start, length = 2, self._read[1]
        if length == 126:
            start, length = 4, int.from_bytes(self._read[2:4], "big")
        elif length == 127:
            start, length = 10, int.from_bytes(self._read[2:10], "big")
        if len(self._read) < start + length:
            return None
        opcode, payload = self._read[0] & 0xF, self._read[start : start + length]
        self._read = self._read[start + length :]
        return opcode, payload

    def connection_lost(self, error: Exception | None) -> None:
        if not self.welcomed.done():
            self.welcomed.set_exception(error or ConnectionError("closed before the welcome"))


async def sit(url: str, count: int, first: int) -> None:
    """What a client process does: connect everybody, say so, and keep them there until stdin ends."""
    address = urlsplit(url)
    room = asyncio.Semaphore(AT_ONCE)
    sitters = []

    async def come(number: int) -> None:
        async with room:
            loop = asyncio.get_running_loop()
            _, sitter = await loop.create_connection(
                lambda: Sitter(address.netloc, f"buyer-{number}"), address.hostname, address.port
            )
            sitters.append(sitter)
            await sitter.welcomed

    async with asyncio.timeout(COMING_S):
        await asyncio.gather(*[come(number) for number in range(first, first + count)])
    print("all here", flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def start_sitters(url: str, count: int, first: int) -> Process:
    """A client process; its first line says that all of its people are welcomed."""
    command = [sys.executable, __file__, "--sit", url, str(count), str(first)]
    return await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)


async def come(url: str, count: int, first: int) -> list[Process]:
    """So many more people, all welcomed."""
    each = count // CLIENTS
    shares = [(each, first + each * process) for process in range(CLIENTS - 1)]
    shares.append((count - sum(size for size, _ in shares), first + sum(size for size, _ in shares)))
    processes = [await start_sitters(url, size, start) for size, start in shares]
    for process in processes:
        assert process.stdout is not None
        if await process.stdout.readline() != b"all here\n":
            raise RuntimeError("people were not welcomed; see above")
    return processes


async def run(sessions: int, idle: float) -> dict[str, Any]:
    """The figures."""
    with tempfile.TemporaryDirectory(prefix="assent-bench-") as folder:
        async with Embedded(Path(folder)) as server:
            gateway, url = await start_gateway(server.url)
            processes: list[Process] = []
            try:
                # What the first ones cost (code that is run for the first time, pools) is nobody's in particular.
                processes += await come(url, 100, 0)
                base_cpu = cpu_seconds(gateway.pid)
                await asyncio.sleep(idle / 2)
                base_cpu = 2 * (cpu_seconds(gateway.pid) - base_cpu)
                memory, cpu, began = memory_kib(gateway.pid), cpu_seconds(gateway.pid), loop_time()
                processes += await come(url, sessions, 100)
                came, cpu = loop_time() - began, cpu_seconds(gateway.pid) - cpu
                await asyncio.sleep(5)  # what belongs to the coming has been freed
                after, idle_cpu, server_cpu = (
                    memory_kib(gateway.pid),
                    cpu_seconds(gateway.pid),
                    cpu_seconds(server.pid),
                )
                await asyncio.sleep(idle)
                idle_cpu, server_cpu = cpu_seconds(gateway.pid) - idle_cpu, cpu_seconds(server.pid) - server_cpu
                came_with, after = after, memory_kib(gateway.pid)
            finally:
                for process in processes:
                    assert process.stdin is not None
                    process.stdin.close()
                await asyncio.gather(*[process.wait() for process in processes])
                gateway.terminate()
                await gateway.wait()
    return {
        "sessions": sessions,
        "gateway_memory_mib": round(after / 1024, 1),
        "bytes_per_session": round((after - memory) * 1024 / sessions),
        "of_it_grown_while_idle": round((after - came_with) * 1024 / sessions),
        "welcomes_per_s": round(sessions / came),
        "welcomes_per_gateway_cpu_s": round(sessions / cpu),
        "idle_gateway_cpu_percent": round(100 * idle_cpu / idle, 1),
        "of_it_without_sessions_percent": round(100 * base_cpu / idle, 1),
        "idle_cpu_us_per_session_and_s": round(1e6 * (idle_cpu - base_cpu) / idle / sessions, 1),
        "idle_valkey_cpu_percent": round(100 * server_cpu / idle, 1),
    }


def loop_time() -> float:
    """The loop's clock."""
    return asyncio.get_running_loop().time()


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--idle", type=float, default=30)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sit", nargs=3, metavar=("URL", "COUNT", "FIRST"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sit:
        url, count, first = options.sit
        uvloop.run(sit(url, int(count), int(first)))
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = hard - 200
    if options.sessions > room:
        parser.error(f"a process may have {hard} files open here: --sessions {room} at most, or raise `ulimit -Hn`")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    figures = uvloop.run(run(options.sessions, options.idle))
    if options.json:
        print(json.dumps(figures))
        return
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name, str(value))
    Console().print(table)


if __name__ == "__main__":
    main()
