"""A desk at its fullest: 500 open conversations, one of them 5,000 messages long. Times are printed, not judged.

What is judged is the long chat read back: nothing missing, doubled or moved, and few rows in the page, however many
were read. Seen to fail where rows are only ever added.
"""

import asyncio
import time

import pytest
from playwright.async_api import Page, expect

from bot.app import House
from bot.conversation import Conversation
from bot.documents.store import Commit
from bot.entry import Author, Entry
from bot.marks import ASKED
from bot.participant import Role
from tests.flows.town import Town
from tests.web.screens import Screens

CONVERSATIONS, MESSAGES, AT_ONCE = 500, 5000, 250
READ_BACK = 2000
"""So many messages are read back: nobody's thumb does that to all of them."""
WATCH = """window.longTasks = [];
    new PerformanceObserver((list) => longTasks.push(...list.getEntries().map(({ duration }) => Math.round(duration))))
        .observe({ type: "longtask", buffered: true });"""
SCROLL = """async (selector) => {
    const scroller = document.querySelector(selector), frames = [];
    let last = performance.now();
    for (let at = 0; at < 90; at++) {
        scroller.scrollTop += 400 * (at < 45 ? 1 : -1);
        await new Promise(requestAnimationFrame);
        frames.push(performance.now() - last);
        last = performance.now();
    }
    return frames.sort((a, b) => a - b).slice(-5).map(Math.round);
}"""
SAY = """async () => {
    const began = performance.now(), newest = () => document.querySelector(".log-rows > :last-child");
    document.querySelector("assent-composer button").click();
    while (newest().matches(".unsent") || newest().querySelector(".bubble")?.textContent !== "这句是新的")
        await new Promise(requestAnimationFrame);
    return Math.round(performance.now() - began);
}"""
READ = """async ([step, most]) => {
    const scroller = document.querySelector(".log-scroll"), list = scroller.firstChild, seen = new Set();
    const shown = () => [...list.querySelectorAll(".bubble")];
    const number = ({ textContent }) => Number(/\\d+/.exec(textContent));
    const frame = () => new Promise(requestAnimationFrame);
    const middle = scroller.getBoundingClientRect().top + scroller.clientHeight / 2;
    let rows = 0, doubled = 0, drift = 0;
    for (const limit = performance.now() + 60000; performance.now() < limit; ) {
        const at = shown().find((one) => one.getBoundingClientRect().bottom > middle);
        const before = at.getBoundingClientRect().top, from = scroller.scrollTop;
        scroller.scrollTop += step;
        const expected = before - (scroller.scrollTop - from);
        await frame();
        await frame();
        if (at.isConnected) drift = Math.max(drift, Math.abs(at.getBoundingClientRect().top - expected));
        const numbers = shown().map(number);
        rows = Math.max(rows, list.childElementCount);
        doubled += numbers.length - new Set(numbers).size;
        for (const one of numbers) seen.add(one);
        if (step < 0 ? seen.size >= most : numbers.includes(most) && from === scroller.scrollTop) break;
    }
    return { seen: [...seen].sort((a, b) => a - b), rows, doubled, drift: Math.round(drift) };
}"""
"""Scrolls so many pixels at a time, up until so many messages were seen, or down to the one with that number; `drift`
is by how many pixels what was in sight ever moved by itself."""
MOST_ROWS = 400


async def fill(house: House, number: int, messages: int) -> None:
    """An open conversation of 小雨's, as weeks of work leave it."""
    buyer = f"buyer-{number}"
    loaded = await house.store.load(f"nanshan.{buyer}")
    conversation = Conversation(
        id=f"nanshan.{buyer}", shop_id="nanshan", buyer_id=buyer, buyer_name=f"买家{number}", opened=loaded.now
    ).given_to("xiaoyu", "小雨")
    sides = [Author(role=Role.BUYER, id=buyer, name=f"买家{number}"), Author(role=Role.AGENT, id="xiaoyu", name="小雨")]
    for start in range(0, messages, AT_ONCE):
        lines = range(start, min(start + AT_ONCE, messages))
        entries = [
            Entry(author=sides[line % 7 == 3], text=f"第{line}句：我想把颜色换成墨绿，可以吗？") for line in lines
        ]
        version, document = (1, None) if start else (0, conversation)
        marks = [ASKED] if number % 2 else []
        await house.store.commit(Commit(conversation.id, version, conversation=document, entries=entries, marks=marks))
    await house.desk.take("nanshan", conversation.id, "xiaoyu")
    await house.desk.place(conversation, 1, loaded.now)


class Figures:
    """What was measured, and the long tasks of the page meanwhile."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.lines: list[str] = []
        self._began = time.perf_counter()

    async def take(self, what: str) -> None:
        """Since the last one."""
        took = (time.perf_counter() - self._began) * 1000
        tasks = await self.page.evaluate("() => longTasks.splice(0)")
        self.lines.append(f"{what:<42} {took:6.0f} ms   long tasks: {tasks or 'none'}")
        self._began = time.perf_counter()


async def test_a_full_desk(screens: Screens, town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    gateway = await town.gateway(agent_limit=CONVERSATIONS)
    for start in range(0, CONVERSATIONS, 100):
        numbers = range(start, start + 100)
        await asyncio.gather(*[fill(gateway.house, one, MESSAGES if one == 7 else 4) for one in numbers])
    workbench = await screens.workbench()
    page = workbench.page
    await page.add_init_script(WATCH)
    figures = Figures(page)
    await page.reload()
    rows = workbench.list.locator(".list-item")
    await expect(rows).to_have_count(CONVERSATIONS)
    await figures.take(f"{CONVERSATIONS} conversations in the list")
    slowest = await page.evaluate(SCROLL, ".list-rows")
    await figures.take(f"the list scrolled; slowest frames {slowest}")

    await workbench.conversation("买家7").click()
    await expect(workbench.log.get_by_text(f"第{MESSAGES - 1}句")).to_be_in_viewport()
    await figures.take("a long chat opened")
    oldest = MESSAGES
    for way, step, most in (("back", -1500, READ_BACK), ("on", 1500, MESSAGES - 1)):
        read = await page.evaluate(READ, [step, most])
        oldest = min(oldest, read["seen"][0])
        assert read["seen"][-1] == MESSAGES - 1 or way == "on"
        assert read["seen"] == list(range(oldest, MESSAGES))
        assert read["doubled"] == 0
        assert read["rows"] <= MOST_ROWS
        assert read["drift"] <= 1
        await figures.take(f"{len(read['seen'])} of its messages read {way}, in {read['rows']} rows at most")
    assert oldest <= MESSAGES - READ_BACK
    slowest = await page.evaluate(SCROLL, ".log-scroll")
    await figures.take(f"the chat scrolled; slowest frames {slowest}")
    for name in ("买家8", "买家7"):
        await workbench.conversation(name).click()
        await expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()
        await expect(workbench.log.get_by_text(f"第{3 if name == '买家8' else MESSAGES - 1}句")).to_be_in_viewport()
        await figures.take(f"turned to {name}")
    await workbench.field.fill("这句是新的")
    took = await page.evaluate(SAY)
    await expect(workbench.log.locator(".bubble").last).to_be_in_viewport()
    await figures.take(f"something said; acknowledged after {took} ms")
    with capsys.disabled():
        print("", *figures.lines, sep="\n")
