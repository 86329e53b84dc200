"""A conversation of one shop and one buyer: whose it is, and who may act in it."""

from functools import lru_cache

from bot.errors import CommandError
from bot.participant import STAFF, Participant, Role, desk_channel, live_channel
from cards.model import Instant, Model


class Conversation(Model):
    """One buyer's talk with one shop. Open and without an agent it waits for one; closed, for the buyer to write."""

    id: str
    shop_id: str
    buyer_id: str
    buyer_name: str
    agent_id: str | None = None
    agent_name: str | None = None
    open: bool = True
    opened: Instant

    @property
    def channels(self) -> list[str]:
        """Who hears of what happens here: the buyer, and the agent, or without one the whole desk."""
        buyer = live_channel(self.shop_id, Role.BUYER, self.buyer_id)
        if self.agent_id is None:
            return [buyer, desk_channel(self.shop_id)]
        return [buyer, live_channel(self.shop_id, Role.AGENT, self.agent_id)]

    def given_to(self, agent_id: str, agent_name: str) -> "Conversation":
        """The same conversation, open and in that agent's hands."""
        return self.model_copy(update={"agent_id": agent_id, "agent_name": agent_name, "open": True})

    def given_up(self, *, open: bool) -> "Conversation":
        """The same conversation without an agent: waiting for one, or closed."""
        return self.model_copy(update={"agent_id": None, "agent_name": None, "open": open})


@lru_cache(maxsize=4096)
def read_conversation(body: bytes) -> Conversation:
    """The conversation that is kept as `body`, which seldom changes."""
    return Conversation.model_validate_json(body)


def conversation_id(shop_id: str, buyer_id: str) -> str:
    """`<shop>.<buyer>`: there is one conversation for each."""
    return f"{shop_id}.{buyer_id}"


def buyer_of(conversation_id: str) -> str:
    """The buyer's id in a conversation's id."""
    return conversation_id.partition(".")[2]


def may_see(who: Participant, conversation_id: str) -> bool:
    """A buyer sees only their own conversation, agents and supervisors only their shop's."""
    shop_id, _, buyer_id = conversation_id.partition(".")
    mine = shop_id == who.shop_id and bool(buyer_id)
    return mine and (who.role in STAFF or (who.role is Role.BUYER and buyer_id == who.id))


def check_may_see(who: Participant, conversation_id: str) -> None:
    """Raises CommandError `unknown_conversation`: whether another's exists is nobody's business."""
    if not may_see(who, conversation_id):
        raise CommandError("unknown_conversation", conversation_id=conversation_id)


def check_current_agent(who: Participant, conversation: Conversation | None) -> Conversation:
    """Only the current agent acts (R12). Raises CommandError `unknown_conversation` or `not_current_agent`."""
    if conversation is None:
        raise CommandError("unknown_conversation")
    if who.role is not Role.AGENT or conversation.agent_id != who.id:
        raise CommandError("not_current_agent", agent_id=conversation.agent_id or "")
    return conversation
