"""Reloads, networks that are cut and gateways that go away: nothing is lost, nothing doubled, no button lies."""

from playwright.async_api import Locator, Page, expect

from tests.flows.town import Town
from tests.web.balancer import Balancer
from tests.web.screens import Screens
from tests.web.slow_phone import SlowPhone

PAID = "lin-wan-paid"


def connection(page: Page, state: str) -> Locator:
    """The page's connection, once it is in that state."""
    return page.locator(f"assent-connection[data-state={state}]")


async def test_a_network_that_is_cut_and_a_reload(screens: Screens, town: Town) -> None:
    await town.gateway()
    await town.gateway()
    workbench, phone = await screens.both()
    await workbench.propose(PAID, "S")
    await expect(phone.agree).to_be_enabled()

    for page in (phone.page, workbench.page):
        await page.context.set_offline(True)
    await expect(connection(phone.page, "offline")).to_be_visible()
    await expect(phone.page.get_by_role("status").filter(has_text="网络已断开")).to_be_visible()
    await expect(phone.agree).to_be_disabled()
    await expect(phone.page.get_by_text("当前未连接，恢复后即可操作")).to_be_visible()
    await expect(connection(workbench.page, "offline")).to_be_visible()
    await phone.say("离线时写的")
    await workbench.say("我也断网了")
    for log in (phone.log, workbench.log):
        await expect(log).to_contain_text("已保存，联网后自动发送")
    await phone.field.fill("还没写完")

    for page in (phone.page, workbench.page):
        await page.context.set_offline(False)
        await expect(connection(page, "connected")).to_be_attached()
    await expect(phone.agree).to_be_enabled()
    for _ in range(2):
        for log in (phone.log, workbench.log):
            for text in ("在吗", "离线时写的", "我也断网了"):
                await expect(log.get_by_text(text, exact=True)).to_have_count(1)
            await expect(log).not_to_contain_text("已保存")
            await expect(log.get_by_role("article")).to_have_count(1)
        await expect(phone.field).to_have_value("还没写完")
        await phone.page.reload()
        await workbench.page.reload()

    await phone.agree.click()
    await phone.page.reload()  # a confirmation that was not given is none
    await expect(phone.card(PAID, "待处理")).to_be_visible()
    await phone.answer("同意")
    await phone.page.reload()
    await expect(phone.card(PAID, "已同意")).to_have_count(1)
    await expect(workbench.line("用户已同意修改规格")).to_have_count(1)


async def test_a_gateway_that_goes_away(screens: Screens, town: Town) -> None:
    """The pages know one address; behind it the gateway stops, nobody answers for a while, then another one does."""
    first = await town.gateway()
    async with Balancer.listening(first) as site:
        workbench, phone = await screens.workbench(on=site.url), await screens.phone(on=site.url)
        await phone.say("在吗")
        await workbench.turn_to()
        await workbench.propose(PAID, "S")
        await expect(phone.agree).to_be_enabled()
        site.to = None
        await first.stop()
        await expect(connection(phone.page, "connecting")).to_be_visible()
        await expect(phone.agree).to_be_disabled()
        await phone.say("还在吗？")
        await phone.page.get_by_role("button", name="立即重连").click()
        await expect(phone.page.get_by_role("status").filter(has_text="连接中断，即将重连")).to_be_visible()

        site.to = await town.gateway()
        for page in (phone.page, workbench.page):
            await expect(connection(page, "connected")).to_be_attached()
        await phone.answer("同意")
        await expect(workbench.line("用户已同意修改规格")).to_have_count(1)
        for log in (phone.log, workbench.log):
            await expect(log.get_by_text("还在吗？", exact=True)).to_have_count(1)
            await expect(log.get_by_role("article")).to_have_count(1)


async def test_a_message_is_shown_once_while_its_acknowledgement_is_late(screens: Screens, town: Town) -> None:
    """And two that say the same are two. Seen to fail where the log shows all of the outbox."""
    await town.gateway()
    slow = await SlowPhone.open(screens, town)
    phone = slow.phone
    await phone.say("好的")
    await expect(phone.log.get_by_text("未读")).to_be_visible()  # sent, acknowledged, and the log is here
    slow.held = {"ok"}
    await phone.field.fill("好的")
    await phone.field.press("Enter")
    await expect(phone.log.locator(".bubble")).to_have_count(2)
    await expect(phone.log.locator(".unsent")).to_have_count(0)
    await expect(phone.log.locator(".bubble")).to_have_count(2)
