"""The protocol from Python: a chat client that reconnects and resumes by itself.

Law: whatever the connection did meanwhile, the transcript has no gap and no double, and a command sent before a cut is
sent again with its id, and so gets its first reply.
"""

import asyncio
import contextlib
import logging
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self

import aiohttp
import orjson

from bot.client_commands import ClientCommands
from bot.frames import PROTOCOL
from bot.transcript import Entry, Frame

log = logging.getLogger(__name__)

_FINAL_CODES = frozenset({4400, 4401, 4426})
"""Close codes after which connecting again would end the same way."""


class CommandFailed(Exception):
    """A command was answered with an error; `code` and `problem` (all its members) say why, `card` how it is now."""

    def __init__(self, problem: Frame) -> None:
        super().__init__(f"{problem['code']}: {problem.get('title', '')} {problem.get('detail', '')}".strip())
        self.problem = problem
        self.code: str = problem["code"]
        self.card: Frame | None = problem.get("card")


class Refused(ConnectionError):
    """The gateway will not have this client: a bad token, an unsupported protocol."""


class ChatClient(ClientCommands):
    """One participant's connection, and the transcript of what it was told.

    Use it as an async context manager, or `start` and `aclose`.

    `url` is the gateway's websocket (a sequence: tried in turn), `token` a token or a function that gives a fresh one.
    `cursors` are those of an earlier client, to resume from. `on_entry(conversation_id, entry)` and `on_event(frame)`
    are called in order, and may be coroutines.

    `backoff` are the least and the most seconds between two attempts to connect; each is twice as long as the last one.
    Whoever was welcomed and loses the connection without a `bye` comes back at a random instant of the first `spread`
    seconds, since thousands of others may have lost the same gateway.
    """

    def __init__(
        self,
        url: str | list[str],
        token: str | Callable[[], str],
        *,
        locale: str = "zh-CN",
        cursors: Mapping[str, int] | None = None,
        on_entry: Callable[[str, Entry], Awaitable[None] | None] | None = None,
        on_event: Callable[[Frame], Awaitable[None] | None] | None = None,
        http: aiohttp.ClientSession | None = None,
        backoff: tuple[float, float] = (0.05, 5.0),
        spread: float = 1.0,
        patience: float = 30.0,
    ) -> None:
        super().__init__()
        self.cursors.update(cursors or {})
        self._urls = [url] if isinstance(url, str) else url
        self._token = token
        self._locale = locale
        self._on_entry = on_entry
        self._on_event = on_event
        self._own_http = http is None
        self._http = http
        self._backoff = backoff
        self._spread = spread
        self._patience = patience
        self.connections = 0
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._pending: dict[str, tuple[bytes, asyncio.Future[Frame]]] = {}
        self._runner: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        self._changed = asyncio.Event()
        self._failure: Exception | None = None
        self._retry_after: float | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Connect, and return when welcomed. Raises Refused, or TimeoutError after `patience` seconds."""
        if self._http is None:
            self._http = aiohttp.ClientSession()
        self._runner = asyncio.create_task(self._run(), name="chat-client")
        try:
            async with asyncio.timeout(self._patience):
                await self.connected()
        except BaseException:
            await self.aclose()
            raise

    async def connected(self) -> None:
        """Wait until there is a welcomed connection. Raises Refused."""
        await self._connected.wait()
        if self._failure is not None:
            raise self._failure

    async def aclose(self) -> None:
        """Close for good."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
        if self._own_http and self._http is not None:
            await self._http.close()
        for _, reply in self._pending.values():
            if not reply.done():
                reply.set_exception(ConnectionError("the client was closed"))
                reply.exception()

    def cut(self) -> None:
        """Cut the connection as a bad network would (for tests); the client comes back by itself."""
        if self._ws is not None:
            transport = self._ws.get_extra_info("socket") and self._ws._response.connection
            if transport and transport.transport:
                transport.transport.abort()

    async def command(self, type: str, *, command_id: str | None = None, **members: Any) -> Frame:
        """Send any command and return its `ok`; over a cut it is sent again with its id.

        Raises CommandFailed; TimeoutError, its fate unknown; Refused; or ConnectionError when the client is closed.

        A gateway that is busy, restarting or away from its store is asked again for as long as `patience` lasts.
        """
        command_id = command_id or str(uuid.uuid4())
        data = orjson.dumps({"type": type, "id": command_id, **members})
        async with asyncio.timeout(self._patience):
            while True:
                answer = await self._ask(command_id, data)
                if answer["type"] == "ok":
                    return answer
                retry_ms = answer.get("retry_after_ms")
                if retry_ms is None:
                    raise CommandFailed(answer)
                await asyncio.sleep(retry_ms / 1000)

    async def _ask(self, command_id: str, data: bytes) -> Frame:
        if self._failure is not None:
            raise self._failure
        reply: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._pending[command_id] = (data, reply)
        try:
            await self._send(data)
            return await reply
        finally:
            self._pending.pop(command_id, None)

    async def wait_for(self, found: Callable[[], Any], limit: float | None = None) -> Any:
        """What `found` gives as soon as it is true, looked at after every frame. Raises TimeoutError."""
        async with asyncio.timeout(limit or self._patience):
            while not (result := found()):
                self._changed.clear()
                await self._changed.wait()
        return result

    async def _send(self, data: bytes) -> None:
        """Send now if connected; what is pending is sent again by the next connection."""
        if self._connected.is_set() and self._ws is not None:
            with contextlib.suppress(ConnectionError):
                await self._ws.send_str(data.decode())

    async def _run(self) -> None:
        attempt = 0
        while True:
            connections = self.connections
            try:
                await self._session(self._urls[(attempt + connections) % len(self._urls)])
            except Refused as refused:
                self._fail(refused)
                return
            except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
                log.debug("connection failed: %s", error)
            attempt = 0 if self.connections > connections else attempt + 1
            self._connected.clear()
            self._ws = None
            pause, self._retry_after = self._retry_after, None
            await asyncio.sleep(self._pause(attempt) if pause is None else pause)

    def _pause(self, attempt: int) -> float:
        if attempt == 0:
            return random.uniform(0, self._spread)
        least, most = self._backoff
        return random.uniform(0.5, 1) * min(most, least * 2.0 ** min(attempt, 12))

    def _fail(self, failure: Exception) -> None:
        self._failure = failure
        self._connected.set()
        for _, reply in self._pending.values():
            if not reply.done():
                reply.set_exception(failure)

    async def _session(self, url: str) -> None:
        assert self._http is not None
        async with self._http.ws_connect(url, heartbeat=20, max_msg_size=0, compress=0) as ws:
            self._ws = ws
            await ws.send_str(orjson.dumps(self._hello()).decode())
            problem: Frame = {}
            connections = self.connections
            async for message in ws:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue
                frame: Frame = orjson.loads(message.data)
                if frame["type"] == "error" and self.connections == connections:
                    problem = frame
                await self._receive(frame)
            outlived = self.connections > connections and callable(self._token)
            if ws.close_code in _FINAL_CODES and not outlived:
                raise Refused(f"{problem.get('code', ws.close_code)}: {problem.get('detail', 'closed')}")

    def _hello(self) -> Frame:
        return {
            "type": "hello",
            "token": self._token if isinstance(self._token, str) else self._token(),
            "protocol": PROTOCOL,
            "cursors": self.cursors,
            "at_ms": self.at_ms,
            "locale": self._locale,
        }

    async def _receive(self, frame: Frame) -> None:
        for conversation_id, entry in self.take(frame):
            if self._on_entry is not None:
                await _call(self._on_entry(conversation_id, entry))
        match frame["type"]:
            case "ok" | "error":
                self._answered(frame)
            case "welcome":
                await self._welcomed()
            case "bye":
                self._retry_after = frame["retry_after_ms"] / 1000
        if self._on_event is not None and frame["type"] not in ("ok", "entry"):
            await _call(self._on_event(frame))
        self._changed.set()

    def _answered(self, frame: Frame) -> None:
        _, reply = self._pending.get(frame["re"] or "", (b"", None))
        if reply is not None and not reply.done():
            reply.set_result(frame)

    async def _welcomed(self) -> None:
        """What was sent and not answered is sent again, with its id."""
        self.connections += 1
        self._connected.set()
        assert self._ws is not None
        for data, _ in list(self._pending.values()):
            await self._ws.send_str(data.decode())


async def _call(result: Awaitable[None] | None) -> None:
    if result is not None:
        await result
