"""Somebody without a mouse."""

import pytest
from playwright.async_api import Locator, Page, expect

_AT = "(one) => one.contains(document.activeElement)"
_STOP = """() => {
    const at = document.activeElement;
    return [at.ariaLabel ?? at.textContent.trim().slice(0, 40), at === document.body || at.matches(":focus-visible")];
}"""
_MOST = 60


class Keys:
    """One page, by its keyboard alone."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def press(self, *keys: str) -> None:
        """One after the other, wherever the focus is."""
        for key in keys:
            await self.page.keyboard.press(key)

    async def tab_to(self, wanted: Locator, *, back: bool = False) -> None:
        """Go on with Tab until that, or something in it, has the focus; each stop can be seen."""
        await expect(wanted).to_be_visible()
        stops: list[str] = []
        for _ in range(_MOST):
            await self.press("Shift+Tab" if back else "Tab")
            name, shown = await self.page.evaluate(_STOP)
            assert shown, f"nobody sees that {name!r} has the focus"
            if await wanted.evaluate(_AT):
                return
            stops.append(name)
        pytest.fail(f"Tab never came to {wanted}, but to {stops}")

    async def use(self, wanted: Locator, key: str = "Enter", *, back: bool = False) -> None:
        """Tab to that, and press a key."""
        await self.tab_to(wanted, back=back)
        await self.press(key)

    async def type(self, text: str) -> None:
        """Write, wherever the focus is."""
        await self.page.keyboard.type(text)
