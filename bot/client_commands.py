"""Every command of the protocol that a participant may send, as a method each; who carries them is another's matter."""

from abc import ABC, abstractmethod
from typing import Any

from bot.transcript import Frame, Transcript


class ClientCommands(Transcript, ABC):
    """What one can ask of a gateway, beside the transcript of what it told.

    Whatever returns a Frame that is no card and no quote returns the command's `ok`; its members beside `type`, `re`
    and, where it was written to the log, `seq` are named. Cards, quotes and orders are as `cards.card` renders them.
    Everything raises as `command` does.
    """

    @abstractmethod
    async def command(self, type: str, *, command_id: str | None = None, **members: Any) -> Frame:
        """Send any command, and return its `ok`. Raises whatever kept it from being one."""

    async def open(self, buyer_id: str) -> Frame:
        """An agent opens, or takes, the conversation with a buyer: `conversation`."""
        return await self.command("open", buyer_id=buyer_id)

    async def say(self, conversation_id: str, text: str) -> Frame:
        """Say something."""
        return await self.command("say", conversation_id=conversation_id, text=text)

    async def orders(self, conversation_id: str) -> list[Frame]:
        """The buyer's orders, newest first, each with its open `card` or None."""
        orders: list[Frame] = (await self.command("orders", conversation_id=conversation_id))["orders"]
        return orders

    async def quote(self, conversation_id: str, order_id: str) -> Frame:
        """What each SKU of each line of an order would mean."""
        quote: Frame = (await self.command("quote", conversation_id=conversation_id, order_id=order_id))["quote"]
        return quote

    async def preview(
        self, conversation_id: str, order_id: str, changes: list[Frame], *, waive_difference: bool = False
    ) -> Frame:
        """The card that the buyer would see if this were proposed."""
        sent = await self.command(
            "preview",
            conversation_id=conversation_id,
            order_id=order_id,
            changes=changes,
            waive_difference=waive_difference,
        )
        card: Frame = sent["card"]
        return card

    async def propose(
        self, conversation_id: str, order_id: str, changes: list[Frame], *, waive_difference: bool = False
    ) -> Frame:
        """Ask for a change: `changes` are `{line_id, to_sku}`, with `from_sku` if you like it checked.

        `proposal_id`, `state`, `version`, `deadline_ms`.
        """
        return await self.command(
            "propose",
            conversation_id=conversation_id,
            order_id=order_id,
            changes=changes,
            waive_difference=waive_difference,
        )

    async def answer(self, card: Frame, action: str, *, comment: str | None = None) -> Frame:
        """Click `agree` or `reject` on a card, as it is shown: members as of `propose`."""
        words = {} if comment is None else {"comment": comment}
        return await self.command(
            "answer",
            conversation_id=card["conversation_id"],
            proposal_id=card["proposal_id"],
            version=card["version"],
            action=action,
            **words,
        )

    async def withdraw(self, card: Frame) -> Frame:
        """Take a waiting card back: members as of `propose`."""
        return await self.command("withdraw", conversation_id=card["conversation_id"], proposal_id=card["proposal_id"])

    async def remind(self, card: Frame) -> Frame:
        """Remind the buyer of a waiting card."""
        return await self.command("remind", conversation_id=card["conversation_id"], proposal_id=card["proposal_id"])

    async def transfer(self, conversation_id: str, agent_id: str, *, reason: str | None = None) -> Frame:
        """Hand the conversation to a colleague: `conversation`."""
        return await self.command("transfer", conversation_id=conversation_id, agent_id=agent_id, reason=reason)

    async def close_conversation(self, conversation_id: str) -> Frame:
        """End the conversation, until the buyer writes again; not over a message of theirs that is not here yet.

        `conversation`.
        """
        return await self.command("close", conversation_id=conversation_id, seq=self.cursors.get(conversation_id))

    async def read(self, conversation_id: str, seq: int | None = None) -> Frame:
        """Everything up to `seq` (or all that is here) was read: `seq` (the mark), `unread`, `last_seq`."""
        seq = self.cursors[conversation_id] if seq is None else seq
        return await self.command("read", conversation_id=conversation_id, seq=seq)

    async def say_typing(self, conversation_id: str, active: bool = True) -> Frame:
        """Say that something is being written, or no longer."""
        return await self.command("typing", conversation_id=conversation_id, active=active)

    async def list_conversations(
        self, group: str | None = None, *, search: str | None = None, offset: int = 0, limit: int = 50
    ) -> Frame:
        """A page of the list: `conversations`, `counts` of the groups, `total`, `now_ms`."""
        return await self.command("conversations", group=group, search=search, offset=offset, limit=limit)

    async def agents(self) -> list[Frame]:
        """The shop's agents, those who are here first."""
        agents: list[Frame] = (await self.command("agents"))["agents"]
        return agents

    async def be(self, state: str) -> Frame:
        """Be `online`, or `suspended`: no new conversations. `state`."""
        return await self.command("status", state=state)

    async def waiting_cards(self) -> list[Frame]:
        """The open cards by time left: an agent's own, or for a supervisor the shop's."""
        cards: list[Frame] = (await self.command("waiting_cards"))["cards"]
        return cards

    async def stats(self, period: str = "day") -> Frame:
        """How the last `day` or `week` of negotiations went, for a supervisor: as `bot.stats.render_stats` says."""
        return await self.command("stats", period=period)

    async def missed(self, since_ms: int, *, limit: int = 200) -> Frame:
        """What happened in the agent's conversations since then: `entries` in order, `next_ms` to go on at, or None."""
        return await self.command("missed", since_ms=since_ms, limit=limit)

    async def quick_replies(self, *, conversation_id: str | None = None, order_id: str | None = None) -> Frame:
        """The quick replies, `shop` and `mine`, filled in if a conversation is given."""
        return await self.command("quick_replies", conversation_id=conversation_id, order_id=order_id)

    async def add_quick_reply(self, text: str, *, title: str = "", scope: str = "mine") -> Frame:
        """A new one, at the end: `scope`, and `replies`, the list as it is then. The three below answer so too."""
        return await self.command("add_quick_reply", scope=scope, title=title, text=text)

    async def edit_quick_reply(self, reply_id: str, text: str, *, title: str = "", scope: str = "mine") -> Frame:
        """Another title and text."""
        return await self.command("edit_quick_reply", scope=scope, reply_id=reply_id, title=title, text=text)

    async def delete_quick_reply(self, reply_id: str, *, scope: str = "mine") -> Frame:
        """One less."""
        return await self.command("delete_quick_reply", scope=scope, reply_id=reply_id)

    async def move_quick_reply(self, reply_id: str, position: int, *, scope: str = "mine") -> Frame:
        """Another place in the list, from 0."""
        return await self.command("move_quick_reply", scope=scope, reply_id=reply_id, position=position)

    async def history(self, conversation_id: str, *, before: int | None = None, limit: int = 50) -> Frame:
        """A page of the log: `conversation`, `entries` in rising order, `first_seq`, `last_seq`, `now_ms`."""
        return await self.command("history", conversation_id=conversation_id, before=before, limit=limit)
