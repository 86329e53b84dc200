"""The keyboard alone, for what else people do: refusing with a reason, withdrawing, searching, handing on."""

import re

from playwright.async_api import expect

from tests.flows.town import Town
from tests.web.keys import Keys
from tests.web.screens import Screens

PAID, UNPAID = "lin-wan-paid", "lin-wan-unpaid"


async def test_a_buyer_refuses_with_a_reason_and_looks_at_her_orders(screens: Screens, town: Town) -> None:
    """From the message field to the card and back; a dialog gives the focus back to the button that opened it."""
    await town.gateway()
    agent = await town.agent()
    phone = await screens.phone()
    keys = Keys(phone.page)
    await keys.tab_to(phone.field)
    await keys.type("在吗")
    await keys.press("Enter")
    await expect(phone.log.get_by_text("未读")).to_be_visible()
    changes = [{"line_id": "1", "to_sku": "white-s"}]
    await agent.propose("nanshan.lin-wan", PAID, changes)
    await expect(phone.agree).to_be_visible()
    await expect(phone.page.get_by_role("status").filter(has_text="商家申请修改商品规格").first).to_be_attached()
    await expect(phone.field).to_be_focused()
    await keys.use(phone.reject, back=True)
    await expect(phone.page.get_by_role("textbox", name="原因（选填）")).to_be_focused()
    await keys.type("颜色不喜欢")
    await keys.use(phone.page.get_by_role("button", name="确认拒绝"))
    await expect(phone.card(PAID, "已拒绝")).to_contain_text("您的留言：颜色不喜欢")
    await expect(phone.log).to_be_focused()

    orders = phone.page.get_by_role("button", name="我的订单")
    await keys.use(orders, back=True)
    sheet = phone.page.get_by_role("dialog", name="我的订单")
    await expect(sheet.get_by_role("listitem")).to_have_count(5)
    await keys.press("Escape")
    await expect(sheet).to_be_hidden()
    await expect(orders).to_be_focused()


async def test_an_agent_withdraws_searches_and_hands_on(screens: Screens, town: Town) -> None:
    """And reads notices, takes a quick reply, and looks at a spec that cannot be, with no focus lost on the way."""
    await town.gateway()
    await (await town.agent()).add_quick_reply("您好{buyer}", title="问候")
    workbench, phone = await screens.both()
    page, keys = workbench.page, Keys(workbench.page)
    transfer, dialog = page.get_by_role("button", name="转接", exact=True), page.get_by_role("dialog", name="转接")
    await keys.use(transfer, back=True)
    await expect(dialog.get_by_role("radio", name=re.compile("阿禾.*离线"))).to_be_disabled()
    await keys.press("Escape")
    await expect(transfer).to_be_focused()
    colleague = await town.agent("ahe")
    await workbench.propose(PAID, "S")

    await keys.use(workbench.order(PAID).get_by_role("button", name="撤回"))
    await expect(phone.card(PAID, "已撤回")).to_be_visible()
    await expect(workbench.change(PAID)).to_be_focused()
    await expect(page.get_by_role("status").filter(has_text=f"已撤回订单 {PAID} 的改规格申请").first).to_be_attached()
    await keys.use(workbench.change("lin-wan-shipped"))
    await expect(page.get_by_role("status").filter(has_text="订单已发货，不支持改规格").first).to_be_attached()
    await expect(workbench.picker).to_have_count(0)

    await keys.use(workbench.bell, back=True)
    await expect(workbench.notices).to_be_visible()
    await keys.press("Escape")
    await expect(workbench.notices).to_be_hidden()
    await expect(workbench.bell).to_be_focused()

    await keys.tab_to(page.get_by_role("searchbox"))
    await keys.type(UNPAID)
    await expect(workbench.list.get_by_role("heading")).to_have_text(["搜索结果 1"])
    await keys.press("ArrowDown", "Enter")
    await expect(workbench.field).to_be_focused()

    await keys.use(page.get_by_role("button", name="快捷短语"), back=True)
    await keys.use(page.get_by_role("dialog", name="快捷短语").get_by_role("button", name=re.compile("^问候")))
    await expect(workbench.field).to_have_value("您好林晚")
    await expect(workbench.field).to_be_focused()
    await keys.press("Enter")
    await expect(phone.log.get_by_text("您好林晚")).to_be_visible()

    await keys.use(transfer, back=True)
    await keys.use(dialog.get_by_role("radio", name=re.compile("阿禾.*在线.*接待 0.100")), "Space")
    await keys.tab_to(dialog.get_by_role("textbox", name="原因"))
    await keys.type("换班")
    await keys.use(dialog.get_by_role("button", name="转接", exact=True))
    await expect(dialog).to_have_count(0)
    await expect(workbench.orders).to_contain_text("此会话由 阿禾 接待")
    await expect(workbench.log).to_be_focused()  # what is left to do here is to read
    assert [item["agent_id"] for item in (await colleague.list_conversations())["conversations"]] == ["ahe"]
