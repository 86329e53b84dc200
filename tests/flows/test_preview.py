"""The card before it is sent: what the agent is shown is what the buyer would get, and nothing has happened."""

import pytest

from bot.client import ChatClient, CommandFailed, Frame
from tests.flows.scene import Scene

ITS_OWN = {"proposal_id", "created_ms", "deadline_ms"}
"""What each card has for itself."""


async def preview(scene: Scene, order: str = "paid", *, by: ChatClient | None = None, **to: str) -> Frame:
    """What the buyer would see (`line_1="green-m"`), the difference waived."""
    changes = [{"line_id": line.removeprefix("line_"), "to_sku": sku} for line, sku in to.items()]
    return await (by or scene.agent).preview(
        scene.conversation_id, scene.order_id(order), changes, waive_difference=True
    )


@pytest.mark.parametrize(
    ("order", "to", "price_line"),
    [
        ("paid", {"line_1": "white-s"}, "价格不变"),
        ("two-lines", {"line_1": "green-m", "line_2": "kiln"}, "无需补差价"),
        ("unpaid", {"line_2": "straw"}, "修改后应付 ¥187.00"),
    ],
)
async def test_the_buyer_then_gets_that_card(scene: Scene, order: str, to: dict[str, str], price_line: str) -> None:
    shown = await preview(scene, order, **to)
    sent = await scene.propose(order, waive=True, **to)

    assert shown["price_line"] == price_line
    assert {name: shown[name] for name in shown.keys() - ITS_OWN} == {
        name: sent[name] for name in sent.keys() - ITS_OWN
    }
    assert shown["deadline_ms"] - shown["created_ms"] == sent["deadline_ms"] - sent["created_ms"]
    assert [button["action"] for button in shown["buttons"]] == ["agree", "reject"]


async def test_it_is_refused_as_the_proposal_would_be(scene: Scene) -> None:
    wishes = [
        ("paid", {"line_1": "grey-m"}, "price_lower_after_payment"),
        ("paid", {"line_1": "white-l"}, "out_of_stock"),
        ("paid", {"line_1": "white-m"}, "same_sku"),
        ("paid", {"line_9": "white-s"}, "unknown_line"),
        ("two-lines", {"line_1": "grey-m", "line_2": "straw"}, "lines_refused"),
        ("shipped", {"line_1": "white-s"}, "order_not_changeable"),
        ("presale", {"line_1": "white-s"}, "deposit_presale"),
        ("none", {"line_1": "white-s"}, "unknown_order"),
    ]
    ours = {"re", "id"}
    for order, to, code in wishes:
        with pytest.raises(CommandFailed) as shown:
            await preview(scene, order, **to)
        with pytest.raises(CommandFailed) as sent:
            await scene.send(order, waive=True, **to)
        assert shown.value.code == code
        problems = [
            {name: what for name, what in failed.value.problem.items() if name not in ours} for failed in (shown, sent)
        ]
        assert problems[0] == problems[1]


async def test_a_difference_that_is_not_waived_is_refused_with_its_amount(scene: Scene) -> None:
    with pytest.raises(CommandFailed) as failed:
        await scene.agent.preview(
            scene.conversation_id, scene.order_id("paid"), [{"line_id": "1", "to_sku": "green-m"}]
        )
    assert (failed.value.code, failed.value.problem["difference_cents"]) == ("difference_not_waived", 1000)


async def test_only_the_current_agent_is_shown_it(scene: Scene) -> None:
    colleague = await scene.town.agent("ahe")
    for who, code in ((colleague, "not_current_agent"), (scene.buyer, "agents_only")):
        with pytest.raises(CommandFailed) as failed:
            await preview(scene, by=who, line_1="white-s")
        assert failed.value.code == code


async def test_nothing_has_happened(scene: Scene) -> None:
    """No entry, no hold, no timer, no change of the order: only a look."""
    seq, order = await scene.last_seq(), await scene.order()
    redis = await scene.town.redis()

    async def kept() -> list[str]:
        patterns = (f"chat:{{{scene.conversation_id}}}*", "order:*", "timers:*")
        return sorted([key for pattern in patterns for key in await redis.keys(pattern)])

    before = await kept()

    for _ in range(3):
        await preview(scene, line_1="white-s")

    assert (await scene.last_seq(), await scene.order()) == (seq, order)
    assert await kept() == before
    await scene.propose(line_1="white-s")
    shown = await preview(scene, line_1="green-m")  # while a card waits one may look, but not ask
    assert shown["waived_cents"] == 1000
