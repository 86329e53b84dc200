"""A whole simulation: everybody comes, plays, and goes; then the evidence is judged."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from bot.client import CommandFailed
from bot.shopfile import ChangeRow, ShopFile
from bot.simulate.changes import play_changes
from bot.simulate.evidence import Evidence
from bot.simulate.mix import Answer, Mix
from bot.simulate.people import People
from bot.simulate.random_play import RandomPlay
from bot.simulate.read_back import read_back
from bot.simulate.report import Report, make_report
from bot.simulate.sightings import Sightings
from bot.simulate.stage import Stage, agent_ids
from bot.simulate.town import Town
from cards.rules import CHANGEABLE, order_refusal

LONGEST_IGNORED = timedelta(minutes=1)


class Unplayable(Exception):
    """The simulation can't be played as asked; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to play: the `rows` if there are any, else so many random `negotiations` by the `mix`.

    `two_devices` is a percentage of the buyers; `patience` is how long after its deadline a card is waited for.
    """

    file: ShopFile
    rows: tuple[ChangeRow, ...] | None
    negotiations: int
    mix: Mix
    agents: int | None
    in_flight: int
    two_devices: int
    patience: timedelta
    seed: int

    @property
    def cases(self) -> int:
        """How many times progress will be told."""
        return self.negotiations if self.rows is None else len(self.rows)


async def simulate(plan: Plan, town: Town, progress: Callable[[], None]) -> Report:
    """Play the plan in that town and judge it. Raises Unplayable, GatewayFailed, ConnectionError, TimeoutError."""
    chance = random.Random(plan.seed)
    agents = agent_ids(plan.file, plan.agents)
    if plan.rows is None and plan.mix.has(Answer.TRANSFER) and len(agents) < 2:
        raise Unplayable("A transfer needs two agents: give --agents 2.")
    buyer_ids = _buyers(plan, chance)
    sightings = Sightings()
    async with People(town.urls, town.secret, plan.file, sightings) as people:
        stage = Stage(
            town,
            plan.file,
            people,
            sightings,
            agents=agents,
            chance=chance,
            patience=plan.patience,
            progress=progress,
        )
        evidence, seconds = await _unless_broken(town, _play(plan, stage, buyer_ids))
    return make_report(evidence, sightings, seconds, plan.negotiations if plan.rows is None else None)
