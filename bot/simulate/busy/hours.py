"""How busy a shop is to be, and how patient its people: the plan of a busy shop."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from bot.shopfile import Person, ShopFile
from bot.simulate.mix import Mix

ROOM = 1.2
"""How many conversations there is room for, for each buyer: enough that all have an agent when everybody is here."""


@dataclass(frozen=True, slots=True)
class Patience:
    """The gateways' settings that say how long something may take, much shorter than a shop's."""

    grace: timedelta = timedelta(seconds=3)
    lease: timedelta = timedelta(seconds=6)
    reply_warning: timedelta = timedelta(seconds=1.5)
    reply_overdue: timedelta = timedelta(seconds=3)
    remind_before: timedelta = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Hours:
    """What to play. `two_devices` is a percentage of the people, `cuts` of the cards; see Negotiator for `patience`.

    `late` is how much later than settings say something may happen before it counts as not done.
    """

    file: ShopFile
    buyers: int
    agents: int
    mix: Mix
    window: timedelta
    two_devices: int
    cuts: int
    kill_gateway: bool
    patience: timedelta
    seed: int
    agent_limit: int | None = None
    late: timedelta = timedelta(seconds=10)
    times: Patience = field(default_factory=Patience)

    @property
    def limit(self) -> int:
        """How many conversations an agent may have."""
        return self.agent_limit or -(-int(self.buyers * ROOM) // self.agents) or 1

    def environment(self) -> Mapping[str, str]:
        """The settings of the gateways that it is to be played through."""
        times = self.times
        return {
            "ASSENT_AGENT_LIMIT": str(self.limit),
            "ASSENT_AGENT_GRACE": str(times.grace.total_seconds()),
            "ASSENT_PRESENCE_LEASE": str(times.lease.total_seconds()),
            "ASSENT_REPLY_WARNING": str(times.reply_warning.total_seconds()),
            "ASSENT_REPLY_OVERDUE": str(times.reply_overdue.total_seconds()),
            "ASSENT_REMIND_BEFORE": str(times.remind_before.total_seconds()),
            "ASSENT_ANSWER_WINDOW": str(self.window.total_seconds()),
        }


def with_people(file: ShopFile, buyers: int, agents: int) -> ShopFile:
    """The shop with so many buyers and agents: the file's, buyers with orders first, then made-up ones."""
    shoppers = {order.buyer_id for order in file.orders}
    known = sorted(file.buyers, key=lambda buyer: buyer.id not in shoppers)
    return file.model_copy(
        update={
            "buyers": (*known, *_made_up(file.buyers, "buyer", buyers - len(known))),
            "agents": (*file.agents, *_made_up(file.agents, "agent", agents - len(file.agents))),
        }
    )


def _made_up(known: tuple[Person, ...], role: str, count: int) -> tuple[Person, ...]:
    taken = {person.id for person in known}
    numbers = (number for number in range(1, max(count, 0) + len(taken) + 1) if f"sim-{role}-{number}" not in taken)
    return tuple(
        Person(id=f"sim-{role}-{number}", name=f"Simulated {role} {number}")
        for number, _ in zip(numbers, range(count), strict=False)
    )
