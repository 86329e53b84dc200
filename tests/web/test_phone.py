"""The buyer's phone: an answer in two steps, what becomes of it, my orders; all large enough for a thumb, and calm."""

import re

from playwright.async_api import Page, expect

from tests.flows.line import Line
from tests.flows.town import Town
from tests.web.screens import Screens

PAID, TWO, UNPAID = "lin-wan-paid", "lin-wan-two-lines", "lin-wan-unpaid"
SMALL = """() => [...document.querySelectorAll("button, a, input, textarea, select, summary, [role=button]")]
    .filter((one) => one.checkVisibility() && !one.closest(".sr-only"))
    .map((one) => [one.ariaLabel ?? one.textContent, one.getBoundingClientRect()])
    .filter(([, { width, height }]) => width && (width < 44 || height < 44))
    .map(([name, { width, height }]) => `${name.trim()}: ${Math.round(width)} x ${Math.round(height)}`)"""
MOVING = "() => document.getAnimations().map(({ effect }) => effect.target.className)"


async def too_small(page: Page) -> list[str]:
    """What a thumb could miss."""
    found: list[str] = await page.evaluate(SMALL)
    return found


async def test_an_answer_its_processing_and_my_orders(screens: Screens, town: Town) -> None:
    """Nothing is answered by one click; while the order system works both devices say so and offer nothing; my orders
    tell of each order as it is now, and lead to its card. At every step, all that can be touched has 44 px; and for who
    wants no motion, neither the spinner nor an agent's toast moves."""
    line = Line()
    await town.gateway(line.to)
    workbench, phone = await screens.both()
    page = phone.page
    second = await screens.phone()
    await workbench.propose(PAID, "S")
    await expect(phone.agree).to_be_enabled()
    assert await too_small(page) == []
    await phone.reject.click()
    await expect(page.get_by_role("textbox", name="原因（选填）")).to_be_focused()
    await expect(page.get_by_text("确认拒绝吗？订单将保持原规格。")).to_be_visible()
    assert await too_small(page) == []
    await page.get_by_role("button", name="返回").click()
    await phone.agree.click()
    await expect(page.get_by_text("确认修改吗？同意后订单将按新规格处理。")).to_be_visible()
    await expect(workbench.card(PAID, "待处理")).to_be_visible()
    assert line.asked == []

    held = line.hold()
    await page.get_by_role("button", name="确认同意").click()
    for device in (phone, second):
        await expect(device.card(PAID, "已同意 · 处理中")).to_contain_text("已同意，订单系统处理中…")
        await expect(device.buttons).to_have_count(0)
    assert await second.page.evaluate(MOVING) != []
    for one in (workbench, second):
        await one.page.emulate_media(reduced_motion="reduce")
    assert await second.page.evaluate(MOVING) == []
    held.set()
    await expect(workbench.toasts).to_be_visible()
    assert await workbench.page.evaluate(MOVING) == []
    for device in (phone, second):
        await expect(device.card(PAID, "已同意")).not_to_contain_text("处理中")

    await page.get_by_role("button", name="我的订单").click()
    sheet = page.get_by_role("dialog", name="我的订单")
    order = sheet.get_by_role("listitem").filter(has_text=PAID)
    await expect(order).to_contain_text(re.compile(r"待发货.*重磅纯棉短袖.*¥89\.00.*米白.*S.*× 1.*合计.*¥89\.00", re.S))
    due = sheet.get_by_role("listitem").filter(has_text=UNPAID)
    await expect(due).to_contain_text(re.compile(r"待付款.*应付.*¥207\.00", re.S))
    await expect(sheet.get_by_role("listitem")).to_have_count(5)
    assert await too_small(page) == []
    await sheet.get_by_role("button", name="关闭").click()
    await expect(sheet).to_be_hidden()

    await workbench.propose(TWO, "S")
    await workbench.say("请看一下\n" * 40 + "谢谢")
    way = page.get_by_role("button", name=re.compile("有一项规格修改待您处理 ?1:59"))
    await expect(way).to_be_visible()
    assert await too_small(page) == []
    await page.get_by_role("button", name="我的订单").click()
    await sheet.get_by_role("listitem").filter(has_text=TWO).get_by_role("button").click()
    await expect(sheet).to_be_hidden()
    await expect(phone.card(TWO, "待处理")).to_be_focused()
    await expect(phone.card(TWO, "待处理")).to_be_in_viewport()
    await expect(way).to_be_hidden()
