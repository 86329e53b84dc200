"""An agent takes, hands over and closes: who is told what, who may act then, and what happens at the same moment."""

import asyncio

import orjson
import pytest

from bot.client import ChatClient, CommandFailed
from tests.flows.answers import answer_to
from tests.flows.crossing import Crossing
from tests.flows.protections import VERSIONS, without
from tests.flows.scene import Scene
from tests.flows.town import Town

LIN_WAN = "nanshan.lin-wan"
MUST = "mark.verb == 'must' and (redis.call('HGET', KEYS[1], mark.field) or '') ~= mark.value"
REASON = "定制类订单由阿禾负责"


def told(client: ChatClient) -> list[str]:
    """The system lines somebody saw."""
    return [entry["system"]["text"] for entry in client.logs.get(LIN_WAN, []) if "system" in entry]


def said(client: ChatClient) -> list[str]:
    """What somebody saw said."""
    return [entry["text"]["text"] for entry in client.logs.get(LIN_WAN, []) if "text" in entry]


async def actions(scene: Scene, agent: ChatClient) -> set[str]:
    """How everything that an agent can do to the conversation is answered."""
    return {
        await answer_to(agent.say(LIN_WAN, "？")),
        await answer_to(scene.send(by=agent)),
        await answer_to(agent.transfer(LIN_WAN, "xiaoyu" if agent is not scene.agent else "ahe")),
        await answer_to(agent.close_conversation(LIN_WAN)),
        await answer_to(agent.read(LIN_WAN, 1)),
        await answer_to(agent.say_typing(LIN_WAN)),
    }


async def test_an_agent_takes_one_that_waits(town: Town) -> None:
    here, there = await town.gateway(), await town.gateway()
    buyer = await town.buyer(on=there)
    await buyer.say(LIN_WAN, "在吗")
    for id in ("xiaoyu", "ahe"):
        await (await town.redis()).hset("desk:{nanshan}:agents", id, "suspended")
    xiaoyu, ahe = await town.agent("xiaoyu", on=here), await town.agent("ahe", on=there)
    assert list(xiaoyu.waiting) == list(ahe.waiting) == [LIN_WAN]

    await ahe.open("lin-wan")

    for agent in (xiaoyu, ahe):
        await agent.wait_for(lambda agent=agent: not agent.waiting, 5)
    await buyer.wait_for(lambda: told(buyer) == ["客服 阿禾 为您服务"], 5)
    await ahe.wait_for(lambda: said(ahe) == ["在吗"], 5)
    assert await answer_to(xiaoyu.open("lin-wan")) == "conversation_taken"


async def test_a_transfer_with_a_reason_which_the_buyer_is_not_told(scene: Scene) -> None:
    """The new agent sees what was; the former one is told, and does nothing there any more.

    Seen to fail with the reason rendered for everybody, and without the former agent's channel.
    """
    ahe = await scene.town.agent("ahe", on=scene.town.gateways[1])
    await scene.buyer.say(LIN_WAN, "想换个颜色")
    await scene.agent.say(LIN_WAN, "请稍等")

    await scene.agent.transfer(LIN_WAN, "ahe", reason=REASON)

    seq = await scene.caught_up(scene.agent, scene.buyer, ahe)
    for agent in (scene.agent, ahe):
        assert told(agent)[-1] == f"小雨 将会话转接给 阿禾，原因：{REASON}"
        assert agent.logs[LIN_WAN][-1]["system"]["reason"] == REASON
    assert told(scene.buyer)[-1] == "已由客服 阿禾 为您继续服务"
    history = await scene.buyer.history(LIN_WAN)
    for shown in (scene.buyer.logs, scene.buyer.conversations, history):
        assert REASON not in orjson.dumps(shown).decode()
    assert said(ahe) == ["想换个颜色", "请稍等"]
    assert [entry["seq"] for entry in scene.log(ahe)] == list(range(1, seq + 1))
    assert scene.agent.conversations[LIN_WAN]["agent_id"] == "ahe"
    assert await actions(scene, scene.agent) == {"not_current_agent"}
    await scene.buyer.say(LIN_WAN, "你好")
    await scene.caught_up(scene.buyer, ahe)
    assert scene.log(scene.agent)[-1]["seq"] == seq
    assert (await scene.agent.list_conversations())["conversations"] == []
    assert [item["conversation_id"] for item in (await ahe.list_conversations())["conversations"]] == [LIN_WAN]


async def test_a_transfer_without_a_reason_names_none(scene: Scene) -> None:
    ahe = await scene.town.agent("ahe")
    await scene.agent.transfer(LIN_WAN, "ahe")
    await scene.caught_up(scene.agent, scene.buyer, ahe)
    assert told(ahe)[-1] == "小雨 将会话转接给 阿禾"
    assert "reason" not in ahe.logs[LIN_WAN][-1]["system"]


async def test_a_closed_conversation_is_nobodys_until_the_buyer_writes(scene: Scene) -> None:
    await scene.agent.close_conversation(LIN_WAN)

    await scene.caught_up()
    assert told(scene.agent)[-1] == "小雨 已结束会话"
    assert told(scene.buyer)[-1] == "本次服务已结束，如有需要可随时留言"
    for client in (scene.agent, scene.buyer):
        item = client.conversations[LIN_WAN]
        assert (item["open"], item["agent_id"]) == (False, None)
    assert (await scene.agent.list_conversations())["total"] == 0
    assert await actions(scene, scene.agent) == {"not_current_agent"}

    await scene.buyer.say(LIN_WAN, "还有一个问题")

    await scene.caught_up()
    for client in (scene.agent, scene.buyer):
        item = client.conversations[LIN_WAN]
        assert (item["open"], item["agent_id"]) == (True, "xiaoyu")
    assert said(scene.agent) == ["还有一个问题"]
    await scene.agent.say(LIN_WAN, "请讲")


async def test_with_an_open_card_nothing_is_closed(scene: Scene) -> None:
    """Nor while the order system has not answered a consent. Seen to fail without the check of `_close`."""
    card = await scene.propose()
    with pytest.raises(CommandFailed) as failed:
        await scene.agent.close_conversation(LIN_WAN)
    assert (failed.value.code, failed.value.problem["cards"]) == ("open_cards", 1)
    await scene.buyer.answer(card, "reject")
    await scene.agent.close_conversation(LIN_WAN)


async def test_a_message_that_the_agent_has_not_seen_keeps_the_conversation_open(scene: Scene) -> None:
    """It would lie unanswered in a closed conversation. Seen to fail without the check of `_close`."""
    seen = await scene.caught_up()
    await scene.buyer.say(LIN_WAN, "还有一件事")
    too_late = scene.agent.command("close", conversation_id=LIN_WAN, seq=seen)
    assert await answer_to(too_late) == "unseen_message"
    await scene.caught_up()
    assert await answer_to(scene.agent.close_conversation(LIN_WAN)) == "ok"


async def test_a_message_that_meets_the_close_keeps_the_conversation_open(scene: Scene) -> None:
    """Seen to fail without the `must` of `_close`: it was closed over a message that nobody had seen."""
    await scene.caught_up()
    Crossing([gateway.house.store for gateway in scene.town.gateways[::-1]])
    answers = await asyncio.gather(
        answer_to(scene.agent.close_conversation(LIN_WAN)), answer_to(scene.buyer.say(LIN_WAN, "还有一件事"))
    )
    assert answers == ["unseen_message", "ok"]


async def close_meets(scene: Scene, first: str, what: str) -> tuple[str, str]:
    """Close and another thing are decided on the same reading, and `first` commits first; how both were answered."""
    here, there = scene.town.gateways
    device = await scene.town.agent(on=there)
    other = {
        "propose": lambda: scene.send(by=device),
        "transfer": lambda: device.transfer(LIN_WAN, "ahe"),
        "say": lambda: scene.buyer.say(LIN_WAN, "等等"),
    }[what]
    stores = [here.house.store, there.house.store]
    Crossing(stores if first == "close" else stores[::-1])
    closed, answer = await asyncio.gather(answer_to(scene.agent.close_conversation(LIN_WAN)), answer_to(other()))
    await scene.settled_work()
    return closed, answer


@pytest.mark.parametrize(
    ("first", "answers"), [("close", ("ok", "not_current_agent")), ("propose", ("open_cards", "ok"))]
)
async def test_a_close_meets_a_proposal(scene: Scene, first: str, answers: tuple[str, str]) -> None:
    """A card is never open in a closed conversation. Seen to fail without `must` in commit.lua: the test below."""
    assert await close_meets(scene, first, "propose") == answers
    loaded = await scene.town.gateways[0].house.store.load(LIN_WAN)
    assert loaded.conversation is not None
    assert (loaded.conversation.open, loaded.open_cards) == ((False, 0) if first == "close" else (True, 1))


async def test_without_must_a_card_is_open_in_a_closed_conversation(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, MUST)
    assert await close_meets(scene, "propose", "propose") == ("ok", "ok")
    loaded = await scene.town.gateways[0].house.store.load(LIN_WAN)
    assert loaded.conversation is not None
    assert (loaded.conversation.open, loaded.open_cards) == (False, 1)


async def test_without_the_version_check_a_closed_conversation_is_asked(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, VERSIONS)
    assert await close_meets(scene, "close", "propose") == ("ok", "ok")


@pytest.mark.parametrize(
    ("first", "answers"), [("close", ("ok", "not_current_agent")), ("transfer", ("not_current_agent", "ok"))]
)
async def test_a_close_meets_a_transfer(scene: Scene, first: str, answers: tuple[str, str]) -> None:
    """Whoever commits second acts in nobody's conversation. Seen to fail with the version check removed."""
    ahe = await scene.town.agent("ahe")
    assert await close_meets(scene, first, "transfer") == answers
    loaded = await scene.town.gateways[0].house.store.load(LIN_WAN)
    assert loaded.conversation is not None
    assert loaded.conversation.agent_id == (None if first == "close" else "ahe")
    places = {agent["id"]: agent["conversations"] for agent in await ahe.agents()}
    assert places == {"xiaoyu": 0, "ahe": 0 if first == "close" else 1}


async def test_a_message_that_meets_a_close_opens_it_again(scene: Scene) -> None:
    """Seen to fail with the version check removed: it stood in a closed conversation."""
    assert await close_meets(scene, "close", "say") == ("ok", "ok")
    await scene.caught_up()
    assert scene.agent.conversations[LIN_WAN]["open"]
    assert said(scene.agent) == ["等等"]
