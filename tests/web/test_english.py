"""Every page in English, with all that opens on it open: nothing serious for axe-core, and no Chinese of ours."""

import re
from urllib.parse import urlsplit

from playwright.async_api import Page, expect

from bot.client import ChatClient
from tests.flows.town import Town
from tests.web.axe import find
from tests.web.demo import Demo
from tests.web.screens import DESK, Screens

TWO = "lin-wan-two-lines"
HERE, ORDER = "qingmu.lin-wan", "QM1027"
NOT_OURS = "重磅纯棉短袖|手作马克杯|颜色|尺码|釉色|米白|墨绿|炭灰|青釉|月白|窑变|素胎|林晚|小雨|阿禾|在吗|中文|^小$"
"""What the shop and people are called, and say; and the other language's own name."""
SPOKEN = """() => {
    const texts = ({ childNodes }) => [...childNodes].map(({ nodeType, data }) => nodeType === Node.TEXT_NODE && data);
    const shown = [...document.querySelectorAll("body, body *")].filter((one) => one.checkVisibility());
    return shown.flatMap((one) => [one.ariaLabel, one.title, one.placeholder, ...texts(one)]);
}"""


async def foreign(page: Page, what: str) -> list[str]:
    """Chinese that the page itself says."""
    texts = {re.sub(NOT_OURS, "", text).strip() for text in await page.evaluate(SPOKEN) if text}
    return [f"{what}: {text}" for text in sorted(texts) if re.search(r"[一-鿿]", text)]


async def test_language_and_theme_are_remembered(screens: Screens, town: Town) -> None:
    """Chinese first, whatever the browser speaks; light or dark as the system is, until somebody chooses."""
    await town.gateway()
    page = (await screens.workbench(locale="en-GB", color_scheme="light")).page
    background = "() => getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(background)
    await page.emulate_media(color_scheme="dark")
    dark = await page.evaluate(background)
    assert dark != light
    await page.get_by_role("button", name="浅色或深色").click()
    assert await page.evaluate(background) == light
    await page.get_by_role("button", name="English").click()
    await expect(page.get_by_role("button", name="Light or dark")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("button", name="Light or dark")).to_be_visible()
    assert await page.evaluate(background) == light
    assert await page.evaluate("() => document.documentElement.lang") == "en"


async def test_both_screens(screens: Screens, town: Town) -> None:
    """The picker with its warning, quick replies, the transfer, the notices; the confirmation, the orders. And nothing
    of all that came from anywhere else."""
    await town.gateway()
    workbench, phone = await screens.both()
    await town.agent("ahe")
    desk, hand = workbench.page, phone.page
    await desk.get_by_role("button", name="English").click()
    await hand.get_by_role("button", name="EN").click()
    found: list[str] = []

    async def check(page: Page, what: str) -> None:
        found.extend([*await foreign(page, what), *await find(page, what)])

    order = desk.get_by_role("listitem").filter(has_text=TWO)
    await order.get_by_role("button", name="Change spec").click()
    picker = desk.get_by_role("dialog", name=re.compile("^Change spec"))
    await picker.get_by_role("radio", name="墨绿").click(force=True)
    await expect(picker.get_by_role("article")).to_be_visible()
    await check(desk, "picker")
    await picker.get_by_role("checkbox", name="I understand; send it").check()
    await picker.get_by_role("button", name="Send to buyer").click()
    await expect(order.get_by_role("button", name="Waiting for buyer")).to_be_visible()

    await check(hand, "card")
    await hand.get_by_role("button", name="Reject").click()
    await expect(hand.get_by_role("textbox", name="Why (optional)")).to_be_focused()
    await check(hand, "confirmation")
    await hand.get_by_role("button", name="Yes, reject").click()
    await expect(hand.get_by_role("article", name=re.compile("Rejected$"))).to_be_visible()
    await hand.get_by_role("button", name="My orders").click()
    await expect(hand.get_by_role("dialog").get_by_role("listitem")).to_have_count(5)
    await check(hand, "orders")

    for dialog in ("Quick replies", "Transfer", "Notices"):
        await desk.get_by_role("button", name=re.compile(f"^{dialog}")).click()
        await expect(desk.get_by_role("dialog", name=dialog)).to_be_visible()
        await check(desk, dialog)
        await desk.keyboard.press("Escape")
        await expect(desk.get_by_role("dialog", name=dialog)).to_have_count(0)
    assert found == []
    assert {urlsplit(url).netloc for url in screens.asked} == {urlsplit(town.gateways[0].url).netloc}


async def test_the_stage_and_nobody(screens: Screens, town: Town) -> None:
    """The rest of the world by its buttons: cards that wait for 30 s only, a shop that ships, one more phone that
    follows; and the page of somebody who has no token."""
    async with Demo.running(town.redis_url, pace=100) as demo:
        page = await screens.page("/", on=demo.url, viewport=DESK)
        await page.get_by_role("button", name="English").click()
        short = page.get_by_role("switch", name="30 s to answer")
        await short.click()
        await expect(short).to_be_checked()
        await expect(page.get_by_role("status").filter(has_text="For cards sent from now on")).to_be_visible()
        async with ChatClient(f"{demo.url.replace('http', 'ws', 1)}/ws", demo.tokens["xiaoyu"]) as agent:
            await agent.open("lin-wan")
            await agent.propose(HERE, ORDER, [{"line_id": "1", "to_sku": "thermos-white-500"}])
        phone = page.frame_locator("#chat iframe")
        timer = phone.get_by_role("article").get_by_role("timer")
        await expect(timer).to_have_text(re.compile(r"^00:[0-3]\d left$"))
        async with page.context.expect_page() as opened:
            await page.get_by_role("link", name="Another phone").click()
        other = await opened.value
        await expect(other.get_by_role("button", name="Agree")).to_be_enabled()
        await expect(page.get_by_role("combobox", name="林晚's order")).to_have_value(ORDER)
        await page.get_by_role("button", name="Shop ships").click()
        for device in (phone, other):
            await expect(device.get_by_role("article", name=ORDER)).to_contain_text("No longer valid")
            await expect(device.get_by_role("article").get_by_role("button")).to_have_count(0)
        await expect(page.get_by_role("button", name="Shop ships")).to_be_disabled()
        await short.click()
        await expect(short).not_to_be_checked()

        found = [*await find(page, "stage"), *await find(other, "phone")]
        nobody = await page.context.new_page()
        await nobody.goto(f"{demo.url}/workbench")
        await expect(nobody.get_by_role("heading", name="Nobody is signed in")).to_be_visible()
        found += [*await find(nobody, "nobody"), *await foreign(nobody, "nobody")]
    assert found == []
