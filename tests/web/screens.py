"""People at their screens: pages of the town's gateways, each in a browser context of its own."""

from typing import Any

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request

from bot.participant import Role
from tests.flows.town import Gateway, Town
from tests.web.phone import Phone
from tests.web.workbench import Workbench

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}
LIMIT_MS = 20_000


class Screens:
    """`complaints` is what pages said that no page should say: errors, and what their policy forbade."""

    def __init__(self, browser: Browser, town: Town) -> None:
        self._browser = browser
        self.town = town
        self.complaints: list[str] = []
        self.asked: list[str] = []
        """The URLs of all requests of all pages, in order."""
        self._contexts: list[BrowserContext] = []

    async def workbench(self, id: str = "xiaoyu", on: Gateway | str | None = None, **options: Any) -> Workbench:
        """An agent's workbench, connected."""
        token = options.pop("token", None) or self.town.token(Role.AGENT, id)
        return Workbench(await self._open("/workbench", token, on, {"viewport": DESK, **options}))

    async def phone(self, id: str = "lin-wan", on: Gateway | str | None = None, **options: Any) -> Phone:
        """A buyer's phone, connected."""
        token = options.pop("token", None) or self.town.token(Role.BUYER, id)
        return Phone(await self._open("/chat", token, on, {"viewport": PHONE, "has_touch": True, **options}))

    async def both(self) -> tuple[Workbench, Phone]:
        """小雨 and 林晚, on different gateways if there are two; she has written, and 小雨 turned to her."""
        first, second = self.town.gateways[0], self.town.gateways[-1]
        workbench, phone = await self.workbench(on=first), await self.phone(on=second)
        await phone.say("在吗")
        return await workbench.turn_to(), phone

    async def page(self, path: str, on: Gateway | str | None = None, **options: Any) -> Page:
        """Any page of a gateway, or of the site with that address."""
        at = on or self.town.gateways[0]
        site = at if isinstance(at, str) else at.url.replace("ws:", "http:").removesuffix("/ws")
        context = await self._browser.new_context(**{"locale": "zh-CN", "timezone_id": "Asia/Shanghai", **options})
        context.set_default_timeout(LIMIT_MS)
        self._contexts.append(context)
        page = await context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"{path}: {error}"))
        page.on("request", self._requested)
        await page.goto(site + path)
        return page

    async def _open(self, path: str, token: str, on: Gateway | str | None, options: dict[str, Any]) -> Page:
        page = await self.page(f"{path}#token={token}", on, **options)
        await page.locator("assent-connection[data-state=connected]").wait_for(state="attached")
        return page

    def _heard(self, message: ConsoleMessage) -> None:
        # A connection that a test cuts is a network error in the console, and none of the page's.
        if message.type == "error" and "WebSocket" not in message.text and "ERR_INTERNET" not in message.text:
            self.complaints.append(message.text)

    def _requested(self, request: Request) -> None:
        self.asked.append(request.url)

    async def aclose(self) -> None:
        """Close every page."""
        for context in self._contexts:
            await context.close()
