"""For everybody: the keyboard alone suffices, and axe-core finds nothing serious on any page, light or dark."""

from playwright.async_api import expect

from tests.flows.town import Town
from tests.web.axe import find
from tests.web.keys import Keys
from tests.web.screens import Screens

PAID = "lin-wan-paid"


async def test_the_whole_negotiation_by_keyboard(screens: Screens, town: Town) -> None:
    await town.gateway()
    other = await screens.phone("chen-mo")
    await other.say("你好")
    phone = await screens.phone()
    await phone.say("在吗")
    workbench = await screens.workbench()
    await expect(workbench.list.locator(".list-item")).to_have_count(2)
    agent, buyer = Keys(workbench.page), Keys(phone.page)

    await agent.tab_to(workbench.conversation("陈默"))
    await agent.press("ArrowDown")
    await expect(workbench.conversation("林晚")).to_be_focused()
    await agent.press("Enter")
    await expect(workbench.field).to_be_focused()
    await agent.type("您好，请稍等")
    await agent.press("Enter")
    await expect(phone.log.get_by_text("您好，请稍等")).to_be_visible()
    await agent.use(workbench.change(PAID))
    await expect(workbench.chip("米白")).to_be_focused()
    await agent.press("ArrowLeft")  # 炭灰, from the first round to the last, which is cheaper
    await expect(workbench.picker.get_by_role("status").filter(has_text="此规格低于订单商品价格")).to_be_visible()
    await expect(workbench.chip("米白")).to_be_checked()
    await agent.tab_to(workbench.chip("M"))
    await agent.press("ArrowLeft")
    await expect(workbench.chip("S")).to_be_checked()
    await expect(workbench.picker.get_by_role("article")).to_be_visible()
    await agent.use(workbench.send)
    await expect(workbench.card(PAID, "待处理")).to_be_visible()
    await expect(workbench.change(PAID)).to_be_focused()

    await expect(phone.agree).to_be_enabled()
    await buyer.use(phone.agree, back=True)
    await expect(phone.page.get_by_role("button", name="确认同意")).to_be_focused()
    await buyer.press("Tab", "Enter")  # 返回
    await expect(phone.agree).to_be_focused()
    await buyer.press("Enter", "Enter")
    await expect(phone.card(PAID, "已同意")).to_be_visible()
    await expect(workbench.line("用户已同意修改规格")).to_have_count(1)
    await expect(phone.log).to_be_focused()
    await expect(workbench.page.get_by_role("status").filter(has_text="用户已同意修改规格").first).to_be_attached()
    await expect(phone.page.get_by_role("status").filter(has_text="已同意").first).to_be_attached()


async def test_axe_finds_nothing_serious(screens: Screens, town: Town) -> None:
    await town.gateway()
    workbench, phone = await screens.both()
    await workbench.propose(PAID, "S")
    await expect(phone.agree).to_be_enabled()
    found = [*await find(workbench.page, "workbench"), *await find(phone.page, "phone")]
    await phone.answer("拒绝", "不了")
    await expect(workbench.line("用户拒绝修改规格")).to_be_visible()
    await workbench.pick("lin-wan-two-lines")
    await workbench.choose("墨绿")
    await expect(workbench.picker.get_by_role("article")).to_be_visible()
    found += await find(workbench.page, "picker")
    assert found == []
