"""Real pages in a real browser, on real gateways; skipped, saying so, where there is no Chromium."""

import contextlib
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from tests.flows.town import Town
from tests.web.screens import Screens

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-port=0",
)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address at which the session's browser can be driven."""
    found = next((path for name in _CHROMIUM if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium here: as root, `make test` installs it; else: sudo apt-get install chromium")
    folder: Path = tmp_path_factory.mktemp("chromium")
    browser = subprocess.Popen(
        [found, *_OPTIONS, f"--user-data-dir={folder}", "about:blank"], stderr=subprocess.PIPE, text=True
    )
    try:
        assert browser.stderr is not None
        for line in browser.stderr:
            if said := re.search(r"DevTools listening on (ws://\S+)", line):
                break
        else:
            pytest.fail(f"{found} ended with {browser.wait()} before it could be driven")
        yield said[1]
    finally:
        browser.terminate()
        browser.wait(10)
        if browser.stderr is not None:
            browser.stderr.close()


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """The session's browser, driven by this test."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(chromium)
        yield browser
        await browser.close()


@pytest.fixture
async def town(valkey_url: str) -> AsyncIterator[Town]:
    """A town on the real server."""
    async with contextlib.AsyncExitStack() as stack:
        yield Town(valkey_url, stack)


@pytest.fixture
async def screens(browser: Browser, town: Town) -> AsyncIterator[Screens]:
    """Pages of people of the town; no page may have complained when the test is over."""
    screens = Screens(browser, town)
    yield screens
    await screens.aclose()
    assert screens.complaints == []
