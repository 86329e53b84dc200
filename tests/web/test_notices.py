"""What must not be overlooked while nobody looks: the title, the desktop, and the centre, which forgets nothing."""

import re

from playwright.async_api import Page, expect

from tests.flows.town import Town
from tests.web.screens import Screens

PAID, UNPAID = "lin-wan-paid", "lin-wan-unpaid"
DESKTOP = """
    const kept = (name) => JSON.parse(localStorage.getItem(`desktop:${name}`) ?? "[]");
    const keep = (name, one) => localStorage.setItem(`desktop:${name}`, JSON.stringify([...kept(name), one]));
    window.Notification = class {
        constructor(title, { body }) { keep("shown", `${title}: ${body}`); window.notification = this; }
        static get permission() { return kept("asked").length ? "granted" : "default"; }
        static async requestPermission() { keep("asked", 1); return this.permission; }
    };
    window.desktop = () => [kept("asked").length, kept("shown")];
"""
"""A desktop that shows nothing, and remembers what it was asked; who is asked agrees."""


async def hide(page: Page, hidden: bool = True) -> None:
    """Let the page be in the background, as far as it can tell, or in front again."""
    await page.evaluate(
        """(hidden) => {
            Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
            document.hasFocus = () => !hidden;
            document.dispatchEvent(new Event("visibilitychange"));
            dispatchEvent(new Event(hidden ? "blur" : "focus"));
        }""",
        hidden,
    )


async def test_outcomes_reach_an_agent_who_looks_elsewhere(screens: Screens, town: Town) -> None:
    """A desktop notification, allowed once and shown only in the background; a title that says so until it is seen;
    both of them, and an entry in the centre that a reload leaves, bring the agent to the conversation."""
    await town.gateway()
    workbench, phone = await screens.both()
    page = workbench.page
    await page.add_init_script(DESKTOP)
    await page.reload()
    await workbench.turn_to()
    await workbench.propose(PAID, "S")
    ask = workbench.notices.get_by_role("button", name="开启桌面通知")
    assert await page.evaluate("() => desktop()") == [0, []]  # nobody is asked who did not ask for it
    await workbench.bell.click()
    await ask.click()
    await expect(ask).to_have_count(0)
    await page.keyboard.press("Escape")

    await phone.answer("拒绝", "先不改了")
    await expect(workbench.toasts.filter(has_text="用户拒绝修改规格")).to_be_visible()
    await expect(page).to_have_title("客服工作台")
    assert await page.evaluate("() => desktop()") == [1, []]

    await workbench.propose(UNPAID, "S")
    await (await town.buyer("chen-mo")).say("nanshan.chen-mo", "你好")
    await workbench.turn_to("陈默")
    await hide(page)
    await phone.answer("同意")
    await expect(page).to_have_title("(1) 林晚 · 用户已同意修改规格")
    assert await page.evaluate("() => desktop()") == [1, ["林晚: 用户已同意修改规格"]]
    await hide(page, False)
    await expect(page).to_have_title("客服工作台")
    await page.evaluate("() => notification.onclick()")
    await expect(page.get_by_role("heading", name="林晚", level=1)).to_be_visible()

    await workbench.turn_to("陈默")
    await page.reload()
    await expect(workbench.bell).to_have_accessible_name("通知，2 条未看")
    await workbench.bell.click()
    await expect(ask).to_have_count(0)
    entries = workbench.notices.get_by_role("listitem")
    await expect(entries).to_have_text([re.compile("林晚.*用户已同意修改规格"), re.compile("林晚.*用户拒绝修改规格")])
    await expect(workbench.bell).to_have_accessible_name("通知，0 条未看")
    assert await page.evaluate("() => desktop()") == [1, ["林晚: 用户已同意修改规格"]]
    await entries.first.get_by_role("button").click()
    await expect(workbench.notices).to_be_hidden()
    await expect(page.get_by_role("heading", name="林晚", level=1)).to_be_visible()
