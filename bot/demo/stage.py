"""The demo's own page and endpoints: both screens in one window, and the buttons that play the rest of the world.

Law: these endpoints give tokens away, so they are served by `demo` only, and answer only a page of the demo itself: by
an address of this machine that no name server can point elsewhere, and nobody else's page.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, cast

import orjson
from aiohttp import hdrs, web
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from redis.exceptions import RedisError

from bot.demo.world import World
from bot.errors import CommandError
from bot.orders.base import OrderSystemAway
from bot.orders.shop import MOVES, Move
from bot.pages import Handler, Pages
from bot.replies import http_problem
from cards.texts import Locale

Facts = Callable[[], Mapping[str, Any]]

_STATUS = {
    "demo_elsewhere": 403,
    "demo_foreign": 403,
    "bad_request_body": 400,
    "no_such_order": 404,
    "no_such_move": 404,
    "order_cannot_move": 409,
    "no_card_waits": 409,
    "busy": 503,
    "store_away": 503,
}
_BODY = 1024


class _Window(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    seconds: float = Field(ge=1, le=7 * 24 * 3600, allow_inf_nan=False)


class Stage:
    """`facts` are who takes part, with their tokens; `host` is the one that the demo was told to listen on."""

    def __init__(self, world: World, facts: Facts, host: str, pages: Pages) -> None:
        self._world = world
        self._facts = facts
        self._host = host
        self._pages = pages

    def routes(self) -> list[web.RouteDef]:
        """What `demo` serves besides the gateway's own."""
        return [
            web.get("/", self._pages.page("stage.html")),
            web.get("/demo/session", self._guarded()),
            web.post("/demo/orders/{order_id}/{move}", self._guarded(self._move)),
            web.post("/demo/pass-time", self._guarded(self._pass_time)),
            web.post("/demo/window", self._guarded(self._window)),
        ]

    async def _move(self, request: web.Request) -> None:
        move = request.match_info["move"]
        if move not in MOVES:
            raise CommandError("no_such_move", move=move, known=", ".join(MOVES))
        await self._world.move(request.match_info["order_id"], cast(Move, move))

    async def _pass_time(self, request: web.Request) -> None:
        await self._world.pass_time()

    async def _window(self, request: web.Request) -> None:
        try:
            wish = _Window.model_validate_json(await request.read())
        except ValidationError as error:
            raise CommandError("bad_request_body", reason=_first(error)) from None
        self._world.set_window(timedelta(seconds=wish.seconds))

    def _guarded(self, act: Callable[[web.Request], Awaitable[None]] | None = None) -> Handler:
        """Check who asks, act, and answer with the world as it is then; one who only looks is told who is in it."""

        async def handle(request: web.Request) -> web.Response:
            locale = Locale.ZH_CN if request.headers.get(hdrs.ACCEPT_LANGUAGE, "").startswith("zh") else Locale.EN
            try:
                self._check(request)
                if act is not None:
                    await act(request)
                facts = {} if act else self._facts()
                body = orjson.dumps({**facts, **await self._world.state(locale)})
                response = web.Response(body=body, content_type="application/json")
            except CommandError as error:
                response = _problem(error, locale)
            except (OrderSystemAway, RedisError, OSError):
                response = _problem(CommandError("store_away", retry_after_ms=2000), locale)
            response.headers.update({"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})
            return response

        return handle

    def _check(self, request: web.Request) -> None:
        """Raises CommandError unless a page of the demo asks, or a program of this machine's user."""
        headers = request.headers
        if not self._is_own(request.host):
            raise CommandError("demo_elsewhere", host=ascii(request.host)[1:-1])
        origin, site = headers.get(hdrs.ORIGIN), headers.get("Sec-Fetch-Site", "same-origin")
        typed = site == "none" and request.method == hdrs.METH_GET
        if (origin and origin.partition("://")[2] != request.host) or not (site == "same-origin" or typed):
            raise CommandError("demo_foreign")
        if request.method == hdrs.METH_POST:
            # No form of another site can send it; a page's script would have to ask first, and is not answered.
            if request.content_type != "application/json":
                raise CommandError("bad_request_body", reason="Content-Type: application/json")
            if (request.content_length or 0) > _BODY:
                raise CommandError("bad_request_body", reason=f"Content-Length <= {_BODY}")

    def _is_own(self, host: str) -> bool:
        """Whether that Host is surely us: a name can be made to point here (DNS rebinding), a number cannot."""
        name = (host if host.endswith("]") else host.rsplit(":", 1)[0]).lower()
        if name in ("localhost", self._host.lower()):
            return True
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True


def _problem(error: CommandError, locale: Locale) -> web.Response:
    return http_problem(_STATUS[error.code], error.code, locale=locale, **error.params)


def _first(error: ValidationError) -> str:
    """What is wrong, and where."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return ": ".join([*(str(part) for part in first["loc"]), first["msg"]])
