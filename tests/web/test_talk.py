"""The talk itself: who is writing, what was read, on which day it was said, and what is said often."""

import json
import re
from datetime import timedelta

from playwright.async_api import WebSocketRoute, expect

from bot.participant import Role
from tests.flows.town import Town
from tests.web.screens import DESK, Screens
from tests.web.workbench import Workbench

HERE, PAID = "nanshan.lin-wan", "lin-wan-paid"
DAY_MS = timedelta(days=1) // timedelta(milliseconds=1)
LINES = 130
IN_SIGHT = """(group) => {
    const { top } = group.getBoundingClientRect(), rows = [...group.querySelectorAll("li")];
    const first = rows.find((row) => /第/.test(row.textContent) && row.getBoundingClientRect().top >= top);
    return [first.textContent, Math.round(first.getBoundingClientRect().top - top)];
}"""
"""The first message that is wholly in sight, and where."""


async def test_who_is_writing_and_what_was_read(screens: Screens, town: Town) -> None:
    """Each side sees that the other writes, and that it stopped; a message is read once it was in sight of somebody."""
    await town.gateway()
    await town.gateway()
    workbench, phone = await screens.both()
    await expect(phone.log.get_by_text("已读", exact=True)).to_have_count(1)
    for writer, reader, text in ((workbench, phone, "请稍等"), (phone, workbench, "好的")):
        sign = reader.log.get_by_text("对方正在输入…")
        await writer.field.press_sequentially(text)
        await expect(sign).to_be_visible()
        if isinstance(reader, Workbench):
            await expect(reader.conversation("林晚")).to_contain_text("对方正在输入…")
        await writer.field.fill("")
        await expect(sign).to_have_count(0)
        await writer.field.fill(text)
        await expect(sign).to_be_visible()
        await writer.field.press("Enter")
        await expect(reader.log.get_by_text(text, exact=True)).to_be_visible()
        await expect(sign).to_have_count(0)

    for writer, reader, text in ((workbench, phone, "看到了吗"), (phone, workbench, "看到了")):
        await reader.page.evaluate("() => { document.hasFocus = () => false; }")
        await writer.field.fill(text)
        await writer.field.press("Enter")
        await expect(reader.log.get_by_text(text, exact=True)).to_be_visible()
        said = writer.log.get_by_role("listitem").filter(has=writer.page.get_by_text(text, exact=True))
        await expect(said).to_contain_text("未读")
        await reader.page.evaluate("() => { delete document.hasFocus; dispatchEvent(new Event('focus')); }")
        await expect(said).to_contain_text("已读")


async def test_days_and_older_messages(screens: Screens, town: Town) -> None:
    """A date stands once before what was said on its day; older messages come as one scrolls up, and nobody who reads
    is moved by them, nor by new ones."""
    await town.gateway()
    buyer, agent = await town.buyer(), await town.agent()
    for number in range(LINES):
        await (agent if number % 9 == 4 else buyer).say(HERE, f"第{number}句")
    page = await screens.page("/healthz", viewport=DESK)
    await page.route_web_socket("**/ws", _aged)
    site = page.url.removesuffix("/healthz")
    await page.goto(f"{site}/workbench#token={town.token(Role.AGENT, 'xiaoyu')}")
    workbench = await Workbench(page).turn_to()
    await expect(workbench.log.get_by_text(f"第{LINES - 1}句")).to_be_in_viewport()
    assert await workbench.log.get_by_text("句").count() < LINES

    await workbench.log.focus()
    oldest = workbench.log.get_by_text("第0句", exact=True)
    while not await oldest.count():
        rows = await workbench.log.get_by_role("listitem").count()
        await page.keyboard.press("Home")
        await expect(workbench.log.get_by_role("listitem").nth(rows)).to_be_attached()
    await page.keyboard.press("Home")
    await expect(oldest).to_be_in_viewport()
    texts = [text.strip() for text in await workbench.log.get_by_role("listitem").all_inner_texts()]
    numbers = [int(found[1]) for text in texts if (found := re.match(r"第(\d+)句", text))]
    assert numbers == list(range(LINES))
    days = [text for text in texts if not re.search(r"第\d+句|\d\d:\d\d", text)]
    assert len(days) == 3
    assert re.fullmatch(r"\d+月\d+日 ?周.", days[0])
    assert days[1:] == ["昨天", "今天"]
    assert re.match("第99句", texts[texts.index("今天") - 1])

    before = await workbench.log.evaluate(IN_SIGHT)
    await buyer.say(HERE, "您还在吗")
    await expect(page.get_by_role("button", name="1 条新消息")).to_be_visible()
    assert await workbench.log.evaluate(IN_SIGHT) == before
    await page.get_by_role("button", name="1 条新消息").click()
    await expect(workbench.log.get_by_text("您还在吗")).to_be_in_viewport()


def _aged(route: WebSocketRoute) -> None:
    """A connection that tells of the first messages as if they were days old."""
    server = route.connect_to_server()

    def heard(message: str | bytes) -> None:
        frame = json.loads(message)
        for entry in frame.get("entries", ()):
            number = re.search(r"第(\d+)句", entry.get("text", {}).get("text", ""))
            days = 0 if not number or int(number[1]) >= 100 else 1 if int(number[1]) >= 40 else 3
            entry["at_ms"] -= days * DAY_MS
        route.send(json.dumps(frame))

    server.on_message(heard)


async def test_quick_replies_are_put_into_the_message(screens: Screens, town: Town) -> None:
    """With the buyer's name and the order's number filled in, where the cursor is, and not sent."""
    await town.gateway()
    agent = await town.agent()
    await agent.add_quick_reply("{buyer}您好，订单{order}的卡片请看一下", title="催一下")
    workbench, phone = await screens.both()
    await workbench.propose(PAID, "S")
    page = workbench.page
    await workbench.field.fill("！")
    await workbench.field.press("Home")
    await page.get_by_role("button", name="快捷短语").click()
    panel = page.get_by_role("dialog", name="快捷短语")
    await panel.get_by_role("button", name=re.compile("^催一下")).click()
    await expect(panel).to_be_hidden()
    filled = f"林晚您好，订单{PAID}的卡片请看一下"
    await expect(workbench.field).to_have_value(f"{filled}！")
    await expect(workbench.field).to_be_focused()
    await expect(workbench.log.get_by_text(filled)).to_have_count(0)
    await workbench.field.press("Enter")
    await expect(phone.log.get_by_text(f"{filled}！", exact=True)).to_be_visible()
