"""The five outcomes with both screens open at once: what each side sees and can do, from the picker to the notice."""

import re
from datetime import timedelta

from playwright.async_api import Page, expect

from tests.flows.line import Line
from tests.flows.town import Town
from tests.web.screens import Screens

PAID, TWO, UNPAID = "lin-wan-paid", "lin-wan-two-lines", "lin-wan-unpaid"


async def look_away(page: Page) -> None:
    """Make the page one that nobody looks at, as far as it can tell."""
    await page.evaluate("() => { document.hasFocus = () => false; }")


async def test_agreed_while_the_order_system_is_slow(screens: Screens, town: Town) -> None:
    line = Line()
    for _ in range(2):
        await town.gateway(line.to)
    workbench, phone = await screens.both()

    picker = await workbench.pick(PAID)
    await expect(picker).to_contain_text("选择新规格后，这里显示买家将看到的卡片。")
    await expect(workbench.send).to_be_disabled()
    await workbench.choose("S")
    preview = picker.get_by_role("article")
    await expect(preview).to_contain_text(re.compile("商家申请修改商品规格.*价格不变.*剩余 2:00:00", re.S))
    await expect(preview.get_by_role("button")).to_have_text(["同意修改", "拒绝修改"])
    await expect(preview.get_by_role("button").first).to_be_disabled()
    await workbench.send.click()

    card = phone.card(PAID, "待处理")
    await expect(card).to_contain_text("重磅纯棉短袖")
    await expect(card.get_by_role("deletion")).to_contain_text("米白")
    await expect(card.get_by_role("insertion")).to_contain_text("S")
    await expect(card.get_by_role("timer")).to_have_text(re.compile(r"^剩余 1:59:\d\d$"))
    await expect(workbench.card(PAID, "待处理").get_by_role("timer")).to_have_text(re.compile(r"^剩余 1:59:\d\d$"))
    await expect(workbench.change(PAID)).to_have_text("待买家处理")
    await expect(workbench.change(PAID)).to_be_disabled()
    await expect(workbench.strip.get_by_role("button", name=re.compile(f"林晚 {PAID} 1:59:"))).to_be_visible()
    await expect(workbench.conversation("林晚").locator(".chip")).to_have_text(re.compile(r"^1:59:\d\d$"))

    held = line.hold()
    await phone.agree.click()
    await phone.page.get_by_role("button", name="返回").click()
    await expect(phone.agree).to_be_focused()
    await phone.answer("同意")
    await expect(phone.card(PAID, "已同意 · 处理中")).to_contain_text("订单系统处理中")
    await expect(phone.buttons).to_have_count(0)
    await expect(workbench.card(PAID, "已同意 · 处理中")).to_be_visible()
    await expect(workbench.change(PAID)).to_have_text("处理中")
    await look_away(workbench.page)
    held.set()

    await expect(phone.card(PAID, "已同意")).to_be_visible()
    await expect(workbench.card(PAID, "已同意")).to_be_visible()
    await expect(workbench.line("用户已同意修改规格")).to_have_count(1)
    await expect(workbench.toasts.filter(has_text="林晚 · 用户已同意修改规格")).to_be_visible()
    await expect(workbench.page).to_have_title("(1) 林晚 · 用户已同意修改规格")
    await expect(workbench.order(PAID)).to_contain_text(re.compile("米白.*S"))
    await expect(workbench.change(PAID)).to_be_enabled()
    await expect(workbench.strip).to_contain_text("没有等待买家处理的改规格申请")

    await workbench.page.reload()
    await workbench.bell.click()
    await expect(workbench.notices.get_by_role("listitem")).to_have_count(1)
    await expect(workbench.notices.get_by_role("listitem")).to_contain_text(
        re.compile(f"林晚.*用户已同意修改规格.*{PAID}", re.S)
    )
    await expect(workbench.line("用户已同意修改规格")).to_have_count(1)


async def test_rejected_withdrawn_and_invalid(screens: Screens, town: Town) -> None:
    await town.gateway()
    await town.gateway()
    workbench, phone = await screens.both()

    await workbench.propose(PAID, "S")
    await phone.answer("拒绝", "还是原来的好")
    await expect(phone.card(PAID, "已拒绝")).to_contain_text("还是原来的好")
    await expect(workbench.card(PAID, "已拒绝")).to_contain_text("还是原来的好")
    await expect(workbench.toasts.filter(has_text="用户拒绝修改规格")).to_be_visible()
    await expect(workbench.line("用户拒绝修改规格")).to_have_count(1)

    await workbench.propose(UNPAID, "S")
    await expect(phone.card(UNPAID, "待处理")).to_be_visible()
    await workbench.order(UNPAID).get_by_role("button", name="撤回").click()
    await expect(phone.card(UNPAID, "已撤回")).to_be_visible()
    await expect(phone.buttons).to_have_count(0)
    await expect(workbench.card(UNPAID, "已撤回")).to_be_visible()
    await expect(workbench.change(UNPAID)).to_be_enabled()

    await workbench.propose(TWO, "S")
    await phone.agree.click()  # she is about to confirm when the refund overtakes her
    await town.gateways[0].house.shop.move("nanshan", TWO, "refund")
    for card in (phone.card(TWO, "已失效"), workbench.card(TWO, "已失效")):
        await expect(card).to_contain_text("订单有退款或售后")
    await expect(phone.buttons).to_have_count(0)
    await expect(workbench.toasts.filter(has_text="订单已不支持修改规格，改规格申请失效")).to_be_visible()
    await expect(workbench.order(TWO)).to_contain_text("订单有退款或售后，不支持改规格")
    await expect(workbench.change(TWO)).to_be_disabled()

    await workbench.bell.click()
    await expect(workbench.notices.get_by_role("listitem")).to_contain_text(["改规格申请失效", "用户拒绝修改规格"])


async def test_the_countdown_reaches_zero(screens: Screens, town: Town) -> None:
    """No gateway with timers is there at first, so that what the pages do by themselves at zero can be seen."""
    first = await town.gateway(timers=False, answer_window=timedelta(seconds=3))
    workbench, phone = await screens.both()
    await workbench.propose(PAID, "S")
    await expect(phone.agree).to_be_enabled()
    await phone.agree.click()
    await expect(phone.card(PAID, "待处理").get_by_role("timer")).to_have_text("已到处理时限")
    for button in await phone.buttons.all():
        await expect(button).to_be_disabled()
    await expect(phone.page.get_by_text("已到处理时限，正在更新结果")).to_be_visible()
    await expect(workbench.card(PAID, "待处理").get_by_role("timer")).to_have_text("已到处理时限")

    await town.gateway()

    await expect(phone.card(PAID, "已超时")).to_be_visible()
    await expect(workbench.card(PAID, "已超时")).to_be_visible()
    await expect(workbench.line("用户超时未处理改规格申请")).to_have_count(1)
    await expect(workbench.toasts.filter(has_text="林晚 · 用户超时未处理改规格申请")).to_be_visible()
    line = (await first.house.shop.order("nanshan", PAID)).lines[0]
    assert line.sku_id == "white-m"
