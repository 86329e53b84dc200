"""How a conversation stands, as one item of a list: made from the document, the marks and the last line.

Law: an item holds what was true at its `seq`; with the entries after it, it is the item as it is now.
"""

from typing import Any

from bot.conversation import Conversation
from bot.documents.store import LoggedEntry, Overview
from bot.entry import read_entry, render_conversation, render_entry
from bot.list_item import line_of
from bot.marks import Marks, OpenCard
from cards.card import Audience
from cards.model import to_ms
from cards.texts import Locale


def group_of(conversation: Conversation, marks: Marks) -> str | None:
    """待回复 `to_reply`, 进行中 `in_progress`, 未分配 `unassigned`; None: it is closed."""
    if not conversation.open:
        return None
    if conversation.agent_id is None:
        return "unassigned"
    return "to_reply" if marks.asked else "in_progress"


def render_overview(overview: Overview, audience: Audience, locale: Locale) -> dict[str, Any]:
    """The item: the conversation, how it stands, and its last line."""
    return {
        **render_conversation(overview.conversation),
        "seq": overview.seq,
        **render_marks(overview.conversation, overview.marks, audience),
        "line": line_of(render_logged(overview.line, audience, locale)) if overview.line else None,
    }


def render_marks(conversation: Conversation, marks: Marks, audience: Audience) -> dict[str, Any]:
    """Who has read how far, what is unread, which cards are open; for agents since when a reply is waited for."""
    item: dict[str, Any] = {
        "unread": marks.unread.get(audience, 0),
        "read": dict(marks.read),
        "cards": [render_open_card(card) for card in marks.cards],
    }
    if audience == "agent":
        item["group"] = group_of(conversation, marks)
        item["asked_ms"] = to_ms(marks.asked) if marks.asked else None
        item["overdue"] = marks.overdue
    return item


def render_open_card(card: OpenCard) -> dict[str, Any]:
    """An open card in a list: when it ends, and of which order it speaks."""
    return {
        "proposal_id": card.proposal_id,
        "order_id": card.order_id,
        "state": card.state.value,
        "deadline_ms": to_ms(card.deadline),
    }


def render_logged(entry: LoggedEntry, audience: Audience, locale: Locale) -> dict[str, Any]:
    """An entry of the log: `seq`, `at_ms`, and the parts that this audience sees."""
    return {"seq": entry.seq, "at_ms": entry.at_ms, **render_entry(read_entry(entry.body), audience, locale)}
