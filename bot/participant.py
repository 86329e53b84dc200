"""Who takes part: a person or service of one shop, as their token says."""

from enum import StrEnum

from bot.errors import CommandError
from cards.model import Id, Instant, Model


class Role(StrEnum):
    """What a participant may be: a shop's customer-service agent, their supervisor, a buyer, or the order system."""

    BUYER = "buyer"
    AGENT = "agent"
    SUPERVISOR = "supervisor"
    SERVICE = "service"


STAFF = frozenset({Role.AGENT, Role.SUPERVISOR})
"""The roles that see what a shop's agents see."""


class Participant(Model):
    """One person (or service) of one shop, until `expires`."""

    role: Role
    id: Id
    shop_id: Id
    name: str
    expires: Instant

    @property
    def channel(self) -> str:
        """The pub/sub channel of everything this person is told."""
        return live_channel(self.shop_id, self.role, self.id)


def check_agent(who: Participant) -> None:
    """Raises CommandError `agents_only` for anybody but an agent."""
    if who.role is not Role.AGENT:
        raise CommandError("agents_only")


def check_staff(who: Participant) -> None:
    """Raises CommandError `agents_only` for anybody but an agent or a supervisor."""
    if who.role not in STAFF:
        raise CommandError("agents_only")


def live_channel(shop_id: str, role: Role, person_id: str) -> str:
    """The pub/sub channel of one person."""
    return f"live:{shop_id}:{role}:{person_id}"


def desk_channel(shop_id: str) -> str:
    """The pub/sub channel that every agent of a shop hears: conversations that nobody has, or that somebody took."""
    return f"desk:{shop_id}"
