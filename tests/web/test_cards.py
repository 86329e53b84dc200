"""Cards on both screens: the preview is what the buyer gets, all that wait stand in one strip, and one is withdrawn."""

import re
from datetime import timedelta

from playwright.async_api import Locator, expect

from tests.flows.town import Town
from tests.web.screens import Screens

PAID, TWO, UNPAID, THEIRS = "lin-wan-paid", "lin-wan-two-lines", "lin-wan-unpaid", "chen-mo-paid"


async def look(card: Locator) -> list[str]:
    """What a card says, line by line, but for the time left."""
    text = re.sub(r"剩余 \d:\d\d:\d\d", "剩余", await card.inner_text())
    return [line.strip() for line in text.splitlines() if line.strip()]


async def test_the_preview_is_what_the_buyer_sees(screens: Screens, town: Town) -> None:
    """Word for word, for several lines in one go; and the orders pane tells what the order is before and after."""
    await town.gateway()
    workbench, phone = await screens.both()
    order = workbench.order(TWO)
    before = r"待发货.*重磅纯棉短袖.*¥89\.00.*米白.*M.*× 1.*手作马克杯.*¥59\.00.*青釉.*× 2.*合计.*¥207\.00"
    await expect(order).to_have_text(re.compile(before, re.S))
    await expect(workbench.order(UNPAID)).to_contain_text("待付款")
    picker = await workbench.pick(TWO)
    preview = picker.get_by_role("article")
    await workbench.choose("S")
    await expect(preview.get_by_role("listitem")).to_have_count(1)
    await workbench.choose("月白", "马克杯")
    await expect(preview.get_by_role("listitem")).to_have_count(2)
    promised = await look(preview)
    await workbench.send.click()
    await expect(phone.card(TWO, "待处理")).to_be_visible()
    assert await look(phone.card(TWO, "待处理")) == promised
    for text in ("重磅纯棉短袖", "手作马克杯", "月白", "价格不变", "同意修改", "拒绝修改"):
        assert text in "\n".join(promised)

    await phone.answer("同意")
    await expect(workbench.card(TWO, "已同意")).to_be_visible()
    await expect(order).to_have_text(re.compile(before.replace("M", "S").replace("青釉", "月白"), re.S))
    lines = (await town.gateways[0].house.shop.order("nanshan", TWO)).lines
    assert [line.sku_id for line in lines] == ["white-s", "moon"]


async def test_the_strip_and_a_withdrawal(screens: Screens, town: Town) -> None:
    """My waiting cards of all conversations by time left, each a way there; a withdrawn one is gone at once, its order
    can be changed again, and its buyer can answer it no more; of a colleague's cards none is there."""
    gateway = await town.gateway()
    workbench = await screens.workbench()
    for id in ("lin-wan", "chen-mo"):
        await (await town.buyer(id)).say(f"nanshan.{id}", "在吗")
    await expect(workbench.strip).to_have_text("没有等待买家处理的改规格申请")
    for name, order_id, minutes in (("林晚", PAID, 120), ("陈默", THEIRS, 30), ("林晚", UNPAID, 60)):
        gateway.house.parts.window.length = timedelta(minutes=minutes)
        await workbench.turn_to(name)
        await workbench.propose(order_id, "S")
    waiting = workbench.strip.get_by_role("button")
    left = [f"陈默 {THEIRS} 29:", f"林晚 {UNPAID} 59:", f"林晚 {PAID} 1:59:"]
    await expect(waiting).to_have_text([re.compile(each) for each in left])
    await expect(workbench.strip).to_contain_text("待买家处理 3")

    await waiting.first.click()
    await expect(workbench.page.get_by_role("heading", name="陈默", level=1)).to_be_visible()
    change = workbench.change(THEIRS)
    await expect(change).to_have_text("待买家处理")
    await expect(change).to_be_disabled()
    await expect(change).to_have_accessible_description(re.compile("买家处理中，无法再次修改规格"))
    await workbench.order(THEIRS).get_by_role("button", name="撤回").click()
    await expect(waiting).to_have_text([re.compile(each) for each in left[1:]])
    await expect(workbench.card(THEIRS, "已撤回")).to_be_visible()
    await expect(change).to_have_text("改规格")
    await expect(change).to_be_enabled()
    await workbench.propose(THEIRS, "S")
    await expect(waiting).to_have_count(3)
    card = workbench.card(THEIRS, "待处理")
    await card.get_by_role("button", name="撤回").click()
    await expect(workbench.card(THEIRS, "已撤回")).to_have_count(2)
    await expect(waiting).to_have_count(2)

    other = await screens.workbench("ahe")
    await expect(other.strip).to_have_text("没有等待买家处理的改规格申请")
