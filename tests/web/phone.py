"""A buyer at the phone: what they see, by role and name, and what they do."""

from typing import Any

from playwright.async_api import Locator, expect


class Phone:
    """One open phone, in Chinese; `page` is a Page, or the frame that it is shown in."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.log = page.get_by_role("group", name="聊天记录")
        self.field = page.get_by_role("textbox", name="消息", exact=True)
        self.agree = page.get_by_role("button", name="同意修改")
        self.reject = page.get_by_role("button", name="拒绝修改")
        self.buttons = page.get_by_role("article").get_by_role("button")
        """Of all cards."""

    def card(self, order_id: str, label: str) -> Locator:
        """A card in the chat, as it is now."""
        return self.log.get_by_role("article", name=f"商家申请修改商品规格, {order_id}, {label}")

    def line(self, text: str) -> Locator:
        """A centred line in the chat."""
        return self.log.locator(".log-line").filter(has_text=text)

    async def say(self, text: str) -> None:
        """Write, and send with Enter."""
        await self.field.fill(text)
        await self.field.press("Enter")
        await expect(self.log.get_by_text(text, exact=True)).to_be_visible()

    async def answer(self, action: str, comment: str = "") -> None:
        """同意 or 拒绝 the one card that waits, with the confirming step."""
        await self.page.get_by_role("button", name=f"{action}修改").click()
        if comment:
            await self.page.get_by_role("textbox", name="原因").fill(comment)
        await self.page.get_by_role("button", name=f"确认{action}").click()
