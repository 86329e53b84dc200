"""Clients and networks without manners: half frames, copies, commands that come late, readers who never read.

Law: whatever they do to the wire, the person behind it has one command, and hears one answer or none.
"""

import asyncio
import os
import socket
import struct
import uuid
from dataclasses import dataclass
from urllib.parse import urlsplit

import orjson

from bot.frames import PROTOCOL
from tests.faults.torture.recorder import RecordingClient

MISCHIEF = ("half_frame", "doubled", "delayed", "never_reads", "cut", "storm", "away")
"""Names of faults in the history that people and their networks cause: none of them excuses the shop's side."""
_RECEIVES = 4096
"""Bytes that a reader's kernel takes who never reads; the least that a kernel allows may be more."""
_HANDSHAKE_WITHIN = 5.0
_ASKS = 40
"""Pages that such a reader asks for: below what a gateway would call a flood."""


@dataclass(frozen=True, slots=True)
class HalfFrame:
    """The connection ends in the middle of the command; it is sent again over the next one."""

    name = "half_frame"

    async def send(self, client: RecordingClient, data: bytes) -> None:
        frame = masked(data)
        await client.break_off(frame[: len(frame) // 2])


@dataclass(frozen=True, slots=True)
class Doubler:
    """The command comes twice over one connection, and `seconds` later over that of another device."""

    other: RecordingClient
    seconds: float = 0.0
    name = "doubled"

    async def send(self, client: RecordingClient, data: bytes) -> None:
        await client.put(data)
        await client.put(data)
        self.other.put_later(data, self.seconds)


@dataclass(frozen=True, slots=True)
class Laggard:
    """The command stays on its way for so many seconds."""

    seconds: float
    name = "delayed"

    async def send(self, client: RecordingClient, data: bytes) -> None:
        await asyncio.sleep(self.seconds)
        await client.put(data)


class NeverReads:
    """Somebody who says hello, asks for a conversation again and again, and reads nothing after the handshake."""

    def __init__(self, url: str, token: str, conversation_id: str) -> None:
        self._url = urlsplit(url)
        self._token = token
        self._conversation_id = conversation_id
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVES)

    async def start(self) -> None:
        """Connect, say hello and ask. Raises OSError, and TimeoutError of a gateway that does not answer."""
        loop = asyncio.get_running_loop()
        hello = {"type": "hello", "token": self._token, "protocol": PROTOCOL, "cursors": {}, "locale": "en"}
        page = {"type": "history", "conversation_id": self._conversation_id, "limit": 200}
        asks = [{"id": str(uuid.uuid4()), **page} for _ in range(_ASKS)]
        async with asyncio.timeout(_HANDSHAKE_WITHIN):
            await loop.sock_connect(self._socket, (self._url.hostname, self._url.port))
            await loop.sock_sendall(self._socket, self._upgrade())
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):
                if not (byte := await loop.sock_recv(self._socket, 1)):
                    raise ConnectionError("closed in the handshake")
                answer += byte
            if b" 101 " not in answer.partition(b"\r\n")[0]:
                raise ConnectionError(f"no websocket: {answer[:80]!r}")
            frames = [masked(orjson.dumps(frame)) for frame in (hello, *asks)]
            await loop.sock_sendall(self._socket, b"".join(frames))

    def close(self) -> None:
        """Go, without a word."""
        self._socket.close()

    def _upgrade(self) -> bytes:
        return (
            f"GET {self._url.path} HTTP/1.1\r\nHost: {self._url.netloc}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bmV2ZXIgcmVhZHMgYnl0ZQ==\r\n\r\n"
        ).encode()


def masked(text: bytes) -> bytes:
    """A whole text frame as a client sends it (RFC 6455, section 5.2)."""
    size = len(text)
    if size < 126:
        head = struct.pack("!BB", 0x81, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x81, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x81, 0x80 | 127, size)
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(text))
