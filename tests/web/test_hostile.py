"""Text and names of people who mean harm, or only write strangely: shown as they are, as text, in their place."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from bot.auth import Tokens
from bot.participant import Participant, Role
from bot.shopfile import ShopFile
from tests.flows.nanshan import shop_file
from tests.flows.town import SECRET, Town
from tests.web.screens import Screens
from tests.web.workbench import Workbench

MARKUP = '<img src=x onerror="window.pwned=1"><script>window.pwned=2</script>'
RTL = "\u2069\u202egpj.exe\u2067مرحبا"
"""Ends an isolate that it did not begin, and begins two more that it does not end."""
LONG = "W" * 300
MESSAGES = [
    MARKUP,
    f"</textarea></title>{MARKUP}",
    "javascript:window.pwned=3 &lt;b&gt; {order} {buyer} ${7*7} {{constructor.constructor('window.pwned=4')()}}",
    RTL,
    "a\u200bb\u200d\u2060\ufeffc\u00adé",
    LONG,
    "👩\u200d👩\u200d👧\u200d👦🏳️\u200d🌈" * 40,
    "Z" + "\u0334\u0322\u031b\u0353" * 60,
    "\n".join("　列\t表 " + str(line) for line in range(30)).strip(),
    "constructor",
]
PERSON = f"{RTL}<b>{LONG[:80]}</b>{MARKUP[:40]}"
ALONE = f"\u2068{PERSON[1:]}\u2069\u2069"
"""That name among other words: what it ends is nothing of ours, and what it begins ends with it."""
ORDER = "lin-wan-paid"

MADE = "() => [window.pwned, document.querySelectorAll('body :is(img, script, iframe, object)').length]"
TOO_WIDE = """() => {
    const clipped = (element) =>
        element && (getComputedStyle(element).textOverflow === "ellipsis" || clipped(element.parentElement));
    return [...document.querySelectorAll("html, body *")].filter((element) => {
        if (element.closest(".sr-only, assent-strip, textarea, input, svg") || clipped(element)) return false;
        if (!element.checkVisibility()) return false;
        const { overflowX } = getComputedStyle(element), { right } = element.getBoundingClientRect();
        return right > innerWidth + 1 || (overflowX !== "visible" && element.scrollWidth > element.clientWidth + 1);
    }).map((element) => `${element.tagName}.${element.className}: ${element.textContent.slice(0, 30)}`);
}"""
"""What is wider than its place, but for what ends in an ellipsis, and the strip, which scrolls."""

TURNED = """() => {
    const found = [], range = document.createRange();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node; (node = walker.nextNode()); ) {
        let line = NaN, last = 0;
        if (!node.parentElement.checkVisibility() || node.parentElement.closest(".sr-only")) continue;
        for (const { index } of node.data.matchAll(/[\u4e00-\u9fff]/g)) {
            range.setStart(node, index);
            range.setEnd(node, index + 1);
            const { left, top } = range.getBoundingClientRect();
            if (top === line && left <= last) {
                found.push(node.data.slice(0, 160));
                break;
            }
            [line, last] = [top, left];
        }
    }
    return found;
}"""
"""Texts of ours, all in Chinese here, that do not run from left to right on a line."""


def hostile_shop() -> ShopFile:
    """南山小铺, its goods and specs named by somebody hostile."""
    text = shop_file().model_dump_json()
    names = {
        "重磅纯棉短袖": f"{MARKUP}{LONG[:120]}",
        "墨绿": f"{MARKUP[:60]}{LONG[:40]}",
        "炭灰": RTL,
        "尺码": "__proto__",
    }
    for plain, hostile in names.items():
        text = text.replace(f'"{plain}"', '"' + hostile.replace('"', '\\"') + '"')
    return ShopFile.model_validate_json(text)


def token(role: Role, id: str) -> str:
    """A token of somebody with that name."""
    expires = datetime.now(UTC) + timedelta(hours=1)
    return Tokens(SECRET).sign(Participant(role=role, id=id, shop_id="nanshan", name=PERSON, expires=expires))


async def harmless(page: Page) -> None:
    """Nothing ran, nothing was made, nothing is turned around or sticks out.

    Seen to fail where a name is not a box of its own in its line. That it is isolated in a text is asserted where there
    is one (ALONE), seen to fail without, in the page's texts and in the server's.
    """
    assert await page.evaluate(MADE) == [None, 0]
    assert await page.evaluate(TURNED) == []
    assert await page.evaluate(TOO_WIDE) == []


async def test_hostile_text_stays_text_and_in_its_place(
    screens: Screens, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.flows.town.shop_file", hostile_shop)
    await town.gateway()
    phone = await screens.phone(token=token(Role.BUYER, "lin-wan"))
    workbench = await screens.workbench(token=token(Role.AGENT, "xiaoyu"))
    for text in MESSAGES:
        await phone.field.fill(text)
        await phone.field.press("Enter")
    await expect(phone.log.locator(".bubble")).to_have_count(len(MESSAGES))
    await workbench.list.locator(".list-item").click()
    for log in (phone.log, workbench.log):
        await expect(log.locator(".bubble")).to_have_count(len(MESSAGES))
        assert await log.locator(".bubble").evaluate_all("(all) => all.map((one) => one.textContent)") == MESSAGES
    assert await workbench.page.get_by_role("heading", level=1).text_content() == PERSON
    assert await phone.page.get_by_role("heading", level=1).text_content() == PERSON
    await workbench.say(MARKUP)
    await expect(phone.log.get_by_text(MARKUP, exact=True).last).to_be_visible()

    picker = await workbench.pick(ORDER)
    for chip in (2, 1):  # of three colours
        await picker.get_by_role("radio").nth(chip).click(force=True)
    await expect(picker.get_by_role("article")).to_be_visible()
    await harmless(workbench.page)
    await picker.get_by_role("checkbox").check()
    await workbench.send.click()
    await expect(phone.agree).to_be_enabled()
    await harmless(phone.page)
    await phone.answer("拒绝", MARKUP + LONG[:60])
    await expect(phone.card(ORDER, "已拒绝")).to_contain_text(MARKUP)
    await expect(workbench.card(ORDER, "已拒绝")).to_contain_text(MARKUP)
    await expect(workbench.toasts.first).to_contain_text(ALONE)
    await harmless(workbench.page)
    await screens.workbench(token=token(Role.AGENT, "ahe"))
    await _elsewhere(workbench)
    await harmless(workbench.page)
    await phone.page.get_by_role("button", name="我的订单").click()
    await expect(phone.page.get_by_role("dialog")).to_contain_text(MARKUP)
    await harmless(phone.page)


async def _elsewhere(workbench: Workbench) -> None:
    """The notice centre, the title of a window that nobody looks at, and a transfer to somebody of that name."""
    page = workbench.page
    await workbench.bell.click()
    await expect(workbench.notices).to_contain_text(PERSON)
    await harmless(page)
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="转接").click()
    dialog = page.get_by_role("dialog", name="转接")
    await dialog.get_by_role("radio").check()
    await dialog.get_by_role("textbox").fill(MARKUP)
    await harmless(page)
    await dialog.get_by_role("button", name="转接").click()
    await expect(workbench.line("将会话转接给")).to_contain_text(f"{ALONE} 将会话转接给 {ALONE}")
    await expect(workbench.orders).to_contain_text(f"此会话由 {ALONE} 接待")
    await harmless(page)
