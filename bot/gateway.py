"""The websocket endpoint: hello, frames in, replies out, and a gentle end.

Law: a command gets exactly one `ok` or `error`; those of a session that change a conversation run in the order sent.
"""

import asyncio
import contextlib
import logging
import random
from typing import Any

from aiohttp import WSMsgType, web
from redis.exceptions import RedisError

from bot.auth import Tokens
from bot.commands import Commands
from bot.conversation import may_see
from bot.documents.store import Reply
from bot.errors import CommandError, problem
from bot.fanout import Fanout
from bot.flows.deciding import Parts
from bot.frames import (
    PROTOCOL,
    Command,
    Ping,
    Refresh,
    command_id_in,
    encode,
    read_command,
    read_hello,
)
from bot.participant import Role
from bot.reception import Reception
from bot.replies import error_frame, http_problem, ok_frame
from bot.sessions import Backlog, CloseCode, Session
from bot.turns import Turns
from cards.model import to_ms
from cards.texts import Locale

log = logging.getLogger(__name__)

_HELLO_BYTES = 256 * 1024
"""A hello may carry cursors of very many conversations; also the most that is read of any frame."""
_FLOOD = 200
"""Commands refused in a row for their rate before the session is closed."""
_WELCOME_WITHIN = 10.0
"""Seconds. While Redis is away clients come again and again; those who left meanwhile must not wait here for ever."""
_WELCOMES = 32
"""Sessions that come in at once: thousands who lost their gateway must not crowd out the commands of those here."""
_FULL_FOR = (5, 15)
"""Seconds after which somebody may ask a full gateway again, from and to."""
_RETURNS_PER_SECOND = 500
"""The pace at which a drain sends people elsewhere: a third of the welcomes that one other gateway's CPU second has."""
_BYE_WITHIN = (1.0, 20.0)
"""Seconds over which they are spread, at least and at most: nobody is to be without a gateway for long. A command that
comes too late is tried again within the least."""


class Gateway:
    """Serves sessions; one for each process."""

    def __init__(self, parts: Parts, commands: Commands, fanout: Fanout, reception: Reception, tokens: Tokens) -> None:
        self._parts = parts
        self._settings = parts.settings
        self._commands = commands
        self._fanout = fanout
        self._reception = reception
        self._tokens = tokens
        self._sockets: set[web.WebSocketResponse] = set()
        self._under_way: set[asyncio.Task[None]] = set()
        """Every session's commands, also of those that are gone: a drain lets them end."""
        self._turns = Turns(parts.settings.commands_at_once)
        self._backlog = Backlog(parts.settings.buffers_bytes)
        self._welcomes = asyncio.Semaphore(_WELCOMES)
        self.draining = False

    @property
    def full(self) -> bool:
        """Whether there is no place for another session."""
        return len(self._sockets) >= self._settings.sessions_at_once

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """GET /ws: a websocket from its handshake to its close."""
        if self.draining:
            return http_problem(503, "going_away")
        if self.full:
            response = http_problem(503, "gateway_full")
            response.headers["Retry-After"] = str(random.randint(*_FULL_FOR))
            return response
        origin = request.headers.get("Origin")
        if not _allowed(origin, request.host, self._settings.allowed_origins):
            return http_problem(403, "origin_not_allowed", origin=ascii(origin)[1:-1])
        ws = web.WebSocketResponse(
            heartbeat=self._settings.heartbeat.total_seconds(),
            max_msg_size=_HELLO_BYTES,
            compress=False,
            timeout=2,
        )
        if not ws.can_prepare(request).ok:
            response = http_problem(426, "websocket_expected")
            response.headers["Upgrade"] = "websocket"  # a must with 426 (RFC 9110, section 15.5.22)
            return response
        self._sockets.add(ws)
        try:
            await ws.prepare(request)
            session = await self._hello(ws, request)
            if session is not None:
                await self._serve(ws, session)
        finally:
            self._sockets.discard(ws)
        return ws

    async def _hello(self, ws: web.WebSocketResponse, request: web.Request) -> Session | None:
        try:
            message = await ws.receive(timeout=self._settings.hello_timeout.total_seconds())
        except TimeoutError:
            await _refuse(ws, CloseCode.HELLO_TIMEOUT, CommandError("hello_timeout"))
            return None
        if message.type is not WSMsgType.TEXT:
            if message.type is WSMsgType.BINARY:
                await _refuse(ws, CloseCode.BAD_HELLO, CommandError("text_frames_only"))
            return None
        locale = Locale.ZH_CN
        try:
            hello = read_hello(message.data)
            locale = hello.locale
            who = self._tokens.read(hello.token)
            if who.role is Role.SERVICE:
                raise CommandError("people_only")
        except CommandError as error:
            code = {"unsupported_protocol": CloseCode.UNSUPPORTED_PROTOCOL, "bad_frame": CloseCode.BAD_HELLO}
            await _refuse(ws, code.get(error.code, CloseCode.UNAUTHORIZED), error, locale)
            return None
        session = Session(ws, request.transport, who, hello.locale, self._settings, self._backlog)
        session.asked, session.asked_at_ms = hello.cursors, hello.at_ms
        return session

    async def _serve(self, ws: web.WebSocketResponse, session: Session) -> None:
        self._expire(session)
        arrived = False
        try:
            async with asyncio.timeout(_WELCOME_WITHIN), self._welcomes:
                await self._fanout.join(session)
                await self._reception.arrive(session.who)
                arrived = True
                await self._welcome(session)
            await self._fanout.resume(session, self._behind(session))
            async for message in ws:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    self._receive(session, message.data)
        except (RedisError, OSError) as error:
            log.warning("session closed, Redis away: %s", str(error) or type(error).__name__)
            session.close(CloseCode.BEHIND, "the store is away: resume with your cursors")
        finally:
            self._fanout.leave(session)
            if arrived:
                self._reception.leave(session.who)
            if session.closing is not None:
                await session.closing
            await session.end()

    async def _welcome(self, session: Session) -> None:
        """Subscribed already: read what there is, say it, then let live entries through from there."""
        who = session.who
        frame, cursors, at_ms = await self._reception.welcome(who, session.locale)
        session.send(encode({"type": "welcome", "session_id": session.id, "protocol": PROTOCOL, **frame}))
        session.cursors.update(cursors)
        session.at_ms.update(at_ms)

    @staticmethod
    def _behind(session: Session) -> dict[str, int]:
        """The cursors of the hello that something may be missing after, or that are at an entry of another log."""
        at_ms = session.asked_at_ms
        return {
            id: seq
            for id, seq in session.asked.items()
            if (session.cursors.get(id) != seq or not session.continues(id, at_ms.get(id, 0)))
            and may_see(session.who, id)
        }

    def _expire(self, session: Session) -> None:
        """Close a session whose token has expired; it may have been refreshed since the last look."""
        left_ms = to_ms(session.who.expires) - self._parts.clock.now_ms()
        if left_ms <= 0:
            session.close(CloseCode.UNAUTHORIZED, "token expired")
        else:
            look_in = min(left_ms / 1000 + 0.01, 3600)
            session.expiring = asyncio.get_running_loop().call_later(look_in, self._expire, session)

    def _receive(self, session: Session, data: str | bytes) -> None:
        """One frame: checked here and now, then answered by a task of its own."""
        try:
            self._check_rate(session)
            if isinstance(data, bytes):
                raise CommandError("text_frames_only")
            if (size := len(data.encode())) > self._settings.frame_bytes:
                raise CommandError("frame_too_large", limit=self._settings.frame_bytes, size=size)
            command = read_command(data)
            if self.draining:
                raise CommandError("going_away", retry_after_ms=round(1000 * random.random() * _BYE_WITHIN[0]))
            if len(session.under_way) >= self._settings.commands_under_way:
                raise CommandError("busy", retry_after_ms=self._turns.pause_ms())
            began = self._turns.take()
        except CommandError as error:
            session.send(
                error_frame(command_id_in(data) if isinstance(data, str) else None, error, session.who, session.locale)
            )
            return
        task = asyncio.create_task(self._run(session, command), name=f"command-{command.type}")
        for under_way in (session.under_way, self._under_way):
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        task.add_done_callback(lambda _: self._turns.done(began))

    def _check_rate(self, session: Session) -> None:
        wait_ms = session.rate.wait_ms(asyncio.get_running_loop().time())
        if not wait_ms:
            session.refused_in_a_row = 0
            return
        session.refused_in_a_row += 1
        if session.refused_in_a_row > _FLOOD:
            session.close(CloseCode.FLOOD, "too many commands")
        raise CommandError("rate_limited", retry_after_ms=wait_ms)

    async def _run(self, session: Session, command: Command) -> None:
        try:
            if isinstance(command, Ping):
                answer: Reply | dict[str, Any] = {"now_ms": self._parts.clock.now_ms()}
            elif isinstance(command, Refresh):
                answer = self._refresh(session, command)
            else:
                answer = await self._commands.run(session, command)
            session.send(ok_frame(command.id, answer))
        except Exception as error:
            session.send(error_frame(command.id, error, session.who, session.locale))

    def _refresh(self, session: Session, command: Refresh) -> dict[str, Any]:
        fresh = self._tokens.read(command.token)
        if (fresh.role, fresh.id, fresh.shop_id) != (session.who.role, session.who.id, session.who.shop_id):
            raise CommandError("token_of_another")
        session.who = fresh
        return {"expires_ms": to_ms(fresh.expires)}

    async def drain(self) -> None:
        """Take nothing new, let what is under way be answered, tell everybody to come back elsewhere, and close."""
        self.draining = True
        limit = self._settings.drain.total_seconds()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=limit)
        sessions = self._fanout.sessions
        # A place in the interval for each, and not only a random one: chance alone makes crowds.
        least, most = _BYE_WITHIN
        step = 1000 * min(most, max(least, len(sessions) / _RETURNS_PER_SECOND)) / max(1, len(sessions))
        for place, session in enumerate(sessions):
            session.send(encode({"type": "bye", "retry_after_ms": int((place + random.random()) * step)}))
        await asyncio.gather(*[session.flushed(1) for session in sessions])
        for session in sessions:
            session.close(CloseCode.GOING_AWAY, "going away: resume elsewhere")
        await asyncio.gather(*[session.closing for session in sessions if session.closing], return_exceptions=True)
        await asyncio.gather(
            *[ws.close(code=CloseCode.GOING_AWAY) for ws in list(self._sockets)], return_exceptions=True
        )


async def _refuse(
    ws: web.WebSocketResponse, code: CloseCode, error: CommandError, locale: Locale = Locale.ZH_CN
) -> None:
    with contextlib.suppress(ConnectionError):
        await ws.send_str(encode({"type": "error", "re": None, **problem(error.code, locale, **error.params)}).decode())
        await ws.close(code=code, message=error.code.encode())


def _allowed(origin: str | None, host: str, allowed: tuple[str, ...]) -> bool:
    """A browser names its page's origin; other clients send none."""
    return origin is None or origin.partition("://")[2] == host or origin in allowed
