"""How much the pages weigh, and when something of them can be seen first."""

from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Page

from tests.flows.town import Town
from tests.web.screens import Screens

WEB = Path(__file__).parents[2] / "bot" / "web"
NAMES = sorted(path.relative_to(WEB).as_posix() for path in WEB.rglob("*") if path.suffix in (".js", ".css"))
MOST_BYTES = 60_000
"""Of all JS and CSS together as a browser gets it, uncompressed."""

PAINTED = """() => new Promise((resolve) => new PerformanceObserver((list, observer) => {
    for (const { name, startTime } of list.getEntries()) if (name === "first-contentful-paint") resolve(startTime);
}).observe({ type: "paint", buffered: true }))"""
LOADED = """() => performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
    .reduce((sum, { decodedBodySize }) => sum + decodedBodySize, 0)"""


async def test_scripts_and_styles_are_small(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    site = (await town.gateway()).url.replace("ws:", "http:").removesuffix("/ws")
    async with aiohttp.ClientSession() as http:
        sizes = {name: len(await (await http.get(f"{site}/web/{name}")).read()) for name in NAMES}
    written = sum((WEB / name).stat().st_size for name in NAMES)
    with capsys.disabled():
        print("\n" + "  ".join(f"{name} {size:,}" for name, size in sizes.items()))
        print(f"JS and CSS: {sum(sizes.values()):,} bytes as served (at most {MOST_BYTES:,}), {written:,} as written")
    assert sum(sizes.values()) < MOST_BYTES


async def test_when_something_can_be_seen(screens: Screens, town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    """Printed, not judged: it is this machine's."""
    await town.gateway()
    pages = {"/workbench": (await screens.workbench()).page, "/chat": (await screens.phone()).page}
    for path, page in pages.items():
        first = await page.evaluate(PAINTED)
        loaded = await page.evaluate(LOADED)
        await again(page)
        with capsys.disabled():
            print(
                f"\n{path}: first contentful paint after {first:.0f} ms, on a reload "
                f"{await page.evaluate(PAINTED):.0f} ms; {loaded:,} bytes in all"
            )


async def again(page: Page) -> None:
    """Load the page once more, as who comes back does."""
    await page.reload()
    await page.locator("assent-connection[data-state=connected]").wait_for(state="attached")
