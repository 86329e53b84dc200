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
from cards.proposal import Proposal
from cards.texts import Locale


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
    """The parts that this audience sees, in its language: `text`, `card`, `notice`, `system`, `conversation`."""
    parts: dict[str, Any] = {}
    if entry.text is not None and entry.author is not None:
        parts["text"] = {"by": entry.author.model_dump(mode="json"), "text": entry.text}
    if entry.card is not None:
        parts["card"] = render(entry.card, audience, locale)
        if entry.notice is not None and audience == "agent":
            parts["notice"] = {**render_notice(entry.notice, entry.card, locale), "agent_id": entry.notice_to}
    if entry.system is not None:
        params = entry.params or {}
        text = TEXTS.text(f"system.{entry.system}.{audience}", locale, **params)
        parts["system"] = {"code": entry.system, "text": text, **params}
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
    }
