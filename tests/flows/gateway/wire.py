"""A bare websocket: whatever a client may send, good or bad, and exactly what comes back."""

import asyncio
import json
import re
import uuid
from typing import Any

import aiohttp

from bot.errors import TEXTS
from bot.participant import Role
from cards.texts import Locale
from tests.flows.town import Gateway, Town

Frame = dict[str, Any]

LIMIT = 15.0


def http_of(gateway: Gateway) -> str:
    """A gateway's address for plain HTTP, and for the Origin of its own page."""
    return gateway.url.replace("ws://", "http://").removesuffix("/ws")


class Wire:
    """One connection, not yet introduced."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse, locale: str = "zh-CN") -> None:
        self.ws = ws
        self.locale = locale
        self.events: list[Frame] = []

    async def say(self, frame: Frame | str | bytes) -> None:
        """Send a frame: an object, any text, or binary."""
        if isinstance(frame, bytes):
            await self.ws.send_bytes(frame)
        else:
            await self.ws.send_str(frame if isinstance(frame, str) else json.dumps(frame))

    async def hear(self) -> Frame:
        """The next frame. Raises ConnectionError once the connection is closed."""
        async with asyncio.timeout(LIMIT):
            message = await self.ws.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionError(f"{message.type!r} {self.ws.close_code}")
        frame: Frame = json.loads(message.data)
        return frame

    async def answer(self) -> Frame:
        """The next `ok` or `error`; what comes in between is kept in `events`."""
        while (frame := await self.hear())["type"] not in ("ok", "error"):
            self.events.append(frame)
        if frame["type"] == "error":
            check_error(frame, self.locale)
        return frame

    async def ask(self, type: str, **members: Any) -> Frame:
        """A command with a fresh id (or the one given), and its answer."""
        command = {"type": type, "id": str(uuid.uuid4()), **members}
        await self.say(command)
        answer = await self.answer()
        assert answer["re"] == command["id"], answer
        return answer

    async def refused(self, type: str, **members: Any) -> str:
        """The code of the error that a command is answered with."""
        answer = await self.ask(type, **members)
        assert answer["type"] == "error", answer
        return str(answer["code"])

    async def alive(self) -> None:
        """The session still answers."""
        assert (await self.ask("ping"))["type"] == "ok"

    async def closed(self) -> int | None:
        """Wait for the end, whatever is still said; the close code."""
        async with asyncio.timeout(LIMIT):
            while (message := await self.ws.receive()).type is aiohttp.WSMsgType.TEXT:
                self.events.append(json.loads(message.data))
        return self.ws.close_code


def check_error(frame: Frame, locale: str = "zh-CN") -> None:
    """Every error says what, where and what to do, in the session's language; none is a bug of ours."""
    assert frame.keys() >= {"re", "code", "title", "detail"}, frame
    assert frame["title"]
    assert frame["detail"]
    assert not re.search(r"\{[a-z_]+\}", frame["title"] + frame["detail"]), "a placeholder that nobody filled"
    assert frame["code"] != "internal", frame
    if f"error.{frame['code']}.title" in TEXTS:
        written = TEXTS.by_locale[Locale(locale)][f"error.{frame['code']}.title"]
        assert frame["title"].startswith(written.partition("{")[0])


async def dial(town: Town, to: Gateway | None = None, **options: Any) -> Wire:
    """A connection that has not said hello; it ends with the test."""
    http = await town.stack.enter_async_context(aiohttp.ClientSession())
    ws = await http.ws_connect((to or town.gateways[0]).url, **options)
    return Wire(await town.stack.enter_async_context(ws))


async def introduced(town: Town, role: Role, id: str, to: Gateway | None = None, **hello: Any) -> Wire:
    """A welcomed connection of anybody; `shop_id`, `token` and members of hello may be given."""
    wire = await dial(town, to)
    token = hello.pop("token", None) or town.token(role, id, shop_id=hello.pop("shop_id", None))
    wire.locale = hello.get("locale", "zh-CN")
    await wire.say({"type": "hello", "token": token, "protocol": 1, **hello})
    while (frame := await wire.hear())["type"] != "welcome":
        assert frame["type"] != "error", frame
    wire.events.append(frame)
    return wire
