"""Tokens: in no address that anybody logs, in no storage that outlives the tab, in no text; and the policy's teeth."""

import json

from playwright.async_api import Page, expect

from bot.participant import Role
from tests.flows.town import Town
from tests.web.screens import PHONE, Screens

STORED = "() => [localStorage, sessionStorage].map((kept) => Object.fromEntries(Object.entries(kept)))"


async def stored(page: Page) -> tuple[dict[str, str], dict[str, str]]:
    """What the page keeps for good, and for as long as its tab is there."""
    local, session = await page.evaluate(STORED)
    return local, session


async def test_a_token_stays_in_its_tab(screens: Screens, town: Town) -> None:
    await town.gateway()
    workbench, phone = await screens.both()
    await workbench.propose("lin-wan-paid", "S")
    await workbench.page.get_by_role("button", name="浅色或深色").click()
    await phone.page.get_by_role("button", name="EN").click()
    await phone.page.get_by_role("button", name="Agree").wait_for()
    await workbench.page.reload()
    await expect(workbench.card("lin-wan-paid", "待处理")).to_be_visible()

    tokens = [town.token(Role.AGENT, "xiaoyu"), town.token(Role.BUYER, "lin-wan")]
    secrets = [token.split(".")[0] + "." for token in tokens]  # whatever it says, a token begins like this
    for page in (workbench.page, phone.page):
        assert "#" not in page.url
        assert await page.evaluate("() => history.length") == 2  # about:blank, and this
        local, session = await stored(page)
        assert {name for name in local if not name.startswith("assent:seen:")} <= {"assent:locale", "assent:theme"}
        assert not [secret for secret in secrets if secret in json.dumps([local, await page.content()])]
        assert [name for name, value in session.items() if secrets[0] in value] == [f"assent:{path(page)}:token"]
        assert await page.context.cookies() == []
    assert {one.rpartition("/")[2] for one in screens.asked} >= {"workbench", "chat", "chat.js"}
    assert not [url for url in screens.asked if any(secret in url for secret in secrets) or "token=" in url]

    other = await phone.page.context.new_page()  # another tab has a session of its own: nobody is signed in there
    await other.goto(phone.page.url)
    await expect(other.get_by_role("heading", name="Nobody is signed in")).to_be_visible()


def path(page: Page) -> str:
    """The path of a page's address."""
    return "/" + page.url.rpartition("/")[2]


async def test_a_page_without_a_valid_token_says_so(screens: Screens, town: Town) -> None:
    await town.gateway()
    nobody = await screens.page("/workbench")
    await expect(nobody.get_by_role("heading", name="尚未登录")).to_be_visible()
    expired = await screens.page("/chat#token=nonsense", viewport=PHONE)
    await expect(expired.locator("assent-connection[data-state=refused]")).to_be_visible()


async def test_the_policy_lets_no_text_become_markup(screens: Screens, town: Town) -> None:
    """What the other tests rely on: were a page to do it, the browser would refuse, and it would be heard of."""
    await town.gateway()
    phone = await screens.phone()
    for wrong in (
        "document.body.innerHTML = '<b>bold</b>'",
        "document.body.append(Object.assign(document.createElement('script'), { text: 'window.pwned = 1' }))",
    ):
        assert (
            await phone.page.evaluate(f"() => {{ try {{ {wrong}; }} catch (error) {{ return error.name; }} }}")
            == "TypeError"
        )
    await phone.page.evaluate("() => document.body.setAttribute('style', 'color: red')")
    assert await phone.page.evaluate("() => getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
    refused = [said for said in screens.complaints if "Content Security Policy" in said or "TrustedHTML" in said]
    assert refused
    screens.complaints.clear()
