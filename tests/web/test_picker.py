"""The picker (改规格): what it refuses, in the exact words of the rules, and what it lets through only knowingly."""

import re

from playwright.async_api import expect

from tests.flows.town import Town
from tests.web.screens import Screens

LOWER = "此规格低于订单商品价格，无法修改　请与买家协商确认后，引导买家退款后重新下单"
SOLD_OUT = "此规格库存不足　需要 1 件，库存 0 件，请选择其他规格"
WAIVER = "买家将不再补差价；如不接受，请引导买家退款后重新下单"


async def test_what_cannot_be_chosen_says_why_and_changes_nothing(screens: Screens, town: Town) -> None:
    await town.gateway()
    workbench, phone = await screens.both()

    change = workbench.change("lin-wan-shipped")
    await expect(change).to_be_disabled()
    await expect(change).to_have_attribute("title", "订单已发货，不支持改规格 仅待付款、待发货的订单可以改规格")
    await expect(change).to_have_accessible_description(re.compile("订单已发货，不支持改规格"))
    await expect(workbench.order("lin-wan-shipped")).to_contain_text("订单已发货，不支持改规格")
    await change.click(force=True)
    await expect(workbench.picker).to_have_count(0)
    presale = workbench.order("lin-wan-presale")
    await expect(presale).to_contain_text("定金预售订单不支持改规格")

    picker = await workbench.pick("lin-wan-paid")
    for value, reason in (("炭灰", LOWER), ("L", SOLD_OUT)):
        chip = workbench.chip(value)
        await expect(chip).to_be_disabled()
        await expect(picker.get_by_title(reason)).to_be_visible()
        await workbench.choose(value)
        await expect(picker.get_by_role("status").filter(has_text=reason)).to_be_visible()
        await expect(chip).not_to_be_checked()
        await expect(workbench.send).to_be_disabled()
    await expect(workbench.chip("米白")).to_be_checked()
    await workbench.choose("墨绿")
    await workbench.choose("S")
    await expect(picker.get_by_role("status").filter(has_text="没有这种规格组合")).to_be_visible()
    await workbench.page.keyboard.press("Escape")
    await expect(workbench.picker).to_have_count(0)
    await expect(workbench.change("lin-wan-paid")).to_be_focused()
    await expect(phone.page.get_by_role("article")).to_have_count(0)


async def test_what_the_server_refuses_when_it_is_sent_is_shown_at_its_line(screens: Screens, town: Town) -> None:
    gateway = await town.gateway()
    workbench, phone = await screens.both()
    picker = await workbench.pick("lin-wan-paid")
    await workbench.choose("S")
    await expect(picker.get_by_role("article")).to_be_visible()
    await gateway.house.shop.set_sku("nanshan", "tee", "white-s", stock=0)
    await workbench.send.click()
    await expect(picker.get_by_role("alert")).to_have_text(SOLD_OUT)
    await expect(picker.get_by_role("status").filter(has_text="此规格库存不足")).to_be_visible()
    await expect(workbench.chip("S")).to_be_disabled()
    await expect(workbench.send).to_be_disabled()
    await expect(phone.page.get_by_role("article")).to_have_count(0)


async def test_several_lines_at_once_and_a_difference_only_knowingly(screens: Screens, town: Town) -> None:
    await town.gateway()
    workbench, phone = await screens.both()
    picker = await workbench.pick("lin-wan-two-lines")
    tick = picker.get_by_role("checkbox", name="已知晓，确认发送")
    await workbench.choose("S")
    await expect(picker).to_contain_text("将修改 1 件商品的规格")
    await expect(tick).to_have_count(0)
    await workbench.choose("米白")
    await workbench.choose("M")
    await workbench.choose("墨绿")
    await workbench.choose("窑变", "马克杯")
    await expect(picker).to_contain_text(WAIVER)
    await expect(picker).to_contain_text("¥89.00 → ¥99.00　每件 +¥10.00 · 库存 30")
    await expect(picker).to_contain_text("¥59.00 → ¥79.00　每件 +¥20.00 · 库存 30")
    await expect(picker.get_by_role("article")).to_contain_text("无需补差价")
    await expect(picker.get_by_role("article").get_by_role("listitem")).to_have_count(2)
    await expect(workbench.send).to_be_disabled()
    await expect(picker).to_contain_text("请先勾选确认")
    await workbench.send.click(force=True)
    await expect(tick).to_be_focused()
    await tick.check()
    await workbench.choose("青釉", "马克杯")  # the tick was for other amounts
    await expect(tick).not_to_be_checked()
    await workbench.choose("窑变", "马克杯")
    await tick.check()
    await expect(picker).to_contain_text("将修改 2 件商品的规格")
    await workbench.send.click()

    card = phone.card("lin-wan-two-lines", "待处理")
    await expect(card.get_by_role("listitem")).to_contain_text(["墨绿", "窑变"])
    await expect(card).to_contain_text("无需补差价")
    await phone.answer("同意")
    await expect(workbench.card("lin-wan-two-lines", "已同意")).to_be_visible()
    await expect(workbench.order("lin-wan-two-lines")).to_contain_text(re.compile("墨绿.*窑变.*¥207.00", re.S))
