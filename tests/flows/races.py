"""Two things that happen to one card at once, each on a gateway of its own, and what everybody was told of it."""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import timedelta

from bot.client import ChatClient, CommandFailed, Frame
from bot.flows.timer_ids import expiry_of
from bot.orders.base import OrderEvent, OrderEventKind
from cards.model import from_ms
from tests.flows.crossing import Crossing
from tests.flows.scene import Scene
from tests.flows.town import Gateway, Town

OUTCOME = {
    "agree": "agreed",
    "reject": "rejected",
    "withdraw": "withdrawn",
    "expire": "timed_out",
    "invalidate": "invalid",
}

MACHINES = ("expire", "invalidate")


@dataclass
class Told:
    """What people saw in the end: the card's states in order, and what became of both commands and of the order.

    `agent` is the conversation's last one. `notices` are (code, whether it was for whoever was the agent just then).
    `former_agent` is whether the one before saw what was decided until they left, and no more.
    """

    buyer: list[str]
    agent: list[str]
    notices: list[tuple[str, bool]]
    former_agent: bool
    agent_id: str
    answers: tuple[str, str]
    skus: list[str]


def expected(first: str, second: str) -> Told:
    """What people must be told when both decided on the waiting card, and `first` commits before `second`."""
    settler: str | None = first
    answers = ["ok", "ok" if second == "transfer" else "too late"]
    if "expire" in (first, second):
        # Whatever was decided in time comes too late to be committed.
        settler = "expire"
        answers = ["ok" if what == "transfer" else "too late" for what in (first, second)]
    elif first == "transfer":
        # Nobody gives away, or takes back, what is no longer theirs.
        given = second in ("transfer", "withdraw")
        settler, answers = (None, ["ok", "not_current_agent"]) if given else (second, ["ok", "ok"])
    end = [OUTCOME[settler]] if settler else []
    if settler == "agree":
        # The order of an `invalidate` has really moved, so that the consent finds it shipped.
        end = ["applying", "invalid" if second == "invalidate" else "agreed"]
    said = ["ok" if what in MACHINES else answer for what, answer in zip((first, second), answers, strict=True)]
    return Told(
        buyer=["pending", *end],
        agent=["pending", *end],
        notices=[(end[-1], True)] if end and settler != "withdraw" else [],
        former_agent=True,
        agent_id="ahe" if "transfer" in (first, second) else "xiaoyu",
        answers=(said[0], said[1]),
        skus=["white-s" if end[-1:] == ["agreed"] else "white-m"],
    )


async def meet(town: Town, first: str, second: str, *, patience: float = 15) -> Told:
    """Let both decide on a waiting card, then `first` commit before `second`; what people were told when all is over.

    `patience` is how long (s) people may take to see the end of the log.
    """
    window = timedelta(milliseconds=400) if "expire" in (first, second) else timedelta(hours=2)
    scene = await town.scene(timers=False, events=False, answer_window=window)
    colleague = await town.agent("ahe")
    card = await scene.propose()
    if "invalidate" in (first, second):
        await scene.shop.move(town.shop_id, scene.order_id("paid"), "ship")
    Crossing([gateway.house.store for gateway in town.gateways])
    both = [happen(scene, card, what, at) for what, at in zip((first, second), town.gateways, strict=True)]
    answers = await asyncio.gather(*both)
    await scene.settled_work()
    return await _told(scene, card, colleague, answers, patience)


async def happen(scene: Scene, card: Frame, what: str, at: Gateway) -> str:
    """Let one thing happen to the card through that gateway; how it was answered."""
    town = scene.town
    try:
        match what:
            case "agree" | "reject":
                await (await town.buyer(on=at)).answer(card, what)
            case "withdraw":
                await (await town.agent(on=at)).withdraw(card)
            case "transfer":
                await (await town.agent(on=at)).transfer(scene.conversation_id, "ahe")
            case "expire":
                await scene.deadline_passed(card)
                timer = expiry_of(scene.conversation_id, card["proposal_id"])
                await at.house.timer_fired(timer, from_ms(card["deadline_ms"]))
            case "invalidate":
                await at.house.order_event(await shipped(scene))
    except CommandFailed as failed:
        settled = failed.card is not None and not failed.card["buttons"]
        return "too late" if settled and failed.code == "already_settled" else failed.code
    return "ok"


async def shipped(scene: Scene) -> OrderEvent:
    """What the shop tells of an order that was shipped just now."""
    order = await scene.order()
    kind = OrderEventKind.ORDER_SHIPPED
    return OrderEvent(
        shop_id=order.shop_id, order_id=order.id, buyer_id=order.buyer_id, kind=kind, version=order.version
    )


async def _told(scene: Scene, card: Frame, colleague: ChatClient, answers: list[str], patience: float) -> Told:
    agent_id = (await scene.buyer.history(scene.conversation_id))["conversation"]["agent_id"]
    agent = colleague if agent_id == "ahe" else scene.agent
    with contextlib.suppress(TimeoutError):  # whoever is not told has seen less than what happened
        await scene.caught_up(scene.buyer, agent, limit=patience)
    log = scene.log(agent)
    left = next((entry["seq"] for entry in log if entry.get("system", {}).get("code") == "transferred"), None)
    if left is not None:
        await scene.agent.wait_for(lambda: scene.agent.cursors[scene.conversation_id] >= left, patience)
    return Told(
        buyer=scene.states(scene.buyer, card),
        agent=scene.states(agent, card),
        notices=[
            (
                entry["notice"]["code"],
                entry["notice"]["agent_id"] == ("ahe" if left and entry["seq"] > left else "xiaoyu"),
            )
            for entry in log
            if "notice" in entry
        ],
        former_agent=[entry["seq"] for entry in scene.log(scene.agent)]
        == [entry["seq"] for entry in log if left is None or entry["seq"] <= left],
        agent_id=agent_id,
        answers=(answers[0], answers[1]),
        skus=await scene.skus(),
    )
