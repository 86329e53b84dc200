"""Real pages in a real browser, on real gateways; skipped, saying so, where there is no Chromium."""

from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser, async_playwright, expect

from tests.flows.town import Town
from tests.web.chromium import MISSING, chromium
from tests.web.screens import LIMIT_MS, Screens


@pytest.fixture(scope="session")
def chromium_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address at which the session's browser can be driven."""
    with chromium(tmp_path_factory.mktemp("chromium")) as url:
        if url is None:
            pytest.skip(MISSING)
        yield url


@pytest.fixture
async def browser(chromium_url: str) -> AsyncIterator[Browser]:
    """The session's browser, driven by this test."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(chromium_url)
        yield browser
        await browser.close()


@pytest.fixture
async def screens(browser: Browser, town: Town) -> AsyncIterator[Screens]:
    """Pages of people of the town; no page may have complained when the test is over."""
    expect.set_options(timeout=LIMIT_MS)
    screens = Screens(browser, town)
    yield screens
    await screens.aclose()
    assert screens.complaints == []
