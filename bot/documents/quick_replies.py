"""Quick replies (快捷短语): the shop's list and everybody's own, what can be done to one, how a text is filled in.

Law: what becomes of a list is decided by a pure function of the whole list, and written only if the list is still the
one that was decided on; so nothing is lost when two devices edit at once, and a repeated change changes nothing.
"""

import re
from collections.abc import Callable

from pydantic import TypeAdapter

from bot.desk.keys import desk_key
from bot.documents.store import REWRITE, Stale
from bot.errors import CommandError
from bot.flows.deciding import decide
from bot.frames import Scope, encode
from bot.participant import Participant, desk_channel
from cards.model import Id, Model
from scheduler.script import Script, Scripts

_READ = Script.beside(__file__, "quick_replies")
_WRITE = Script.beside(__file__, "quick_replies", durable=True)

LIMIT = 200
"""How many quick replies a list can have: it is always read whole."""
KNOWN = ("{buyer}", "{order}")
"""The placeholders: the buyer's name, the order's number."""

_PLACEHOLDER = re.compile(r"\{[^\W\d_]+\}")
"""What is meant as a placeholder: letters of any script in braces. All other braces are plain text."""


class QuickReply(Model):
    """A text that is often said, under a title, which may be empty."""

    id: Id
    title: str
    text: str


Replies = tuple[QuickReply, ...]

_REPLIES: TypeAdapter[Replies] = TypeAdapter(Replies)


def add(replies: Replies, reply: QuickReply) -> Replies:
    """With the reply at the end, unless its id is there already.

    Raises CommandError `unknown_placeholder`, or `too_many_quick_replies`.
    """
    if any(each.id == reply.id for each in replies):
        return replies
    _check_placeholders(reply.text)
    if len(replies) >= LIMIT:
        raise CommandError("too_many_quick_replies", limit=LIMIT)
    return (*replies, reply)


def edit(replies: Replies, reply: QuickReply) -> Replies:
    """With the reply in place of the one of its id.

    Raises CommandError `unknown_quick_reply`, or `unknown_placeholder`.
    """
    at = _place(replies, reply.id)
    _check_placeholders(reply.text)
    return (*replies[:at], reply, *replies[at + 1 :])


def delete(replies: Replies, reply_id: str) -> Replies:
    """Without that reply, if it was there."""
    return tuple(each for each in replies if each.id != reply_id)


def move(replies: Replies, reply_id: str, position: int) -> Replies:
    """With that reply at `position` (from 0), or at the end if that is too far.

    Raises CommandError `unknown_quick_reply`.
    """
    moved = replies[_place(replies, reply_id)]
    others = delete(replies, reply_id)
    return (*others[:position], moved, *others[position:])


def fill(text: str, *, buyer: str | None, order: str | None) -> str:
    """The text with its placeholders filled in; one without a value stays. What is filled in is never read again."""
    values = {"{buyer}": buyer, "{order}": order}

    def value(found: re.Match[str]) -> str:
        known = values.get(found[0])
        return found[0] if known is None else known

    return _PLACEHOLDER.sub(value, text)


def _place(replies: Replies, reply_id: str) -> int:
    for at, reply in enumerate(replies):
        if reply.id == reply_id:
            return at
    raise CommandError("unknown_quick_reply", reply_id=reply_id)


def _check_placeholders(text: str) -> None:
    """A mistyped placeholder must not reach a buyer. Raises CommandError `unknown_placeholder`."""
    for placeholder in _PLACEHOLDER.findall(text):
        if placeholder not in KNOWN:
            raise CommandError("unknown_placeholder", placeholder=placeholder, known=", ".join(KNOWN))


class QuickReplyBook:
    """The lists as they are kept. Every call may raise redis.exceptions.RedisError."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def read(self, who: Participant) -> tuple[Replies, Replies]:
        """The shop's list, and this person's own."""
        (_, shop), (_, own) = await self._scripts.run(_READ, [_key(who, "shop"), _key(who, "mine")], [])
        return _read(shop), _read(own)

    async def change(self, who: Participant, scope: Scope, change: Callable[[Replies], Replies]) -> Replies:
        """Change the shop's list or this person's own, and tell its other readers; the list then.

        Raises whatever `change` does, or CommandError `busy`: each time that it decided somebody else was quicker.
        """
        return await decide(lambda: self._change(who, scope, change))

    async def _change(self, who: Participant, scope: Scope, change: Callable[[Replies], Replies]) -> Replies:
        key = _key(who, scope)
        [(version, body)] = await self._scripts.run(_READ, [key], [])
        before = _read(body)
        after = change(before)
        if after == before:
            if await self._scripts.run(REWRITE, [key], ["v"]) != version:
                raise Stale
            return before
        channel = desk_channel(who.shop_id) if scope == "shop" else who.channel
        sign = encode({"type": "quick_replies", "scope": scope})
        if await self._scripts.run(_WRITE, [key], [version or 0, _REPLIES.dump_json(after), channel, sign]) == b"stale":
            raise Stale
        return after


def _key(who: Participant, scope: Scope) -> str:
    return desk_key(who.shop_id, f"quick:{'shop' if scope == 'shop' else f'{who.role}:{who.id}'}")


def _read(body: bytes | None) -> Replies:
    return _REPLIES.validate_json(body) if body else ()
