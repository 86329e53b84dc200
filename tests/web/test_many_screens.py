"""More than one screen of a side: a conversation that changes hands, a buyer with two devices."""

import re

from playwright.async_api import expect

from tests.flows.town import Town
from tests.web.screens import Screens
from tests.web.slow_phone import SlowPhone

PAID = "lin-wan-paid"


async def test_a_card_outlives_the_transfer_of_its_conversation(screens: Screens, town: Town) -> None:
    await town.gateway()
    await town.gateway()
    old, phone = await screens.both()
    new = await screens.workbench("ahe", on=town.gateways[1])
    await old.propose(PAID, "S")

    await old.page.get_by_role("button", name="转接").click()
    dialog = old.page.get_by_role("dialog", name="转接")
    await dialog.get_by_role("radio", name=re.compile("阿禾")).check()
    await dialog.get_by_role("textbox", name="原因").fill("换班")
    await dialog.get_by_role("button", name="转接").click()
    await expect(dialog).to_have_count(0)

    await new.turn_to()
    await expect(new.card(PAID, "待处理").get_by_role("button")).to_have_text(["提醒", "撤回"])
    await expect(new.log).to_contain_text("换班")
    await expect(phone.page.get_by_role("heading", name="阿禾", level=1)).to_be_visible()
    await expect(phone.log).not_to_contain_text("换班")
    await expect(old.card(PAID, "待处理").get_by_role("button")).to_have_count(0)
    await expect(old.order(PAID).get_by_role("button", name="撤回")).to_have_count(0)
    await expect(old.change("lin-wan-unpaid")).to_be_disabled()
    await expect(old.orders).to_contain_text("此会话由 阿禾 接待，仅当前接待客服可以改规格")
    await expect(old.field).to_be_disabled()
    await expect(old.conversation("林晚")).to_have_count(0)

    await phone.answer("同意")
    await expect(new.line("用户已同意修改规格")).to_have_count(1)
    await expect(new.toasts.filter(has_text="用户已同意修改规格")).to_be_visible()
    await expect(old.toasts.filter(has_text="用户已同意修改规格")).to_have_count(0)
    await old.page.reload()
    await old.bell.click()
    await expect(old.notices.get_by_role("listitem")).to_have_count(0)
    await new.bell.click()
    await expect(new.notices.get_by_role("listitem")).to_contain_text("用户已同意修改规格")


async def test_a_second_device_follows_and_a_late_click_is_shown_the_card_as_it_is(
    screens: Screens, town: Town
) -> None:
    await town.gateway()
    await town.gateway()
    workbench, first = await screens.both()
    slow = await SlowPhone.open(screens, town)
    await workbench.propose(PAID, "S")
    await expect(slow.phone.agree).to_be_visible()
    slow.held = {"entry", "conversation"}

    third = await screens.phone()
    await third.reject.click()
    await first.answer("同意")
    await expect(third.card(PAID, "已同意")).to_be_visible()
    await expect(third.buttons).to_have_count(0)
    await expect(workbench.card(PAID, "已同意")).to_be_visible()

    await expect(slow.phone.card(PAID, "待处理")).to_be_visible()
    await slow.phone.answer("拒绝", "还是不要了")
    await expect(slow.phone.card(PAID, "已同意")).to_be_visible()
    await expect(slow.phone.buttons).to_have_count(0)
    await expect(slow.phone.page.locator(".toast")).to_be_visible()
    await expect(workbench.line("用户拒绝修改规格")).to_have_count(0)
    assert (await town.gateways[0].house.shop.order("nanshan", PAID)).lines[0].sku_id == "white-s"
