"""A whole simulation: everybody comes, plays, and goes; then the evidence is judged."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from bot.client import CommandFailed
from bot.orders.base import OrderSystemAway
from bot.shopfile import ChangeRow, ShopFile
from bot.simulate.changes import play_changes
from bot.simulate.evidence import Evidence
from bot.simulate.gateways import GatewayFailed
from bot.simulate.mix import Answer, Mix
from bot.simulate.people import People
from bot.simulate.random_play import RandomPlay
from bot.simulate.read_back import read_back
from bot.simulate.report import Report, make_report
from bot.simulate.sightings import Sightings
from bot.simulate.stage import Stage, agent_ids
from bot.simulate.town import Town, Unplayable
from cards.rules import order_refusal

T = TypeVar("T")

LONGEST_IGNORED = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to play: the `rows` if there are any, else so many random `negotiations` by the `mix`.

    `two_devices` is a percentage of the buyers, `cuts` of the cards; see Negotiator for `patience`.
    """

    file: ShopFile
    rows: tuple[ChangeRow, ...] | None
    negotiations: int
    mix: Mix
    agents: int | None
    in_flight: int
    two_devices: int
    cuts: int
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
            cuts=plan.cuts,
            progress=progress,
        )
        evidence, seconds = await unless_broken(town, _play(plan, stage, buyer_ids))
    return make_report(evidence, sightings, seconds, plan.negotiations if plan.rows is None else None)


def _buyers(plan: Plan, chance: random.Random) -> list[str]:
    """Who plays: the buyers of the rows, or of as many orders that can change as could be needed."""
    if plan.rows is not None:
        known = {buyer.id for buyer in plan.file.buyers}
        for row in plan.rows:
            if row.buyer_id not in known:
                raise Unplayable(f"The change of order {row.order_id}: shop {plan.file.shop.id} has no such buyer.")
        return list(dict.fromkeys(row.buyer_id for row in plan.rows))
    able = [order.buyer_id for order in plan.file.orders if order_refusal(order.order(plan.file.shop.id)) is None]
    if not able:
        raise Unplayable(f"No order of shop {plan.file.shop.id} can change: it needs some that are unpaid or paid.")
    return list(dict.fromkeys(chance.sample(able, min(plan.negotiations, len(able)))))


async def _play(plan: Plan, stage: Stage, buyer_ids: list[str]) -> tuple[Evidence, float]:
    """The evidence, and how many seconds the cases took."""
    await stage.open(buyer_ids, plan.two_devices)
    if plan.rows is None and plan.mix.has(Answer.IGNORE) and stage.window > LONGEST_IGNORED:
        raise Unplayable(
            f"An ignored card would take {stage.window}, the gateways' own answer window: leave ignore out of "
            "--answers, or start the gateways with a shorter one (ASSENT_ANSWER_WINDOW=3)."
        )
    started = time.perf_counter()
    if plan.rows is not None:
        await play_changes(stage, plan.rows, plan.in_flight)
    else:
        able = {
            order_id: chat
            for chat in stage.chats.values()
            for order_id, order in chat.orders_before.items()
            if order["can_change"]
        }
        await RandomPlay(stage, plan.mix, able).play(plan.negotiations, plan.in_flight)
    seconds = time.perf_counter() - started
    return await read_back(stage), seconds


async def unless_broken(town: Town, playing: Coroutine[Any, Any, T]) -> T:
    """What it returns, unless one of the town's own gateways ends first, or the gateways don't do their part.

    Raises GatewayFailed, Unplayable.
    """
    play = asyncio.create_task(playing, name="play")
    failures = [asyncio.create_task(gateway.failure()) for gateway in town.gateways]
    try:
        await asyncio.wait([play, *failures], return_when=asyncio.FIRST_COMPLETED)
        for failure in failures:
            if failure.done():
                raise failure.result()
        return await play
    except* GatewayFailed as failed:
        raise _first(failed) from None
    except* (CommandFailed, ConnectionError, TimeoutError, OrderSystemAway) as failed:
        why = _first(failed)
        raise Unplayable(f"The gateways don't play: {why or 'no answer in time'} ({type(why).__name__})") from why
    finally:
        for task in (play, *failures):
            task.cancel()
        await asyncio.gather(play, *failures, return_exceptions=True)


def _first(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first failure of a group of groups."""
    one = failed.exceptions[0]
    return _first(one) if isinstance(one, BaseExceptionGroup) else one
