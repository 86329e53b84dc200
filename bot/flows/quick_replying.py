"""Quick replies: who may read and keep which list, and what they say in a conversation."""

import asyncio
from collections.abc import Callable
from typing import Any

from bot.conversation import check_may_see
from bot.documents.quick_replies import QuickReply, QuickReplyBook, Replies, add, delete, edit, fill, move
from bot.errors import CommandError
from bot.flows.deciding import Parts
from bot.frames import AddQuickReply, DeleteQuickReply, EditQuickReply, MoveQuickReply, QuickReplies
from bot.participant import Participant, Role, check_staff

ChangeQuickReplies = AddQuickReply | EditQuickReply | DeleteQuickReply | MoveQuickReply


class QuickReplying:
    """The shop's quick replies, which its supervisors keep, and those that agents and supervisors have of their own."""

    def __init__(self, parts: Parts, book: QuickReplyBook) -> None:
        self._parts = parts
        self._book = book

    async def read(self, who: Participant, command: QuickReplies) -> dict[str, Any]:
        """`{"shop": […], "mine": […]}`, each reply as `{id, title, text}`.

        For a conversation each has also `filled`: the text with the buyer's name, and the order's number if it is
        given. Raises CommandError `agents_only`, `unknown_conversation`.
        """
        check_staff(who)
        if command.conversation_id is None:
            shop, mine = await self._book.read(who)
            return {"shop": _render(shop), "mine": _render(mine)}
        check_may_see(who, command.conversation_id)
        loaded, (shop, mine) = await asyncio.gather(self._parts.load(command.conversation_id), self._book.read(who))
        if loaded.conversation is None:
            raise CommandError("unknown_conversation", conversation_id=command.conversation_id)
        buyer, order = loaded.conversation.buyer_name, command.order_id
        return {"shop": _render_filled(shop, buyer, order), "mine": _render_filled(mine, buyer, order)}

    async def change(self, who: Participant, command: ChangeQuickReplies) -> dict[str, Any]:
        """`{"scope", "replies": [{id, title, text}]}`: the list as it is then.

        Raises CommandError `agents_only`, `supervisor_only`, `unknown_quick_reply`, `too_many_quick_replies`,
        `unknown_placeholder`, `busy`.
        """
        check_staff(who)
        if command.scope == "shop" and who.role is not Role.SUPERVISOR:
            raise CommandError("supervisor_only")
        replies = await self._book.change(who, command.scope, _change_of(command))
        return {"scope": command.scope, "replies": _render(replies)}


def _change_of(command: ChangeQuickReplies) -> Callable[[Replies], Replies]:
    """What the command does to a list. A new reply's id is the command's, so a repeated command adds it once."""
    match command:
        case AddQuickReply():
            id = command.id.lower().replace("-", "")
            return lambda replies: add(replies, QuickReply(id=id, title=command.title, text=command.text))
        case EditQuickReply():
            edited = QuickReply(id=command.reply_id, title=command.title, text=command.text)
            return lambda replies: edit(replies, edited)
        case DeleteQuickReply():
            return lambda replies: delete(replies, command.reply_id)
        case MoveQuickReply():
            return lambda replies: move(replies, command.reply_id, command.position)


def _render(replies: Replies) -> list[dict[str, Any]]:
    return [reply.model_dump() for reply in replies]


def _render_filled(replies: Replies, buyer: str, order: str | None) -> list[dict[str, Any]]:
    return [{**reply.model_dump(), "filled": fill(reply.text, buyer=buyer, order=order)} for reply in replies]
