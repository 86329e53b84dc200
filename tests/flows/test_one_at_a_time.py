"""One card at a time (R8), one outcome for ever (R11), and only those may act who may (R12)."""

import pytest

from bot.client import ChatClient
from cards.proposal import Proposal
from tests.flows.answers import refusal
from tests.flows.line import Line
from tests.flows.scene import Scene
from tests.flows.town import Town


async def document(scene: Scene, card: dict) -> Proposal:
    """A proposal as it is stored."""
    loaded = await scene.town.gateways[0].house.store.load(scene.conversation_id, proposals=(card["proposal_id"],))
    assert loaded.proposals[0] is not None
    return loaded.proposals[0]


async def test_while_a_card_waits_nobody_asks_again_for_that_order(scene: Scene) -> None:
    card = await scene.propose()
    again = await refusal(scene.send(line_1="green-m", waive=True))
    assert (again.code, again.problem["title"]) == ("proposal_pending", "买家处理中，无法再次修改规格")
    other = await scene.propose("unpaid")
    await scene.buyer.answer(card, "reject")
    await scene.sees(scene.agent, card, "rejected")
    assert (await scene.propose())["state"] == other["state"] == "pending"


async def test_while_consent_is_carried_out_nobody_asks_again(town: Town) -> None:
    """`applying` holds the order too: the order system's answer is still to come."""
    line = Line()
    scene = await town.scene(orders=line.to)
    card = await scene.propose()
    line.away = True
    await scene.buyer.answer(card, "agree")
    assert (await refusal(scene.send())).code == "proposal_pending"


@pytest.mark.parametrize("late", ["agree", "reject", "withdraw"])
@pytest.mark.parametrize("first", ["agree", "reject", "withdraw"])
async def test_a_late_click_changes_nothing_and_heals_the_screen(scene: Scene, first: str, late: str) -> None:
    card = await scene.propose()

    async def act(what: str) -> dict:
        return await (scene.agent.withdraw(card) if what == "withdraw" else scene.buyer.answer(card, what))

    await act(first)
    await scene.settled_work()
    seq = await scene.caught_up()
    before = await document(scene, card)

    answer = await refusal(act(late))

    end = {"agree": "agreed", "reject": "rejected", "withdraw": "withdrawn"}[first]
    assert answer.code == "already_settled"  # not `old_version`, though the click named version 1
    assert answer.card is not None
    assert (answer.card["state"], answer.card["version"], answer.card["buttons"]) == (end, before.version, [])
    assert answer.card["label"] in answer.problem["title"]
    assert await document(scene, card) == before
    assert await scene.caught_up() == seq
    (intent,) = await scene.town.gateways[0].house.store.late(before)
    who = ("agent", "xiaoyu") if late == "withdraw" else ("buyer", "lin-wan")
    assert (intent["role"], intent["id"], intent["action"]) == (*who, late)


async def test_late_intent_is_kept_bounded(scene: Scene) -> None:
    card = await scene.propose()
    await scene.buyer.answer(card, "reject")
    for _ in range(25):
        assert (await refusal(scene.buyer.answer(card, "agree"))).code == "already_settled"
    assert len(await scene.town.gateways[0].house.store.late(await document(scene, card))) == 20


async def test_an_answer_to_an_old_version_is_refused_with_todays_card(scene: Scene) -> None:
    card = await scene.propose()
    answer = await refusal(scene.buyer.answer({**card, "version": 7}, "agree"))
    assert answer.code == "old_version"
    assert answer.card is not None
    assert answer.card["version"] == 1
    await scene.buyer.answer(answer.card, "agree")
    await scene.sees(scene.agent, card, "agreed")


async def test_only_the_buyer_answers_and_only_the_current_agent_acts(scene: Scene) -> None:
    card = await scene.propose()
    colleague, stranger = await scene.town.agent("ahe"), await scene.town.buyer("chen-mo")

    async def code(client: ChatClient, what: str) -> str:
        commands = {
            "answer": lambda: client.answer(card, "agree"),
            "withdraw": lambda: client.withdraw(card),
            "propose": lambda: scene.send("unpaid", by=client),
            "say": lambda: client.say(scene.conversation_id, "在吗"),
            "transfer": lambda: client.transfer(scene.conversation_id, "ahe"),
            "history": lambda: client.history(scene.conversation_id),
            "open": lambda: client.open("lin-wan"),
        }
        return (await refusal(commands[what]())).code

    assert await code(scene.agent, "answer") == "not_the_buyer"
    assert [await code(scene.buyer, what) for what in ("propose", "withdraw", "open")] == ["agents_only"] * 3
    for what in ("withdraw", "propose", "say", "transfer"):
        assert await code(colleague, what) == "not_current_agent"
    for what in ("answer", "say", "history"):
        assert await code(stranger, what) == "unknown_conversation"
    assert scene.states(scene.buyer, card) == ["pending"]


async def test_a_buyer_answers_from_any_device_and_all_of_them_heal(scene: Scene) -> None:
    phone = await scene.town.buyer(on=scene.town.gateways[0])
    card = await scene.propose()
    await scene.sees(phone, card)
    await phone.answer(card, "agree")
    await scene.sees(scene.buyer, card, "agreed")
    await scene.sees(phone, card, "agreed")
    assert scene.outcomes(phone, card) == scene.outcomes(scene.buyer, card) == ["agreed"]
