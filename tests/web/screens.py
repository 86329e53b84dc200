"""People at their screens: pages of the town's gateways, each in a browser context of its own."""

from typing import Any

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page

from bot.participant import Role
from tests.flows.town import Gateway, Town

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}
_LIMIT_MS = 8000


class Screens:
    """`complaints` is what pages said that no page should say: errors, and what their policy forbade."""

    def __init__(self, browser: Browser, town: Town) -> None:
        self._browser = browser
        self.town = town
        self.complaints: list[str] = []
        self._contexts: list[BrowserContext] = []

    async def workbench(self, id: str = "xiaoyu", on: Gateway | None = None, **options: Any) -> Page:
        """An agent's workbench, connected."""
        return await self._open("/workbench", Role.AGENT, id, on, {"viewport": DESK, **options})

    async def phone(self, id: str = "lin-wan", on: Gateway | None = None, **options: Any) -> Page:
        """A buyer's phone, connected."""
        return await self._open("/chat", Role.BUYER, id, on, {"viewport": PHONE, "has_touch": True, **options})

    async def page(self, path: str, on: Gateway | None = None, **options: Any) -> Page:
        """Any page."""
        gateway = on or self.town.gateways[0]
        context = await self._browser.new_context(**{"locale": "zh-CN", "timezone_id": "Asia/Shanghai", **options})
        context.set_default_timeout(_LIMIT_MS)
        self._contexts.append(context)
        page = await context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"{path}: {error}"))
        await page.goto(gateway.url.replace("ws:", "http:").removesuffix("/ws") + path)
        return page

    async def _open(self, path: str, role: Role, id: str, on: Gateway | None, options: dict[str, Any]) -> Page:
        page = await self.page(f"{path}#token={self.town.token(role, id)}", on, **options)
        await page.locator("assent-connection[data-state=connected]").wait_for(state="attached")
        return page

    def _heard(self, message: ConsoleMessage) -> None:
        # A connection that a test cuts is a network error in the console, and none of the page's.
        if message.type == "error" and "WebSocket" not in message.text and "ERR_INTERNET" not in message.text:
            self.complaints.append(message.text)

    async def aclose(self) -> None:
        """Close every page."""
        for context in self._contexts:
            await context.close()
