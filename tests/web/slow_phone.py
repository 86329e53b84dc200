"""A phone whose network holds back some of what the gateway sends it."""

import json

from playwright.async_api import WebSocketRoute

from bot.participant import Role
from tests.flows.town import Town
from tests.web.phone import Phone
from tests.web.screens import PHONE, Screens


class SlowPhone:
    """`held` are the types of frames that do not come."""

    def __init__(self, phone: Phone) -> None:
        self.phone = phone
        self.held: set[str] = set()

    @classmethod
    async def open(cls, screens: Screens, town: Town) -> "SlowPhone":
        """林晚's phone."""
        page = await screens.page("/healthz", viewport=PHONE)
        slow = cls(Phone(page))
        await page.route_web_socket("**/ws", slow._carry)
        site = page.url.removesuffix("/healthz")
        await page.goto(f"{site}/chat#token={town.token(Role.BUYER, 'lin-wan')}")
        await page.locator("assent-connection[data-state=connected]").wait_for(state="attached")
        return slow

    def _carry(self, route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def heard(message: str | bytes) -> None:
            if json.loads(message)["type"] not in self.held:
                route.send(message)

        server.on_message(heard)
