"""Each bug that can be planted in a gateway is really one: people see what must never be, or the store holds it."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from bot.participant import Role
from tests.faults.torture.planted import EARLY, LOST, PLANTED, SKIPPED
from tests.flows.line import Line
from tests.flows.scene import Scene
from tests.flows.town import Town
from tests.until import until

SOON = timedelta(milliseconds=50)


@pytest.fixture
def line() -> Line:
    return Line()


async def bugged(town: Town, bug: str, line: Line | None = None, **settings: Any) -> Scene:
    """A scene on two gateways that both have that bug."""
    if line is not None:
        settings["orders"] = line.to
    scene = await town.scene(**settings)
    for gateway in town.gateways:
        PLANTED[bug](gateway.house)
    return scene


async def test_agree_without_version_check(town: Town) -> None:
    scene = await bugged(town, "agree_without_version_check")
    second = await town.buyer(on=town.gateways[0])
    card = await scene.propose()
    await scene.sees(second, card)
    said = await asyncio.gather(scene.buyer.answer(card, "agree"), second.answer(card, "reject"))
    assert {answer["state"] for answer in said} == {"applying", "rejected"}
    await scene.agent.wait_for(lambda: len(scene.outcomes(scene.agent, card)) == 2)
    assert set(scene.outcomes(scene.agent, card)) == {"agreed", "rejected"}


async def test_lost_ack(town: Town) -> None:
    scene = await bugged(town, "lost_ack")
    for number in range(LOST):
        await scene.buyer.say(scene.conversation_id, f"no. {number}")
    log = await town.gateways[0].house.store.read_after(scene.conversation_id, 0, 100)
    said = [entry for entry in log.entries if b'"no. ' in entry.body]
    assert len(said) == LOST - 1


async def test_early_timeout(town: Town) -> None:
    scene = await bugged(town, "early_timeout", answer_window=EARLY * 1.5)
    card = await scene.propose()
    await scene.sees(scene.buyer, card, "timed_out")
    (at_ms,) = [one["at_ms"] for one in scene.log(scene.agent) if "notice" in one]
    assert at_ms < card["deadline_ms"]


async def test_notice_to_first_agent(town: Town) -> None:
    scene = await bugged(town, "notice_to_first_agent")
    card = await scene.propose()
    await town.agent("ahe")
    await scene.agent.transfer(scene.conversation_id, "ahe")
    await scene.buyer.answer(card, "reject")
    await scene.agent.wait_for(lambda: scene.notices(scene.agent))
    (notice,) = scene.notices(scene.agent)
    assert (notice["code"], notice["agent_id"]) == ("rejected", "xiaoyu")


async def test_change_before_consent(town: Town) -> None:
    scene = await bugged(town, "change_before_consent")
    card = await scene.propose()

    async def changed() -> bool:
        return await scene.skus() == ["white-s"]

    await until(changed)
    await scene.buyer.answer(card, "reject")
    await scene.sees(scene.agent, card, "rejected")
    assert await changed()


async def test_double_notice(town: Town) -> None:
    scene = await bugged(town, "double_notice")
    card = await scene.propose()
    await scene.buyer.answer(card, "reject")
    await scene.agent.wait_for(lambda: len(scene.notices(scene.agent, card)) == 2)
    assert scene.outcomes(scene.agent, card) == ["rejected", "rejected"]


async def test_skipped_entry(town: Town) -> None:
    scene = await bugged(town, "skipped_entry")
    for number in range(SKIPPED + 1):
        await scene.agent.say(scene.conversation_id, f"no. {number}")
    await scene.buyer.wait_for(lambda: scene.buyer.cursors[scene.conversation_id] == number + 2)
    seqs = [entry["seq"] for entry in scene.log(scene.buyer)]
    assert set(range(2, number + 3)) - set(seqs)


async def test_resume_from_next(town: Town) -> None:
    scene = await bugged(town, "resume_from_next")
    for number in range(3):
        await scene.agent.say(scene.conversation_id, f"no. {number}")
    await scene.caught_up()
    token = town.token(Role.BUYER, "lin-wan")
    ws = await town.socket(token, cursors={scene.conversation_id: 1})
    assert (await ws.receive_json(timeout=5))["type"] == "welcome"
    assert [(await ws.receive_json(timeout=5))["seq"] for _ in range(2)] == [3, 4]


async def test_leaky_notice(town: Town) -> None:
    scene = await bugged(town, "leaky_notice")
    card = await scene.propose()
    await scene.buyer.answer(card, "reject")
    await scene.buyer.wait_for(lambda: scene.notices(scene.buyer))


async def test_second_proposal(town: Town) -> None:
    scene = await bugged(town, "second_proposal")
    first, second = await scene.propose(), await scene.propose()
    assert first["proposal_id"] != second["proposal_id"]
    await scene.caught_up()
    assert [card["state"] for card in scene.buyer.cards(scene.conversation_id).values()] == ["pending", "pending"]
    await scene.buyer.answer(first, "reject")
    await scene.buyer.answer(second, "reject")


async def test_forgotten_apply(town: Town, line: Line) -> None:
    scene = await bugged(town, "forgotten_apply", line, retry_after=SOON, retry_at_most=SOON)
    card = await scene.propose()
    line.away = True
    await scene.buyer.answer(card, "agree")
    await scene.settled_work()
    line.away = False
    with pytest.raises(TimeoutError):
        await scene.sees(scene.buyer, card, "agreed", limit=1)
    assert len(line.asked) == 1
