"""How old a conversation and its settled proposals are, and their removal.

Law: what is removed is settled. A conversation goes whole, and only as it was when that was decided: of the same
version and last entry, and without an open card.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.conversation import Conversation, read_conversation
from bot.documents.store import chat_key
from cards.model import from_ms, to_ms
from scheduler.script import Script, Scripts

_AGE = Script.beside(__file__, "age")
_REMOVE = Script.beside(__file__, "remove")

AT_ONCE = 100
"""Settled proposals that are read, and removed, in one step, so that nobody has to wait for all."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A proposal with its outcome, and when that was committed."""

    proposal_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Age:
    """One reading of a conversation, at `now` on the server's clock.

    `active` is when the newest entry came. `settled` are the longest settled proposals, of `settled_count`.
    """

    now: datetime
    conversation: Conversation
    version: int
    seq: int
    open_cards: int
    active: datetime
    settled_count: int
    settled: tuple[Settled, ...]


class Keeping:
    """Reads and removes. Every call may raise redis.exceptions.RedisError."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def age(self, conversation_id: str) -> Age | None:
        """How old it is; None: there is no such conversation."""
        chat = chat_key(conversation_id)
        reading = await self._scripts.run(_AGE, [chat, f"{chat}:log", f"{chat}:settled"], [AT_ONCE])
        if reading is None:
            return None
        now_ms, (version, body, seq, cards), active_ms, count, flat = reading
        conversation = read_conversation(body)
        return Age(
            now=from_ms(now_ms),
            conversation=conversation,
            version=int(version),
            seq=int(seq or 0),
            open_cards=int(cards or 0),
            active=from_ms(active_ms) if active_ms else conversation.opened,
            settled_count=count,
            settled=tuple(Settled(id.decode(), from_ms(int(ms))) for id, ms in zip(flat[::2], flat[1::2], strict=True)),
        )

    async def remove(self, age: Age, proposal_ids: Sequence[str], *, conversation: bool) -> bool:
        """Remove these settled proposals and perhaps the conversation; False: that is no longer as it was read.

        Then nothing was removed. With the conversation all its settled proposals must be named.
        """
        chat = chat_key(age.conversation.id)
        keys = [chat, f"{chat}:settled", f"{chat}:log", f"{chat}:replies"]
        for id in proposal_ids:
            keys += (f"{chat}:proposal:{id}", f"{chat}:proposal:{id}:late")
        as_read = (age.version, age.seq, to_ms(age.active)) if conversation else ("", "", "")
        return bool(await self._scripts.run(_REMOVE, keys, [*as_read, *proposal_ids]))
