"""Cards that wait, the agents, the numbers; and the supervisor, who sees the whole shop and acts in no conversation."""

import typing
from datetime import timedelta

import pytest

from bot import frames
from bot.client import ChatClient, Frame
from bot.participant import Role
from tests.flows.answers import answer_to
from tests.flows.line import Line
from tests.flows.scene import Scene
from tests.flows.town import Town

pytestmark = pytest.mark.usefixtures("short_leave")

SHOP = "nanshan"


async def second(scene: Scene, agent: ChatClient, buyer_id: str = "chen-mo") -> Scene:
    """Another conversation of the same town."""
    buyer = await scene.town.buyer(buyer_id, on=scene.town.gateways[0])
    await agent.open(buyer_id)
    return Scene(scene.town, f"{SHOP}.{buyer_id}", buyer_id, agent, buyer)


def orders(cards: list[Frame]) -> list[tuple[str, str]]:
    """Which order each card speaks of, and its state."""
    return [(card["order_id"], card["state"]) for card in cards]


async def test_an_agents_open_cards_come_by_time_left(town: Town) -> None:
    """Over all conversations; a card that ended is gone, one that is carried out is still there."""
    line = Line()
    scene = await town.scene(orders=line.to)
    other = await second(scene, scene.agent)
    first = await scene.propose("paid")
    await other.propose("unpaid")
    third = await scene.propose("two-lines")
    last = await other.propose("paid")

    cards = await scene.agent.waiting_cards()
    assert orders(cards) == [
        (f"{name}", "pending") for name in ("lin-wan-paid", "chen-mo-unpaid", "lin-wan-two-lines", "chen-mo-paid")
    ]
    assert [card["deadline_ms"] for card in cards] == sorted(card["deadline_ms"] for card in cards)
    assert cards[0] == {
        "proposal_id": first["proposal_id"],
        "order_id": "lin-wan-paid",
        "state": "pending",
        "deadline_ms": first["deadline_ms"],
        "conversation_id": scene.conversation_id,
        "buyer_id": "lin-wan",
        "buyer_name": "林晚",
        "agent_id": "xiaoyu",
        "agent_name": "小雨",
        "open": True,
    }

    await scene.buyer.answer(first, "reject")
    await scene.agent.withdraw(last)
    line.away = True
    await scene.buyer.answer(third, "agree")
    assert orders(await scene.agent.waiting_cards()) == [
        ("chen-mo-unpaid", "pending"),
        ("lin-wan-two-lines", "applying"),
    ]


async def test_agents_have_their_own_cards_and_the_supervisor_all(scene: Scene) -> None:
    town = scene.town
    colleague = await town.agent("ahe", on=town.gateways[1])
    boss = await town.person(Role.SUPERVISOR, "boss", on=town.gateways[1])
    other = await second(scene, colleague)
    await other.propose("paid")
    await scene.propose("paid")
    await other.propose("unpaid")

    assert orders(await scene.agent.waiting_cards()) == [("lin-wan-paid", "pending")]
    assert orders(await colleague.waiting_cards()) == [("chen-mo-paid", "pending"), ("chen-mo-unpaid", "pending")]
    assert [(card["order_id"], card["agent_id"]) for card in await boss.waiting_cards()] == [
        ("chen-mo-paid", "ahe"),
        ("lin-wan-paid", "xiaoyu"),
        ("chen-mo-unpaid", "ahe"),
    ]
    await scene.agent.transfer(scene.conversation_id, "ahe")
    assert await scene.agent.waiting_cards() == []
    assert len(await colleague.waiting_cards()) == 3


async def test_cards_of_conversations_that_wait_are_the_supervisors_too(town: Town) -> None:
    """Seen to fail with the agents' conversations alone: the card of an absent agent's buyer was nowhere."""
    scene = await town.scene(agent_grace=timedelta(milliseconds=1))
    boss = await town.person(Role.SUPERVISOR, "boss")
    card = await scene.propose()
    await scene.buyer.say(scene.conversation_id, "人呢")
    await scene.agent.aclose()
    await boss.wait_for(lambda: scene.conversation_id in boss.waiting, 5)
    (waiting,) = await boss.waiting_cards()
    assert (waiting["proposal_id"], waiting["agent_id"], waiting["open"]) == (card["proposal_id"], None, True)


async def test_the_numbers_are_what_was_played(town: Town) -> None:
    """One of each outcome and one that is open, by two agents; counted through the other gateway."""
    scene = await town.scene()
    colleague = await town.agent("ahe", on=town.gateways[1])
    boss = await town.person(Role.SUPERVISOR, "boss", on=town.gateways[1])
    other = await second(scene, colleague)
    agreed = await scene.propose("paid")
    await scene.buyer.answer(agreed, "agree")
    await scene.sees(scene.agent, agreed, "agreed")
    rejected = await scene.propose("unpaid")
    await scene.buyer.answer(rejected, "reject")
    await other.agent.withdraw(await other.propose("unpaid"))
    invalid = await other.propose("paid")
    await scene.shop.move(SHOP, "chen-mo-paid", "ship")
    await other.sees(other.buyer, invalid, "invalid")
    await other.propose("two-lines")
    took = {card["proposal_id"]: await answer_ms(scene, card) for card in (agreed, rejected)}

    stats = await boss.stats()

    none = dict.fromkeys(("agreed", "rejected", "timed_out", "invalid", "withdrawn"), 0)
    assert stats["outcomes"] == {**none, "agreed": 1, "rejected": 1, "withdrawn": 1, "invalid": 1}
    assert (stats["open"], stats["consent_rate"]) == (1, 0.5)
    assert stats["median_answer_ms"] == int(sum(took.values()) / 2)
    assert stats["period"] == "day"
    assert stats["to_ms"] - stats["from_ms"] == 24 * 3600 * 1000
    hours = stats["by_hour"]
    assert {code: sum(hour["outcomes"][code] for hour in hours) for code in none} == stats["outcomes"]
    assert [(one["agent_id"], one["open"], one["consent_rate"], one["outcomes"]) for one in stats["by_agent"]] == [
        ("ahe", 1, None, {**none, "withdrawn": 1, "invalid": 1}),
        ("xiaoyu", 0, 0.5, {**none, "agreed": 1, "rejected": 1}),
    ]
    week = await boss.stats("week")
    assert (week["period"], week["outcomes"], week["open"]) == ("week", stats["outcomes"], 1)


async def answer_ms(scene: Scene, card: Frame) -> int:
    """How long the buyer took for a card, as its document says."""
    store = scene.town.gateways[0].house.store
    (proposal,) = (await store.load(card["conversation_id"], proposals=(card["proposal_id"],))).proposals
    assert proposal is not None
    assert proposal.answered is not None
    return (proposal.answered - proposal.created) // timedelta(milliseconds=1)


async def test_a_card_that_times_out_moves_from_open_to_its_outcome(town: Town) -> None:
    scene = await town.scene(answer_window=timedelta(milliseconds=700))
    boss = await town.person(Role.SUPERVISOR, "boss")
    card = await scene.propose()
    before = await boss.stats()
    await scene.sees(scene.buyer, card, "timed_out")
    after = await boss.stats()
    assert (before["open"], before["outcomes"]["timed_out"], before["consent_rate"]) == (1, 0, None)
    assert (after["open"], after["outcomes"]["timed_out"], after["consent_rate"]) == (0, 1, 0.0)


async def test_only_supervisors_see_the_numbers(scene: Scene) -> None:
    for client in (scene.agent, scene.buyer):
        assert await answer_to(client.stats()) == "supervisor_only"


async def test_other_shops_numbers_and_cards_are_their_own(scene: Scene) -> None:
    await scene.propose()
    token = scene.town.token(Role.SUPERVISOR, "boss", shop_id="beihai")
    async with ChatClient(scene.town.gateways[0].url, token) as stranger:
        assert await stranger.waiting_cards() == []
        assert (await stranger.stats())["open"] == 0
        assert await stranger.agents() == []
        assert await answer_to(stranger.history(scene.conversation_id)) == "unknown_conversation"
        assert await answer_to(stranger.orders(scene.conversation_id)) == "unknown_conversation"


async def test_the_agents_with_their_states_and_counts(town: Town) -> None:
    scene = await town.scene(agent_limit=7)
    boss = await town.person(Role.SUPERVISOR, "boss", on=town.gateways[1])
    colleague = await town.agent("ahe", on=town.gateways[1])
    await second(scene, scene.agent)

    def states(agents: list[Frame]) -> list[tuple[str, str, int]]:
        return [(agent["id"], agent["state"], agent["conversations"]) for agent in agents]

    assert states(await boss.agents()) == [("xiaoyu", "online", 2), ("ahe", "online", 0)]
    assert {agent["limit"] for agent in await boss.agents()} == {7}
    await colleague.be("suspended")
    await boss.wait_for(lambda: boss.presence.get(("agent", "ahe")) == "suspended", 5)
    await scene.agent.transfer(scene.conversation_id, "ahe")
    assert states(await scene.agent.agents()) == [("xiaoyu", "online", 1), ("ahe", "suspended", 1)]
    await scene.agent.aclose()
    await boss.wait_for(lambda: boss.presence.get(("agent", "xiaoyu")) == "offline", 5)
    away, here = sorted(await boss.agents(), key=lambda agent: agent["id"], reverse=True)
    assert (await boss.agents())[0]["id"] == "ahe"  # who is here comes first
    assert (away["state"], away["name"], away["conversations"]) == ("offline", "小雨", 1)
    assert 0 < away["left_ms"] <= await scene.now_ms()
    assert (here["state"], here["left_ms"]) == ("suspended", None)


async def test_a_supervisor_sees_every_conversation(scene: Scene) -> None:
    town = scene.town
    boss = await town.person(Role.SUPERVISOR, "boss", on=town.gateways[1])
    assert [item["conversation_id"] for item in boss.welcome["conversations"]] == [scene.conversation_id]
    assert (boss.welcome["waiting"], "missed" in boss.welcome) == ([], False)
    await scene.buyer.say(scene.conversation_id, "想换个颜色")
    card = await scene.propose()
    await scene.caught_up()

    page = await boss.history(scene.conversation_id)
    assert page["entries"] == (await scene.agent.history(scene.conversation_id))["entries"]
    listed = await boss.list_conversations()
    assert listed["counts"] == {"to_reply": 0, "in_progress": 1, "unassigned": 0}
    assert listed["conversations"] == (await scene.agent.list_conversations())["conversations"]
    assert len(await boss.orders(scene.conversation_id)) == 5
    assert [item["buyer_id"] for item in (await boss.list_conversations(search="林晚"))["conversations"]] == ["lin-wan"]
    assert card["proposal_id"] in {entry["card"]["proposal_id"] for entry in page["entries"] if "card" in entry}


async def test_a_supervisor_hears_the_desk(town: Town) -> None:
    """Who waits, who gets whom and what is closed, without having asked.

    Seen to fail with a client that keeps only what it knew at its welcome.
    """
    scene = await town.scene()
    boss = await town.person(Role.SUPERVISOR, "boss", on=town.gateways[1])
    await scene.agent.be("suspended")
    buyer, id = await town.buyer("chen-mo", on=town.gateways[0]), f"{SHOP}.chen-mo"
    await buyer.say(id, "在吗")
    await boss.wait_for(lambda: id in boss.waiting, 5)
    assert id not in boss.conversations
    await scene.agent.open("chen-mo")
    await boss.wait_for(lambda: boss.conversations.get(id, {}).get("agent_id") == "xiaoyu", 5)
    assert boss.waiting == {}
    await scene.agent.close_conversation(id)
    await boss.wait_for(lambda: not boss.conversations[id]["open"], 5)
    colleague = await town.agent("ahe")
    await boss.wait_for(lambda: boss.presence.get(("agent", "ahe")) == "online", 5)
    await colleague.aclose()
    await boss.wait_for(lambda: boss.presence.get(("agent", "ahe")) == "offline", 5)
    assert boss.violations == []


ACTS = {
    "open": ({"buyer_id": "chen-mo"}, "agents_only"),
    "say": ({"text": "我是主管"}, "agents_only"),
    "propose": (
        {"order_id": "lin-wan-unpaid", "changes": [{"line_id": "1", "to_sku": "white-s"}]},
        "agents_only",
    ),
    "answer": ({"version": 1, "action": "agree"}, "not_the_buyer"),
    "withdraw": ({}, "agents_only"),
    "remind": ({}, "agents_only"),
    "transfer": ({"agent_id": "xiaoyu"}, "agents_only"),
    "close": ({}, "agents_only"),
    "quote": ({"order_id": "lin-wan-paid"}, "agents_only"),
    "read": ({"seq": 1}, "not_current_agent"),
    "typing": ({}, "not_current_agent"),
    "status": ({"state": "online"}, "agents_only"),
    "missed": ({"since_ms": 0}, "agents_only"),
}
"""Every command by which an agent acts, and what a supervisor is told."""


def test_no_act_is_forgotten_here() -> None:
    acts = {act.model_fields["type"].annotation for act in typing.get_args(frames.Act)}
    assert {typing.get_args(type)[0] for type in acts} <= set(ACTS)


async def test_a_supervisor_can_do_nothing_in_a_conversation(scene: Scene) -> None:
    boss = await scene.town.person(Role.SUPERVISOR, "boss", on=scene.town.gateways[1])
    await scene.buyer.say(scene.conversation_id, "在吗")
    card = await scene.propose()
    await scene.settled_work()
    before = await scene.caught_up(), await scene.agent.list_conversations()
    for what, (members, code) in ACTS.items():
        named = {"conversation_id": scene.conversation_id, "proposal_id": card["proposal_id"]}
        wanted = {"open": [], "status": [], "missed": []}.get(what, ["conversation_id"])
        if what in ("answer", "withdraw", "remind"):
            wanted = ["conversation_id", "proposal_id"]
        assert await answer_to(boss.command(what, **{name: named[name] for name in wanted}, **members)) == code, what
    after = await scene.caught_up(), await scene.agent.list_conversations()
    for answer in (before, after):
        for name in ("re", "now_ms"):
            answer[1].pop(name)
    assert after == before
    assert (await boss.list_conversations(search="陈默"))["total"] == 0
