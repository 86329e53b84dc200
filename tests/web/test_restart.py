"""A gateway that is gone and comes back at the same address, with pages open that were in the middle of something."""

from functools import partial
from itertools import pairwise
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Locator, expect

from bot.app import House
from bot.cli.listening import listening
from tests.flows.town import Town
from tests.web.screens import Screens
from tests.web.slow_phone import SlowPhone

HERS = BEFORE, RELOADED, CUT, WHILE = "在吗", "刷新时没有回执", "重启时没有回执", "重启时写的"
TOO = "我也在写"


async def hers(log: Locator) -> list[str]:
    """What she said, in order."""
    texts = await log.get_by_role("listitem").all_inner_texts()
    return [text for row in texts for text in row.splitlines() if text in HERS]


async def test_a_gateway_is_restarted_at_its_address(
    screens: Screens, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was typed meanwhile is kept and said once, in its order; so is what was taken just before and never
    acknowledged, over a reload as well. Seen to fail with a fresh id for what is sent again: it was said twice."""
    gateway = await town.gateway()
    slow, workbench = await SlowPhone.open(screens, town), await screens.workbench()
    phone, page = slow.phone, slow.phone.page
    await phone.say(BEFORE)
    await workbench.turn_to()
    for text in (RELOADED, CUT):
        slow.held = {"ok", "entry"}
        await phone.say(text)
        await expect(workbench.log.get_by_text(text, exact=True)).to_be_visible()
        await expect(phone.log).to_contain_text("发送中…")
        if text == RELOADED:
            slow.held = set()
            await page.reload()
            await expect(phone.log.get_by_text(BEFORE, exact=True)).to_be_visible()
            await expect(phone.log).not_to_contain_text("发送中…")

    await gateway.stop()
    status = page.get_by_role("status")
    await expect(status.filter(has_text="连接中断，即将重连")).to_be_visible()
    await expect(workbench.page.get_by_role("status").filter(has_text="连接中断，即将重连")).to_be_visible()
    await phone.say(WHILE)
    await workbench.say(TOO)
    for log, kept in ((phone.log, 2), (workbench.log, 1)):
        await expect(log.get_by_text("已保存，联网后自动发送")).to_have_count(kept)

    slow.held = set()
    again = partial(_at, urlsplit(gateway.url).port)
    monkeypatch.setattr("tests.flows.town.listening", again)
    assert (await town.gateway()).url == gateway.url
    for one in (phone, workbench):
        await expect(one.page.locator("assent-connection[data-state=connected]")).to_be_attached()
        await expect(one.log).not_to_contain_text("已保存")
        await expect(one.log.get_by_text(TOO, exact=True)).to_have_count(1)
        await expect(one.log.get_by_text(WHILE, exact=True)).to_be_visible()
        assert await hers(one.log) == [*HERS]
    await expect(workbench.page.get_by_role("status").filter(has_text="已连接")).to_be_visible()


async def test_attempts_become_rarer(screens: Screens, town: Town) -> None:
    """A page whose gateway is gone waits before each attempt for its share of a second, then of twice that, …"""
    page = await screens.page("/healthz", on=await town.gateway())
    gone = await town.gateway()
    await gone.stop()
    begun = await page.evaluate(
        """async (url) => {
            const { ChatClient } = await import("/web/chat.js"), Real = WebSocket, begun = [];
            Math.random = () => 0.2;
            window.WebSocket = class extends Real {
                constructor(url) { super(url); begun.push(performance.now()); }
            };
            const chat = new ChatClient({ url, token: () => "" });
            chat.connect();
            while (begun.length < 4) await new Promise((done) => chat.addEventListener("state", done, { once: true }));
            chat.close();
            return begun;
        }""",
        gone.url,
    )
    pauses = [later - sooner for sooner, later in pairwise(begun)]
    assert all(pause >= 200 * 2**number for number, pause in enumerate(pauses)), pauses


def _at(port: int | None, house: House, host: str, _: int) -> object:
    return listening(house, host, port or 0)
