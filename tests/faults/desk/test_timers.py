"""A gateway is killed over a timer that it claimed: what is due is told once, and in time, by another."""

from datetime import timedelta

import pytest

from tests.faults.desk.killed import LIN_WAN, SLACK, Start, hears_all
from tests.faults.desk_state import log_of
from tests.faults.doomed import When
from tests.flows.town import Town


@pytest.mark.parametrize("when", ["reserved", "committed"])
async def test_the_reply_clocks_watcher(town: Town, doomed: Start, when: When) -> None:
    """It dies over the warning: that and the overdue are told once each, by another.

    The lease of the timer that was claimed is 0.3 s here (10 s in the product). Seen to fail (reserved) with the timer
    armed for the overdue before the warning is told: there was none; (committed) with the timer removed when claimed.
    """
    times = {"reply_warning": timedelta(milliseconds=200), "reply_overdue": timedelta(milliseconds=900)}
    other = await town.gateway(timers=False, **times)
    gateway = await doomed(when, "reply_warning", **times)
    agent, buyer = await town.agent(), await town.buyer()
    await agent.open("lin-wan")
    await buyer.say(LIN_WAN, "在吗")
    await gateway.ends()
    assert not agent.conversations[LIN_WAN]["overdue"]

    await town.gateway(**times)

    await agent.wait_for(lambda: agent.conversations[LIN_WAN]["overdue"], 5)
    await town.gateways[-1].house.parts.background.drain(5)
    assert await log_of(other, LIN_WAN) == ["opened", "在吗", "reply_warning", "reply_overdue"]
    await hears_all(agent, other, LIN_WAN)
    asked, *_, overdue = (entry["at_ms"] for entry in agent.logs[LIN_WAN][1:])
    assert 0.9 <= (overdue - asked) / 1000 < 0.9 + SLACK


@pytest.mark.parametrize("when", ["reserved", "committed"])
async def test_the_reminder_near_the_deadline(town: Town, doomed: Start, when: When) -> None:
    """Killed before it is told, or before the timer is armed for the deadline: told once, and the deadline is in time.

    The lease of the timer that was claimed is 0.3 s here (10 s in the product). Seen to fail (reserved) with the timer
    armed before it is told: never told; (committed) with the mark not looked at, and not insisted on: told twice.
    """
    times = {"answer_window": timedelta(seconds=1.4), "remind_before": timedelta(seconds=1.2)}
    scene = await town.scene(timers=False, **times)
    gateway = await doomed(when, "near_deadline", **times)
    card = await scene.propose()
    await gateway.ends()
    assert scene.states(scene.buyer, card) == ["pending"]

    await town.gateway(**times)

    for client in (scene.agent, scene.buyer):
        await scene.sees(client, card, "timed_out")
    assert await log_of(town.gateways[0], LIN_WAN) == [
        "opened",
        "pending",
        "near_deadline",
        "timed_out timed_out",
    ]
    await scene.caught_up()
    late = scene.log(scene.agent)[-1]["at_ms"] - card["deadline_ms"]
    assert 0 <= late / 1000 < SLACK
