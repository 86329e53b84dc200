"""An agent at the workbench: what they see, by role and name, and what they do."""

import re
from typing import Any

from playwright.async_api import Locator, expect


class Workbench:
    """One open workbench, in Chinese; `page` is a Page, or the frame that it is shown in."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.list = page.get_by_role("navigation", name="会话")
        self.log = page.get_by_role("group", name="聊天记录")
        self.field = page.get_by_role("textbox", name="消息", exact=True)
        self.orders = page.locator("assent-orders")
        self.picker = page.get_by_role("dialog", name=re.compile("^改规格"))
        self.toasts = page.locator(".toast")
        self.bell = page.get_by_role("button", name=re.compile("^通知，"))
        self.notices = page.get_by_role("dialog", name="通知")
        self.strip = page.locator("assent-strip")

    def conversation(self, buyer: str) -> Locator:
        """A conversation in the list."""
        return self.list.get_by_role("button", name=re.compile(f"^{re.escape(buyer)} "))

    async def turn_to(self, buyer: str = "林晚") -> "Workbench":
        """Open a conversation of the list, and wait for the buyer's orders."""
        await self.conversation(buyer).click()
        await expect(self.page.get_by_role("heading", name=buyer, level=1)).to_be_visible()
        await expect(self.orders.get_by_role("listitem").first).to_be_visible()
        return self

    def card(self, order_id: str, label: str) -> Locator:
        """A card in the chat, as it is now."""
        return self.log.get_by_role("article", name=f"改规格申请, {order_id}, {label}")

    def line(self, text: str) -> Locator:
        """A centred line in the chat: a notice, or what happened."""
        return self.log.locator(".log-line").filter(has_text=text)

    def order(self, order_id: str) -> Locator:
        """One of the buyer's orders."""
        return self.orders.get_by_role("listitem").filter(has_text=order_id)

    def change(self, order_id: str) -> Locator:
        """The order's button 改规格, whatever it is called now."""
        return self.order(order_id).get_by_role("button", name=re.compile("^(改规格|待买家处理|处理中)$"))

    async def pick(self, order_id: str) -> Locator:
        """Open the picker on an order."""
        await self.change(order_id).click()
        await expect(self.picker.get_by_role("radio").first).to_be_visible()
        return self.picker

    def chip(self, value: str, line: str = "") -> Locator:
        """An option's value in the picker, of the line with that title (or the first)."""
        lines = self.picker.get_by_role("group").filter(has_text=line)
        return lines.first.get_by_role("radio", name=re.compile(f"^{re.escape(value)}(?![A-Za-z])"))

    async def choose(self, value: str, line: str = "") -> None:
        """Choose a chip, or try to: what cannot be chosen can be clicked all the same, to hear why."""
        await self.chip(value, line).click(force=True)

    @property
    def send(self) -> Locator:
        """The picker's button."""
        return self.picker.get_by_role("button", name="发送给买家")

    async def propose(self, order_id: str, *values: str) -> None:
        """Send a card for another spec of the order's first line, without a difference in price."""
        await self.pick(order_id)
        for value in values:
            await self.choose(value)
        await self.send.click()
        await expect(self.picker).to_have_count(0)
        await expect(self.card(order_id, "待处理")).to_be_visible()

    async def say(self, text: str) -> None:
        """Write, and send with Enter."""
        await self.field.fill(text)
        await self.field.press("Enter")
