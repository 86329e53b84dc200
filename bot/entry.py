"""One item of a conversation's log: neutral data, rendered for one audience and locale.

Law: one entry for each decision, holding what each audience sees of it; an entry with nothing for an audience reaches
it as a bare seq, so that both sides count without holes.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from bot.conversation import Conversation
from bot.errors import TEXTS
from bot.participant import Participant, Role
from cards.card import Audience, render, render_notice
from cards.model import Model
from cards.proposal import Proposal, State
from cards.texts import Locale

UNREAD_FLAG: Mapping[Audience, str] = {"agent": "a", "buyer": "b"}
"""How a log says that an entry is unread for a side until they have read it."""
_LINE_FLAG = "l"

_UNREAD_SYSTEM = {"reminded": "b", "near_deadline": "ab"}
"""System lines that ask for attention, by whom; the others only say what happened."""


class Author(Model):
    """Who said it."""

    role: Role
    id: str
    name: str

    @classmethod
    def of(cls, who: Participant) -> "Author":
        """The author that a participant is."""
        return cls(role=who.role, id=who.id, name=who.name)


class Entry(Model):
    """What one decision put into the log; every part is optional."""

    author: Author | None = None
    text: str | None = None
    card: Proposal | None = None
    notice: str | None = None
    notice_to: str | None = None
    system: str | None = None
    params: Mapping[str, str] | None = None
    conversation: Conversation | None = None

    @property
    def flags(self) -> str:
        """For whom it is unread (UNREAD_FLAG), and whether it is a line that the list of conversations shows."""
        by = self.author.role if self.author else None
        if self.card is not None:
            for_buyer = by is not Role.BUYER and self.card.state is not State.APPLYING
            return f"{'a' if self.notice else ''}{'b' if for_buyer else ''}{_LINE_FLAG}"
        if self.text is not None:
            return ("a" if by is Role.BUYER else "b") + _LINE_FLAG
        return _UNREAD_SYSTEM.get(self.system or "", "")

    def to_json(self) -> str:
        """The entry as it is kept."""
        return self.model_dump_json(exclude_defaults=True)


@lru_cache(maxsize=2048)
def read_entry(body: bytes) -> Entry:
    """The entry that a log keeps as `body`; several sessions, audiences and locales read it at about the same time."""
    return Entry.model_validate_json(body)


@lru_cache(maxsize=4096)
def encode_parts(body: bytes, audience: Audience, locale: Locale) -> bytes:
    """The parts of an entry that this audience sees, as a JSON object: made once, however many sessions it goes to."""
    return orjson.dumps(render_entry(read_entry(body), audience, locale))


def render_entry(entry: Entry, audience: Audience, locale: Locale) -> dict[str, Any]:
    """The parts that this audience sees, in its language: `text`, `card`, `notice`, `system`, `conversation`.

    `unread` is there (true) where it asks for this audience's attention.
    """
    parts: dict[str, Any] = {"unread": True} if UNREAD_FLAG[audience] in entry.flags else {}
    if entry.text is not None and entry.author is not None:
        parts["text"] = {"by": entry.author.model_dump(mode="json"), "text": entry.text}
    if entry.card is not None:
        parts["card"] = render(entry.card, audience, locale)
    params = entry.params or {}
    if entry.notice is not None and audience == "agent":
        if entry.card is not None:
            notice = render_notice(entry.notice, entry.card, locale)
        else:
            notice = {
                "code": entry.notice,
                "text": TEXTS.text(f"notice.{entry.notice}.agent", locale, **params),
                **params,
            }
        parts["notice"] = {**notice, "agent_id": entry.notice_to}
    if entry.system is not None:
        text = TEXTS.text(f"system.{entry.system}.{audience}", locale, **params)
        shown = {name: value for name, value in params.items() if audience == "agent" or name != "reason"}
        parts["system"] = {"code": entry.system, "text": text, **shown}
    if entry.conversation is not None:
        parts["conversation"] = render_conversation(entry.conversation)
    return parts


def render_conversation(conversation: Conversation) -> dict[str, Any]:
    """A conversation as both sides see it."""
    return {
        "conversation_id": conversation.id,
        "buyer_id": conversation.buyer_id,
        "buyer_name": conversation.buyer_name,
        "agent_id": conversation.agent_id,
        "agent_name": conversation.agent_name,
        "open": conversation.open,
    }
