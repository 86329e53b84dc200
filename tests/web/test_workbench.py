"""What an agent does all day at the workbench, besides cards: taking a conversation, and quick replies."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import expect

from tests.flows.town import Town
from tests.web.keys import Keys
from tests.web.screens import Screens

PAID, UNPAID = "lin-wan-paid", "lin-wan-unpaid"


async def test_a_conversation_that_waits_is_taken_by_keyboard(screens: Screens, town: Town) -> None:
    """Tab goes on from a conversation to its button; it was nowhere to be reached but by mouse."""
    await town.gateway()
    workbench, phone = await screens.workbench(), await screens.phone()
    await workbench.page.get_by_role("switch").click()  # nothing comes by itself
    await expect(workbench.page.get_by_role("switch", name="挂起")).to_be_visible()
    await phone.say("在吗")
    await expect(workbench.list.get_by_role("heading", name="未分配 1")).to_be_visible()
    keys = Keys(workbench.page)
    await keys.tab_to(workbench.conversation("林晚"))
    await keys.press("Tab")
    await expect(workbench.page.get_by_role("button", name="接入 林晚")).to_be_focused()
    await keys.press("Enter")
    await expect(workbench.list.get_by_role("heading", name="未分配 0")).to_be_visible()
    await expect(workbench.page.get_by_role("heading", name="林晚", level=1)).to_be_visible()
    await expect(workbench.field).to_be_enabled()
    await keys.press("Enter")
    await expect(workbench.field).to_be_focused()


async def test_a_quick_reply_speaks_of_the_order_turned_to(
    screens: Screens, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the one chosen on the right, if any; else of the one that a card is about. Until the answer is there, there is
    none. Seen to fail with those of last time left to be chosen: they name another order.
    """
    gateway = await town.gateway()
    flow, answered = gateway.house.gateway._commands._flows.quick_replies, asyncio.Event()
    read = flow.read

    async def late(*asked: Any) -> Any:
        await answered.wait()
        return await read(*asked)

    monkeypatch.setattr(flow, "read", late)
    workbench, _ = await screens.both()
    agent = await town.agent()
    await agent.add_quick_reply("{buyer}，订单 {order} 这就处理")
    await workbench.propose(PAID, "S")
    for order in (PAID, UNPAID):
        if order == UNPAID:
            await workbench.change(UNPAID).focus()
            await expect(workbench.order(UNPAID)).to_have_attribute("aria-current", "true")
        await workbench.page.get_by_role("button", name="快捷短语").click()
        replies = workbench.page.get_by_role("dialog", name="快捷短语").get_by_role("button")
        await expect(replies).to_have_count(0)
        answered.set()
        await replies.first.click()
        answered.clear()
        await expect(workbench.field).to_be_focused()
        await expect(workbench.field).to_have_value(f"林晚，订单 {order} 这就处理")
        await workbench.field.fill("")
