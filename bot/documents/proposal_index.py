"""Which proposals a shop had lately: a superset, for whoever counts what became of them.

Law: a proposal is added before the commit that makes it, so the index may name one that never came to be, which its
reader drops for want of a document, and never lacks one that did. A proposal is kept by the last instant at which it
is known to have been open: it was made then, or it was added again then by a second look at what is open.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from bot.desk.keys import desk_key
from cards.model import to_ms
from scheduler.script import Script, Scripts

_INDEX = Script.beside(__file__, "proposal_index")

WEEK = timedelta(days=7)
"""The longest period that is counted."""
OPEN_UNSEEN = timedelta(days=2)
"""What settles later than this after it was last added may be missing.

A card is open for two hours by default; a consent waits as long as its order system is away (`applying`), without end.
Whatever is open longer stays exact if it is added again meanwhile."""
KEPT = WEEK + OPEN_UNSEEN

_PAGE = 1000
_REMOVED_AT_ONCE = 100


class ProposalIndex:
    """The proposals of each shop, for `KEPT`. Every call may raise redis.exceptions.RedisError."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def add(self, shop_id: str, conversation_id: str, proposal_id: str, created: datetime) -> None:
        """Note a proposal that is about to be made at `created`, or one that is still open at a later instant."""
        at = to_ms(created)
        await self._scripts.run(
            _INDEX,
            [_key(shop_id)],
            ["add", f"{conversation_id} {proposal_id}", at, to_ms(created - KEPT), _REMOVED_AT_ONCE],
        )

    async def remove(self, shop_id: str, conversation_id: str, proposal_ids: Sequence[str]) -> None:
        """These proposals of a conversation are removed; at least one, and a thousand at most."""
        members = [f"{conversation_id} {proposal_id}" for proposal_id in proposal_ids]
        await self._scripts.run(_INDEX, [_key(shop_id)], ["remove", *members])

    async def since(self, shop_id: str, instant: datetime) -> list[tuple[str, str]]:
        """(conversation, proposal) of all that were added at `instant` or later, in rising order, read in pages."""
        found: dict[tuple[str, str], None] = {}
        at, passed_over = to_ms(instant), 0
        while True:
            page = await self._scripts.run(_INDEX, [_key(shop_id)], ["since", at, passed_over, _PAGE])
            found.update(dict.fromkeys(map(_read, page[::2])))
            if len(page) < 2 * _PAGE:
                return list(found)
            # From the last instant once more, not from the page's length on: what is removed meanwhile moves the rest.
            last = int(float(page[-1]))
            at, passed_over = last, passed_over + _PAGE if last == at else 0


def _key(shop_id: str) -> str:
    return desk_key(shop_id, "proposals")


def _read(member: bytes) -> tuple[str, str]:
    conversation_id, _, proposal_id = member.decode().partition(" ")
    return conversation_id, proposal_id
