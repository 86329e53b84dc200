"""The agent's list: who waits for how long, what a row tells, where the keyboard goes, and whom a search finds."""

import re

from playwright.async_api import Locator, expect

from bot.client import ChatClient
from tests.flows.town import Town
from tests.web.screens import Screens
from tests.web.workbench import Workbench


async def write(town: Town, id: str, text: str) -> ChatClient:
    """Somebody comes and writes to the shop."""
    buyer = await town.buyer(id)
    await buyer.say(f"nanshan.{id}", text)
    return buyer


def rows(workbench: Workbench) -> Locator:
    """The conversations, from the top."""
    found: Locator = workbench.list.get_by_role("button", name=re.compile(" (在线|离线)"))
    return found


async def groups(workbench: Workbench, *counts: int) -> None:
    """So many wait for a reply, go on, and wait for an agent."""
    names = [f"{name} {count}" for name, count in zip(("待回复", "进行中", "未分配"), counts, strict=True)]
    await expect(workbench.list.get_by_role("heading")).to_have_text(names)


async def waited(row: Locator) -> int:
    """Since when its buyer waits, in seconds, as it is shown."""
    found = re.search(r"(\d\d):(\d\d)", await row.inner_text())
    assert found
    return int(found[1]) * 60 + int(found[2])


async def test_groups_and_what_a_row_tells(screens: Screens, town: Town) -> None:
    """Groups with counts; who waits longest is first; unread, last line, presence, and a waiting time that runs."""
    await town.gateway()
    workbench = await screens.workbench()
    await groups(workbench, 0, 0, 0)
    await write(town, "lin-wan", "在吗")
    chen = await write(town, "chen-mo", "你好")
    await write(town, "lin-wan", "还没发货吧？")
    await groups(workbench, 2, 0, 0)
    names = [r"^林晚 在线\d\d:\d\d还没发货吧？2\s*条未读$", r"^陈默 在线\d\d:\d\d你好1\s*条未读$"]
    await expect(rows(workbench)).to_have_text([re.compile(name) for name in names])
    await chen.aclose()
    first = await waited(rows(workbench).first)
    later = re.compile("00:(" + "|".join(f"{first + more:02}" for more in range(2, 9)) + ")")
    await expect(rows(workbench).first).to_have_text(later)
    await expect(rows(workbench).last).to_have_text(re.compile("^陈默 离线"))
    await workbench.turn_to("林晚")
    await expect(workbench.conversation("林晚")).to_have_text(re.compile("还没发货吧？$"))  # none is unread
    await workbench.say("还没有哦")
    await groups(workbench, 1, 1, 0)
    await expect(rows(workbench)).to_have_text([re.compile("^陈默"), re.compile(r"^林晚 在线\d\d:\d\d还没有哦$")])

    await workbench.page.get_by_role("switch", name="在线").click()
    await expect(workbench.page.get_by_role("switch", name="挂起")).not_to_be_checked()
    await write(town, "wang-3", "有人吗")
    await groups(workbench, 1, 1, 1)
    await workbench.conversation("wang-3").click()
    await expect(workbench.field).to_be_disabled()
    await workbench.list.get_by_role("button", name="接入 wang-3").click()
    await groups(workbench, 2, 1, 0)
    await expect(workbench.field).to_be_enabled()


async def test_up_and_down_and_the_focus_stays(screens: Screens, town: Town) -> None:
    """Arrows, Home and End go through all groups; a row that has the focus keeps it when it moves to another group."""
    await town.gateway()
    workbench = await screens.workbench()
    for id in ("lin-wan", "chen-mo", "wang-3"):
        await write(town, id, "在吗")
    await groups(workbench, 3, 0, 0)
    await workbench.turn_to("林晚")
    await workbench.say("在的")
    await groups(workbench, 2, 1, 0)

    await workbench.page.get_by_role("searchbox").focus()
    for key, name in (
        ("ArrowDown", "陈默"),
        ("ArrowDown", "wang-3"),
        ("ArrowDown", "林晚"),
        ("ArrowDown", "林晚"),
        ("ArrowUp", "wang-3"),
        ("Home", "陈默"),
        ("End", "林晚"),
    ):
        await workbench.page.keyboard.press(key)
        await expect(workbench.conversation(name)).to_be_focused()
    await write(town, "lin-wan", "好的")
    await groups(workbench, 3, 0, 0)
    await expect(workbench.conversation("林晚")).to_be_focused()
    await workbench.page.keyboard.press("ArrowUp")
    await workbench.page.keyboard.press("Enter")
    await expect(workbench.page.get_by_role("heading", name="wang-3", level=1)).to_be_visible()
    await expect(workbench.field).to_be_focused()


async def test_a_search_by_buyer_and_by_order_number(screens: Screens, town: Town) -> None:
    """Of the whole shop, a colleague's too, which can be read and not written in; an emptied field shows the groups."""
    await town.gateway()
    workbench = await screens.workbench()
    await write(town, "lin-wan", "我是林晚")
    await groups(workbench, 1, 0, 0)
    colleague = await town.agent("ahe")
    await write(town, "chen-mo", "我是陈默")
    await colleague.open("chen-mo")
    search = workbench.page.get_by_role("searchbox", name="搜索买家或订单号")
    for text, names in (
        ("陈", ["陈默"]),
        ("lin-wan-two-lines", ["林晚"]),
        ("没有这个人", []),
        ("chen-mo-unpaid", ["陈默"]),
    ):
        await search.fill(text)
        await expect(workbench.list.get_by_role("heading")).to_have_text([f"搜索结果 {len(names)}"])
        await expect(rows(workbench)).to_have_text([re.compile(f"^{name} ") for name in names])
    await search.press("ArrowDown")
    await workbench.page.keyboard.press("Enter")
    await expect(workbench.page.get_by_role("heading", name="陈默", level=1)).to_be_visible()
    await expect(workbench.log.get_by_text("我是陈默")).to_be_visible()
    await expect(workbench.page.get_by_text("由 阿禾 接待", exact=True)).to_be_visible()
    await expect(workbench.field).to_be_disabled()
    await search.fill("")
    await groups(workbench, 1, 0, 0)
