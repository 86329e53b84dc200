"""What a command is answered: `ok` with its result, or `error` with members of RFC 9457."""

import logging
import random
from typing import Any, Final

import orjson
from aiohttp import web
from redis.exceptions import ClusterCrossSlotError, OutOfMemoryError, RedisError, ResponseError

from bot.documents.store import Reply
from bot.errors import CommandError, problem
from bot.flows.reading import audience_of
from bot.frames import encode
from bot.orders.base import OrderSystemAway, UnknownShop
from bot.participant import Participant
from bot.redis.link import Overloaded
from cards.card import render, render_refusal
from cards.errors import Conflict, Refusal
from cards.texts import Locale

log = logging.getLogger(__name__)

_PASSING: Final = ("BUSY ", "MISCONF ", "NOREPLICAS ")
"""What a server answers that can't take a write just now; for the rest of such answers redis-py has types."""


def ok_frame(command_id: str, answer: Reply | dict[str, Any]) -> bytes:
    """`ok`, with what the command gives; a committed reply's members are JSON already."""
    if isinstance(answer, Reply):
        rest = answer.body[1:] if answer.body != "{}" else "}"
        return f'{{"type":"ok","re":"{command_id}","seq":{answer.seq}{"," if rest != "}" else ""}{rest}'.encode()
    return orjson.dumps({"type": "ok", "re": command_id, **answer})


def error_frame(command_id: str | None, error: Exception, who: Participant, locale: Locale) -> bytes:
    """`error`, whatever went wrong; `re` is None for a frame whose id could not be read."""
    return encode({"type": "error", "re": command_id, **_members(error, who, locale)})


def _members(error: Exception, who: Participant, locale: Locale) -> dict[str, Any]:
    """An error as the client is told it; what nobody foresaw is logged, and told as `internal`."""
    match error:
        case Refusal():
            return render_refusal(error, locale)
        case Conflict():
            card = render(error.proposal, audience_of(who), locale)
            return {**problem(error.code, locale, label=card["label"]), "card": card}
        case CommandError():
            return problem(error.code, locale, **error.params)
        case Overloaded():
            return problem("busy", locale, retry_after_ms=_about(1000))
        case OutOfMemoryError():
            log.warning("command failed, Redis has no memory left: %s", error)
            return problem("store_away", locale, retry_after_ms=_about(3000))
        case RedisError() | OSError() if _passes(error):
            log.warning("command failed, Redis away: %s", error)
            return problem("store_away", locale, retry_after_ms=_about(1000))
        case UnknownShop():
            return problem("unknown_shop", locale, shop_id=who.shop_id)
        case OrderSystemAway():
            return problem("order_system_away", locale, retry_after_ms=_about(2000))
    log.error("a command failed unexpectedly", exc_info=error)
    return problem("internal", locale)


def _passes(error: Exception) -> bool:
    """Whether trying again helps; what redis-py has no type for is a mistake of a script's otherwise (`ERR …`)."""
    return type(error) not in (ResponseError, ClusterCrossSlotError) or str(error).startswith(_PASSING)


def _about(ms: int) -> int:
    """Those who failed at the same instant shall not come back at the same instant."""
    return random.randrange(ms // 2, ms * 3 // 2)


def http_problem(status: int, code: str, *, locale: Locale = Locale.EN, **params: Any) -> web.Response:
    """An HTTP answer for whoever does not get a websocket (RFC 9457)."""
    body = {"type": "about:blank", "status": status, **problem(code, locale, **params)}
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/problem+json")
